//! The restrictions that are drawn, and what must be known of each to draw it.

/// What a restriction looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: it is always the same.
    Nothing,
    /// The client's address, in `mynetworks` or not.
    Network,
    /// The user who has logged in.
    Login,
    /// Whether the session is encrypted, and the client's certificate.
    Encryption,
    /// The client's name that leads back.
    ClientName,
    /// The client's name by its PTR record.
    ReverseClientName,
    /// The client's address and name.
    Client,
    /// The HELO name.
    Helo,
    /// The sender.
    Sender,
    /// The recipient.
    Recipient,
    /// How many recipients there are.
    Recipients,
    /// The argument of ETRN.
    Etrn,
}

/// What follows a restriction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A DNS list.
    List,
    /// A DNS list with a filter: `zone=127.0.0.[2..4]`.
    FilteredList,
    /// An access table of this type.
    Table(&'static str),
    /// A policy service that looks at this attribute.
    PolicyService(&'static str),
    /// No seconds at all.
    Zero,
}

/// A restriction, as far as it is drawn by its own rules.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Postfix's name.
    pub name: &'static str,
    /// What follows.
    pub argument: Argument,
    /// What it looks at.
    pub subject: Subject,
    /// Whether it permits rather than refuses.
    pub permits: bool,
    /// Whether the DNS may fail it.
    pub asks: bool,
    /// The parameter whose tables or networks may fail it.
    pub map: Option<&'static str>,
}

const fn plain(name: &'static str, subject: Subject, asks: bool) -> Kind {
    Kind { name, argument: Argument::None, subject, permits: false, asks, map: None }
}

const fn permit(name: &'static str, subject: Subject) -> Kind {
    Kind { name, argument: Argument::None, subject, permits: true, asks: false, map: None }
}

const fn list(name: &'static str, subject: Subject, argument: Argument) -> Kind {
    Kind { name, argument, subject, permits: false, asks: true, map: None }
}

const fn table(name: &'static str, subject: Subject, table_type: &'static str) -> Kind {
    Kind { name, argument: Argument::Table(table_type), subject, permits: false, asks: false, map: None }
}

/// By the tables or the networks of a parameter, which may fail it.
const fn mapped(map: &'static str, kind: Kind) -> Kind {
    Kind { map: Some(map), ..kind }
}

/// A table of servers: the DNS may fail it.
const fn servers(name: &'static str, subject: Subject) -> Kind {
    Kind { asks: true, ..table(name, subject, "inline") }
}

/// A policy service. What it refuses, it refuses by an action.
const fn service(subject: Subject, attribute: &'static str) -> Kind {
    Kind { argument: Argument::PolicyService(attribute), ..plain("check_policy_service", subject, false) }
}

/// The restrictions that are not drawn, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("reject_unauth_pipelining", "it is recognised only: no policy server sees pipelining"),
    ("reject_unverified_sender", "it is recognised only: addresses are not probed yet"),
    ("reject_unverified_recipient", "it is recognised only: addresses are not probed yet"),
    ("check_greylist", "Postfix has none: postgrey is the judge of it"),
    ("reject_unknown_forward_client_hostname", "Postfix knows the name alone: to its smtpd it is an unknown word"),
];

/// Every restriction of this version but [`LEFT_OUT`].
pub const KINDS: &[Kind] = &[
    permit("permit", Subject::Nothing),
    plain("reject", Subject::Nothing, false),
    plain("defer", Subject::Nothing, false),
    plain("defer_if_permit", Subject::Nothing, false),
    // What it does is seen by what becomes of a refusal.
    permit("defer_if_reject", Subject::Nothing),
    mapped("mynetworks", permit("permit_mynetworks", Subject::Network)),
    permit("permit_inet_interfaces", Subject::Network),
    permit("permit_sasl_authenticated", Subject::Login),
    mapped("relay_clientcerts", permit("permit_tls_clientcerts", Subject::Encryption)),
    mapped("relay_clientcerts", permit("permit_tls_all_clientcerts", Subject::Encryption)),
    plain("reject_plaintext_session", Subject::Encryption, false),
    // What it does is seen by what comes after it.
    Kind { argument: Argument::Zero, ..permit("sleep", Subject::Nothing) },
    service(Subject::Nothing, "protocol_state"),
    service(Subject::Client, "client_address"),
    service(Subject::ClientName, "client_name"),
    service(Subject::ReverseClientName, "reverse_client_name"),
    service(Subject::Helo, "helo_name"),
    service(Subject::Login, "sasl_username"),
    service(Subject::Encryption, "ccert_fingerprint"),
    service(Subject::Sender, "sender"),
    service(Subject::Recipient, "recipient"),
    service(Subject::Recipients, "recipient_count"),
    service(Subject::Etrn, "etrn_domain"),
    plain("reject_unknown_reverse_client_hostname", Subject::ReverseClientName, true),
    plain("reject_unknown_client_hostname", Subject::ClientName, true),
    plain("reject_invalid_helo_hostname", Subject::Helo, false),
    plain("reject_non_fqdn_helo_hostname", Subject::Helo, false),
    plain("reject_unknown_helo_hostname", Subject::Helo, true),
    plain("reject_non_fqdn_sender", Subject::Sender, false),
    plain("reject_unknown_sender_domain", Subject::Sender, true),
    mapped("local_recipient_maps", plain("reject_unlisted_sender", Subject::Sender, false)),
    mapped("smtpd_sender_login_maps", plain("reject_sender_login_mismatch", Subject::Login, false)),
    mapped("smtpd_sender_login_maps", plain("reject_authenticated_sender_login_mismatch", Subject::Login, false)),
    mapped("smtpd_sender_login_maps", plain("reject_unauthenticated_sender_login_mismatch", Subject::Sender, false)),
    mapped("smtpd_sender_login_maps", plain("reject_known_sender_login_mismatch", Subject::Login, false)),
    plain("reject_non_fqdn_recipient", Subject::Recipient, false),
    plain("reject_unknown_recipient_domain", Subject::Recipient, true),
    mapped("local_recipient_maps", plain("reject_unlisted_recipient", Subject::Recipient, false)),
    permit("permit_auth_destination", Subject::Recipient),
    mapped("permit_mx_backup_networks", Kind { asks: true, ..permit("permit_mx_backup", Subject::Recipient) }),
    plain("reject_unauth_destination", Subject::Recipient, false),
    plain("defer_unauth_destination", Subject::Recipient, false),
    plain("reject_multi_recipient_bounce", Subject::Recipients, false),
    list("reject_rbl_client", Subject::Client, Argument::List),
    list("reject_rbl_client", Subject::Client, Argument::FilteredList),
    list("reject_rhsbl_client", Subject::ClientName, Argument::List),
    list("reject_rhsbl_client", Subject::ClientName, Argument::FilteredList),
    list("reject_rhsbl_reverse_client", Subject::ReverseClientName, Argument::List),
    list("reject_rhsbl_reverse_client", Subject::ReverseClientName, Argument::FilteredList),
    list("reject_rhsbl_helo", Subject::Helo, Argument::List),
    list("reject_rhsbl_helo", Subject::Helo, Argument::FilteredList),
    list("reject_rhsbl_sender", Subject::Sender, Argument::List),
    list("reject_rhsbl_sender", Subject::Sender, Argument::FilteredList),
    list("reject_rhsbl_recipient", Subject::Recipient, Argument::List),
    list("reject_rhsbl_recipient", Subject::Recipient, Argument::FilteredList),
    Kind { permits: true, ..list("permit_dnswl_client", Subject::Client, Argument::List) },
    Kind { permits: true, ..list("permit_dnswl_client", Subject::Client, Argument::FilteredList) },
    Kind { permits: true, ..list("permit_rhswl_client", Subject::ClientName, Argument::List) },
    Kind { permits: true, ..list("permit_rhswl_client", Subject::ClientName, Argument::FilteredList) },
    table("check_client_access", Subject::Client, "hash"),
    table("check_client_access", Subject::Client, "cidr"),
    table("check_client_access", Subject::Client, "inline"),
    table("check_client_access", Subject::Client, "texthash"),
    table("check_client_access", Subject::Client, "regexp"),
    table("check_client_access", Subject::Client, "pcre"),
    table("check_client_access", Subject::Client, "static"),
    table("check_client_access", Subject::Client, "unionmap"),
    table("check_client_access", Subject::Client, "pipemap"),
    table("check_client_access", Subject::Client, "fail"),
    table("check_helo_access", Subject::Helo, "hash"),
    table("check_helo_access", Subject::Helo, "inline"),
    table("check_helo_access", Subject::Helo, "texthash"),
    table("check_helo_access", Subject::Helo, "regexp"),
    table("check_helo_access", Subject::Helo, "pcre"),
    table("check_helo_access", Subject::Helo, "static"),
    table("check_helo_access", Subject::Helo, "unionmap"),
    table("check_helo_access", Subject::Helo, "pipemap"),
    table("check_helo_access", Subject::Helo, "fail"),
    table("check_sender_access", Subject::Sender, "hash"),
    table("check_sender_access", Subject::Sender, "inline"),
    table("check_sender_access", Subject::Sender, "texthash"),
    table("check_sender_access", Subject::Sender, "regexp"),
    table("check_sender_access", Subject::Sender, "pcre"),
    table("check_sender_access", Subject::Sender, "static"),
    table("check_sender_access", Subject::Sender, "unionmap"),
    table("check_sender_access", Subject::Sender, "pipemap"),
    table("check_sender_access", Subject::Sender, "fail"),
    table("check_recipient_access", Subject::Recipient, "hash"),
    table("check_recipient_access", Subject::Recipient, "inline"),
    table("check_recipient_access", Subject::Recipient, "texthash"),
    table("check_recipient_access", Subject::Recipient, "regexp"),
    table("check_recipient_access", Subject::Recipient, "pcre"),
    table("check_recipient_access", Subject::Recipient, "static"),
    table("check_recipient_access", Subject::Recipient, "unionmap"),
    table("check_recipient_access", Subject::Recipient, "pipemap"),
    table("check_recipient_access", Subject::Recipient, "fail"),
    table("check_reverse_client_hostname_access", Subject::Client, "inline"),
    table("check_reverse_client_hostname_access", Subject::Client, "cidr"),
    table("check_sasl_access", Subject::Login, "hash"),
    table("check_sasl_access", Subject::Login, "inline"),
    table("check_sasl_access", Subject::Login, "regexp"),
    table("check_sasl_access", Subject::Login, "static"),
    table("check_sasl_access", Subject::Login, "fail"),
    table("check_ccert_access", Subject::Encryption, "hash"),
    table("check_ccert_access", Subject::Encryption, "inline"),
    table("check_ccert_access", Subject::Encryption, "texthash"),
    table("check_ccert_access", Subject::Encryption, "pcre"),
    table("check_ccert_access", Subject::Encryption, "fail"),
    table("check_etrn_access", Subject::Etrn, "hash"),
    table("check_etrn_access", Subject::Etrn, "inline"),
    table("check_etrn_access", Subject::Etrn, "regexp"),
    table("check_etrn_access", Subject::Etrn, "fail"),
    servers("check_client_mx_access", Subject::ClientName),
    servers("check_client_ns_access", Subject::ClientName),
    servers("check_client_a_access", Subject::ClientName),
    servers("check_reverse_client_hostname_mx_access", Subject::ReverseClientName),
    servers("check_reverse_client_hostname_ns_access", Subject::ReverseClientName),
    servers("check_reverse_client_hostname_a_access", Subject::ReverseClientName),
    servers("check_helo_mx_access", Subject::Helo),
    servers("check_helo_ns_access", Subject::Helo),
    servers("check_helo_a_access", Subject::Helo),
    servers("check_sender_mx_access", Subject::Sender),
    servers("check_sender_ns_access", Subject::Sender),
    servers("check_sender_a_access", Subject::Sender),
    servers("check_recipient_mx_access", Subject::Recipient),
    servers("check_recipient_ns_access", Subject::Recipient),
    servers("check_recipient_a_access", Subject::Recipient),
];
