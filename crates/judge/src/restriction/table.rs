//! The table of restrictions, and the names that some had before.

use dns::lists::DnsList;
use facts::{RecordType, Stage};

use super::{Argument, Build, Entry, Kind, Logins, Nature, Subject};

const fn plain(name: &'static str, stage: Stage, nature: Nature, build: fn() -> Kind) -> Entry {
    Entry { name, argument: Argument::None, stage, nature, build: Build::Plain(build) }
}

const fn list(name: &'static str, stage: Stage, build: fn(DnsList) -> Kind) -> Entry {
    Entry { name, argument: Argument::List, stage, nature: Nature::Asks, build: Build::List(build) }
}

const fn table(name: &'static str, stage: Stage, nature: Nature, subject: Subject) -> Entry {
    Entry { name, argument: Argument::Table, stage, nature, build: Build::Table(subject) }
}

const fn server_table(name: &'static str, stage: Stage, subject: Subject, servers: RecordType) -> Entry {
    let build = Build::ServerTable(subject, servers);
    Entry { name, argument: Argument::Table, stage, nature: Nature::Asks, build }
}

const fn acting(name: &'static str, argument: Argument, build: Build) -> Entry {
    Entry { name, argument, stage: Stage::Connect, nature: Nature::Acts, build }
}

const UNVERIFIED: &str = "asking the other side whether an address exists comes with a later version";

/// Every restriction that this version knows.
pub const RESTRICTIONS: &[Entry] = &[
    plain("permit", Stage::Connect, Nature::Local, || Kind::Permit),
    plain("reject", Stage::Connect, Nature::Local, || Kind::Reject),
    plain("defer", Stage::Connect, Nature::Local, || Kind::Defer),
    plain("defer_if_permit", Stage::Connect, Nature::Local, || Kind::DeferIfPermit),
    plain("defer_if_reject", Stage::Connect, Nature::Local, || Kind::DeferIfReject),
    plain("permit_mynetworks", Stage::Connect, Nature::Local, || Kind::PermitMynetworks),
    plain("permit_inet_interfaces", Stage::Connect, Nature::Local, || Kind::PermitInetInterfaces),
    plain("permit_sasl_authenticated", Stage::Mail, Nature::Local, || Kind::PermitSaslAuthenticated),
    plain("permit_tls_clientcerts", Stage::Connect, Nature::Local, || Kind::PermitTlsClientcerts),
    plain("permit_tls_all_clientcerts", Stage::Connect, Nature::Local, || Kind::PermitTlsAllClientcerts),
    plain("reject_plaintext_session", Stage::Connect, Nature::Local, || Kind::RejectPlaintextSession),
    plain("reject_unauth_pipelining", Stage::Connect, Nature::Local, || {
        Kind::Silent(
            "only who speaks SMTP with the client sees pipelining: the smtp door of a later version, and Postfix",
        )
    }),
    plain("reject_unknown_reverse_client_hostname", Stage::Connect, Nature::AsksForClientName, || {
        Kind::RejectUnknownReverseClientHostname
    }),
    plain("reject_unknown_forward_client_hostname", Stage::Connect, Nature::Asks, || {
        Kind::RejectUnknownForwardClientHostname
    }),
    plain("reject_unknown_client_hostname", Stage::Connect, Nature::AsksForClientName, || {
        Kind::RejectUnknownClientHostname
    }),
    plain("reject_invalid_helo_hostname", Stage::Helo, Nature::Local, || Kind::RejectInvalidHeloHostname),
    plain("reject_non_fqdn_helo_hostname", Stage::Helo, Nature::Local, || Kind::RejectNonFqdnHeloHostname),
    plain("reject_unknown_helo_hostname", Stage::Helo, Nature::Asks, || Kind::RejectUnknownHeloHostname),
    plain("reject_non_fqdn_sender", Stage::Mail, Nature::Local, || Kind::RejectNonFqdn(Subject::Sender)),
    plain("reject_unknown_sender_domain", Stage::Mail, Nature::Asks, || Kind::RejectUnknownDomain(Subject::Sender)),
    plain("reject_unlisted_sender", Stage::Mail, Nature::Local, || Kind::RejectUnlisted(Subject::Sender)),
    plain("reject_unverified_sender", Stage::Mail, Nature::Local, || Kind::Silent(UNVERIFIED)),
    plain("reject_sender_login_mismatch", Stage::Mail, Nature::Local, || Kind::RejectSenderLoginMismatch(Logins::All)),
    plain("reject_authenticated_sender_login_mismatch", Stage::Mail, Nature::Local, || {
        Kind::RejectSenderLoginMismatch(Logins::Authenticated)
    }),
    plain("reject_unauthenticated_sender_login_mismatch", Stage::Mail, Nature::Local, || {
        Kind::RejectSenderLoginMismatch(Logins::Unauthenticated)
    }),
    plain("reject_known_sender_login_mismatch", Stage::Mail, Nature::Local, || {
        Kind::RejectSenderLoginMismatch(Logins::Known)
    }),
    plain("reject_non_fqdn_recipient", Stage::Rcpt, Nature::Local, || Kind::RejectNonFqdn(Subject::Recipient)),
    plain("reject_unknown_recipient_domain", Stage::Rcpt, Nature::Asks, || {
        Kind::RejectUnknownDomain(Subject::Recipient)
    }),
    plain("reject_unlisted_recipient", Stage::Rcpt, Nature::Local, || Kind::RejectUnlisted(Subject::Recipient)),
    plain("reject_unverified_recipient", Stage::Rcpt, Nature::Local, || Kind::Silent(UNVERIFIED)),
    plain("permit_auth_destination", Stage::Rcpt, Nature::Local, || Kind::PermitAuthDestination),
    plain("permit_mx_backup", Stage::Rcpt, Nature::Asks, || Kind::PermitMxBackup),
    plain("reject_unauth_destination", Stage::Rcpt, Nature::Local, || Kind::RejectUnauthDestination),
    plain("defer_unauth_destination", Stage::Rcpt, Nature::Local, || Kind::DeferUnauthDestination),
    plain("reject_multi_recipient_bounce", Stage::Data, Nature::Local, || Kind::RejectMultiRecipientBounce),
    list("reject_rbl_client", Stage::Connect, Kind::RejectRblClient),
    list("reject_rhsbl_client", Stage::Connect, |list| Kind::RejectRhsbl(Subject::Client, list)),
    list("reject_rhsbl_reverse_client", Stage::Connect, |list| Kind::RejectRhsbl(Subject::ReverseClient, list)),
    list("reject_rhsbl_helo", Stage::Helo, |list| Kind::RejectRhsbl(Subject::Helo, list)),
    list("reject_rhsbl_sender", Stage::Mail, |list| Kind::RejectRhsbl(Subject::Sender, list)),
    list("reject_rhsbl_recipient", Stage::Rcpt, |list| Kind::RejectRhsbl(Subject::Recipient, list)),
    // It looks at the recipient too: a welcome host must not relay.
    list("permit_dnswl_client", Stage::Rcpt, Kind::PermitDnswlClient),
    list("permit_rhswl_client", Stage::Rcpt, Kind::PermitRhswlClient),
    table("check_client_access", Stage::Connect, Nature::AsksForClientName, Subject::Client),
    table("check_reverse_client_hostname_access", Stage::Connect, Nature::AsksForClientName, Subject::ReverseClient),
    table("check_ccert_access", Stage::Connect, Nature::Local, Subject::Certificate),
    table("check_helo_access", Stage::Helo, Nature::Local, Subject::Helo),
    table("check_etrn_access", Stage::Helo, Nature::Local, Subject::Etrn),
    table("check_sasl_access", Stage::Mail, Nature::Local, Subject::SaslUser),
    table("check_sender_access", Stage::Mail, Nature::Local, Subject::Sender),
    table("check_recipient_access", Stage::Rcpt, Nature::Local, Subject::Recipient),
    server_table("check_client_mx_access", Stage::Connect, Subject::Client, RecordType::Mx),
    server_table("check_client_ns_access", Stage::Connect, Subject::Client, RecordType::Ns),
    server_table("check_client_a_access", Stage::Connect, Subject::Client, RecordType::A),
    server_table("check_reverse_client_hostname_mx_access", Stage::Connect, Subject::ReverseClient, RecordType::Mx),
    server_table("check_reverse_client_hostname_ns_access", Stage::Connect, Subject::ReverseClient, RecordType::Ns),
    server_table("check_reverse_client_hostname_a_access", Stage::Connect, Subject::ReverseClient, RecordType::A),
    server_table("check_helo_mx_access", Stage::Helo, Subject::Helo, RecordType::Mx),
    server_table("check_helo_ns_access", Stage::Helo, Subject::Helo, RecordType::Ns),
    server_table("check_helo_a_access", Stage::Helo, Subject::Helo, RecordType::A),
    server_table("check_sender_mx_access", Stage::Mail, Subject::Sender, RecordType::Mx),
    server_table("check_sender_ns_access", Stage::Mail, Subject::Sender, RecordType::Ns),
    server_table("check_sender_a_access", Stage::Mail, Subject::Sender, RecordType::A),
    server_table("check_recipient_mx_access", Stage::Rcpt, Subject::Recipient, RecordType::Mx),
    server_table("check_recipient_ns_access", Stage::Rcpt, Subject::Recipient, RecordType::Ns),
    server_table("check_recipient_a_access", Stage::Rcpt, Subject::Recipient, RecordType::A),
    Entry { stage: Stage::Rcpt, ..acting("check_greylist", Argument::None, Build::Plain(|| Kind::CheckGreylist)) },
    acting("check_policy_service", Argument::PolicyService, Build::PolicyService),
    acting("sleep", Argument::Seconds, Build::Sleep),
];

/// What a restriction of older Postfix is called today.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("check_recipient_maps", "reject_unlisted_recipient"),
    ("reject_invalid_hostname", "reject_invalid_helo_hostname"),
    ("reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname"),
    ("reject_rbl", "reject_rbl_client"),
    ("reject_unknown_address", "reject_unknown_sender_domain"),
    ("reject_unknown_client", "reject_unknown_client_hostname"),
    ("reject_unknown_hostname", "reject_unknown_helo_hostname"),
];

/// What Postfix warns of as about to go and we leave out, and what to write in its place.
pub(crate) const RETIRED: &[(&str, &str)] = &[
    ("check_relay_domains", "reject_unauth_destination"),
    ("permit_naked_ip_address", "permit_mynetworks or permit_sasl_authenticated"),
    ("reject_maps_rbl", "reject_rbl_client and the domain of a DNS list"),
];
