//! What is promised to be drawn: every restriction in every situation that it can be in.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What a restriction looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: it is always the same.
    Nothing,
    /// The client's address, in `mynetworks` or not.
    Network,
    /// The user who has logged in.
    Login,
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
}

/// The situation in which a restriction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// It acts.
    Hit,
    /// It does not.
    Miss,
    /// The DNS or the table cannot answer it.
    Failure,
    /// It would act, but a permit stands before it.
    AfterPermit,
    /// It would act, but `warn_if_reject` stands before it.
    Warned,
    /// The DNS or the table cannot answer it, and `warn_if_reject` stands before it.
    WarnedFailure,
}

/// One promise: a restriction in a situation.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The restriction.
    pub kind: &'static Kind,
    /// The situation.
    pub situation: Situation,
}

const fn plain(name: &'static str, subject: Subject, asks: bool) -> Kind {
    Kind { name, argument: Argument::None, subject, permits: false, asks }
}

const fn permit(name: &'static str, subject: Subject) -> Kind {
    Kind { name, argument: Argument::None, subject, permits: true, asks: false }
}

const fn list(name: &'static str, subject: Subject, argument: Argument) -> Kind {
    Kind { name, argument, subject, permits: false, asks: true }
}

const fn table(name: &'static str, subject: Subject, table_type: &'static str) -> Kind {
    Kind { name, argument: Argument::Table(table_type), subject, permits: false, asks: false }
}

/// A table of servers: the DNS may fail it.
const fn servers(name: &'static str, subject: Subject) -> Kind {
    Kind { asks: true, ..table(name, subject, "inline") }
}

/// Every restriction of this version whose facts can be drawn here.
pub const KINDS: &[Kind] = &[
    permit("permit", Subject::Nothing),
    plain("reject", Subject::Nothing, false),
    plain("defer", Subject::Nothing, false),
    plain("defer_if_permit", Subject::Nothing, false),
    // What it does is seen by what becomes of a refusal.
    permit("defer_if_reject", Subject::Nothing),
    permit("permit_mynetworks", Subject::Network),
    permit("permit_sasl_authenticated", Subject::Login),
    plain("reject_unknown_reverse_client_hostname", Subject::ReverseClientName, true),
    plain("reject_unknown_client_hostname", Subject::ClientName, true),
    plain("reject_invalid_helo_hostname", Subject::Helo, false),
    plain("reject_non_fqdn_helo_hostname", Subject::Helo, false),
    plain("reject_unknown_helo_hostname", Subject::Helo, true),
    plain("reject_non_fqdn_sender", Subject::Sender, false),
    plain("reject_unknown_sender_domain", Subject::Sender, true),
    plain("reject_unlisted_sender", Subject::Sender, false),
    plain("reject_sender_login_mismatch", Subject::Login, false),
    plain("reject_authenticated_sender_login_mismatch", Subject::Login, false),
    plain("reject_unauthenticated_sender_login_mismatch", Subject::Sender, false),
    plain("reject_known_sender_login_mismatch", Subject::Login, false),
    plain("reject_non_fqdn_recipient", Subject::Recipient, false),
    plain("reject_unknown_recipient_domain", Subject::Recipient, true),
    plain("reject_unlisted_recipient", Subject::Recipient, false),
    permit("permit_auth_destination", Subject::Recipient),
    Kind { asks: true, ..permit("permit_mx_backup", Subject::Recipient) },
    plain("reject_unauth_destination", Subject::Recipient, false),
    plain("defer_unauth_destination", Subject::Recipient, false),
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
    table("check_reverse_client_hostname_access", Subject::Client, "hash"),
    table("check_reverse_client_hostname_access", Subject::Client, "cidr"),
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

const SITUATIONS: [Situation; 6] = [
    Situation::Hit,
    Situation::Miss,
    Situation::Failure,
    Situation::AfterPermit,
    Situation::Warned,
    Situation::WarnedFailure,
];

impl Kind {
    /// Whether it can be in this situation at all.
    fn can_be(&self, situation: Situation) -> bool {
        let Self { argument, subject, asks, .. } = *self;
        match situation {
            Situation::Hit | Situation::Warned => argument != Argument::Table("fail"),
            Situation::Miss => subject != Subject::Nothing && !matches!(argument, Argument::Table("fail" | "static")),
            Situation::AfterPermit => true,
            Situation::Failure | Situation::WarnedFailure => {
                asks || matches!(argument, Argument::Table("fail" | "unionmap" | "pipemap"))
            }
        }
    }

    /// The restriction's row in the table of what was drawn.
    fn row(&self) -> String {
        match self.argument {
            Argument::None => self.name.to_owned(),
            Argument::List => format!("{} ZONE", self.name),
            Argument::FilteredList => format!("{} ZONE=CODES", self.name),
            Argument::Table(table_type) => format!("{} {table_type}:", self.name),
        }
    }
}

/// Every promise.
pub fn cells() -> Vec<Cell> {
    let of = |kind: &'static Kind| SITUATIONS.iter().map(move |situation| Cell { kind, situation: *situation });
    KINDS.iter().flat_map(of).filter(|cell| cell.kind.can_be(cell.situation)).collect()
}

/// How often each promise was kept.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<(String, Situation), u32>,
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, cell: Cell) {
        *self.counts.entry((cell.kind.row(), cell.situation)).or_default() += 1;
    }

    /// The promises that were not kept.
    pub fn broken(&self) -> Vec<String> {
        let is_broken = |cell: &Cell| !self.counts.contains_key(&(cell.kind.row(), cell.situation));
        cells()
            .iter()
            .filter(|cell| is_broken(cell))
            .map(|cell| format!("{} {:?}", cell.kind.row(), cell.situation))
            .collect()
    }

    /// The table of restrictions and situations.
    pub fn table(&self) -> String {
        let mut text = format!("{:44}", "");
        for situation in SITUATIONS {
            let _ = write!(text, "{:>14}", format!("{situation:?}"));
        }
        for kind in KINDS {
            let _ = write!(text, "\n{:44}", kind.row());
            for situation in SITUATIONS {
                let count = self.counts.get(&(kind.row(), situation)).map_or("-".into(), u32::to_string);
                let _ = write!(text, "{count:>14}");
            }
        }
        text
    }
}
