//! The restrictions: one table with the name, the argument, the stage and the nature of each.

use std::sync::Arc;

use dns::lists::DnsList;
use facts::Stage;
use rustc_hash::FxHashMap;

use crate::tables::Table;

/// One restriction of a list, ready to be evaluated.
#[derive(Debug)]
pub struct Restriction {
    /// What it does.
    pub kind: Kind,
    /// Its row in the table of restrictions.
    pub entry: &'static Entry,
    /// Whether `warn_if_reject` stands before it.
    pub warn: bool,
    /// As configured, with its argument: for findings and logs. Each text is kept once and for good, so that findings
    /// need not count who still holds it, on all processors at once: there are as many as administrators write.
    pub text: &'static str,
    /// Whether its question may go out before its turn comes (`[lists."ZONE"] early`).
    pub early: bool,
}

/// What a restriction does. The names are Postfix's, from postconf(5).
#[derive(Debug)]
pub enum Kind {
    /// `permit`
    Permit,
    /// `reject`
    Reject,
    /// `defer`
    Defer,
    /// `permit_mynetworks`
    PermitMynetworks,
    /// `permit_sasl_authenticated`
    PermitSaslAuthenticated,
    /// `reject_unknown_reverse_client_hostname`
    RejectUnknownReverseClientHostname,
    /// `reject_unknown_client_hostname`
    RejectUnknownClientHostname,
    /// `reject_invalid_helo_hostname`
    RejectInvalidHeloHostname,
    /// `reject_non_fqdn_helo_hostname`
    RejectNonFqdnHeloHostname,
    /// `reject_unknown_helo_hostname`
    RejectUnknownHeloHostname,
    /// `reject_non_fqdn_sender`, `reject_non_fqdn_recipient`
    RejectNonFqdn(Subject),
    /// `reject_unknown_sender_domain`, `reject_unknown_recipient_domain`
    RejectUnknownDomain(Subject),
    /// `reject_unauth_destination`
    RejectUnauthDestination,
    /// `defer_unauth_destination`
    DeferUnauthDestination,
    /// `reject_rbl_client`
    RejectRblClient(DnsList),
    /// `reject_rhsbl_client`, `_reverse_client`, `_helo`, `_sender`, `_recipient`
    RejectRhsbl(Subject, DnsList),
    /// `permit_dnswl_client`
    PermitDnswlClient(DnsList),
    /// `check_client_access`, `check_helo_access`, `check_sender_access`, `check_recipient_access`
    CheckAccess(Subject, Arc<Access>),
}

/// An access table, and the restrictions that its rows name instead of an action.
#[derive(Debug)]
pub struct Access {
    /// The table.
    pub table: Arc<Table>,
    pub(crate) lists: RowLists,
}

/// Lists of restrictions by the row's result.
pub(crate) type RowLists = FxHashMap<Box<str>, Arc<[Arc<Restriction>]>>;

/// What a restriction looks at; Postfix's reply classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The client, by its verified name and its address.
    Client,
    /// The client, by the name that its PTR record gives.
    ReverseClient,
    /// The HELO name.
    Helo,
    /// The sender.
    Sender,
    /// The recipient.
    Recipient,
}

impl Subject {
    /// The stage in whose list it is judged.
    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Client | Self::ReverseClient => Stage::Connect,
            Self::Helo => Stage::Helo,
            Self::Sender => Stage::Mail,
            Self::Recipient => Stage::Rcpt,
        }
    }

    /// The words that Postfix's replies use for it.
    #[must_use]
    pub fn reply_class(self) -> &'static str {
        match self {
            Self::Client => "Client host",
            Self::ReverseClient => "Unverified Client host",
            Self::Helo => "Helo command",
            Self::Sender => "Sender address",
            Self::Recipient => "Recipient address",
        }
    }
}

/// Whether a restriction can answer from what is known, or must ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Known from the facts and the settings alone.
    Local,
    /// Local where the client's name is known already (behind Postfix), else it asks for that.
    AsksForClientName,
    /// It asks the DNS; pure, given the answers.
    Asks,
}

/// What follows a restriction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// The domain of a DNS list, with or without a filter.
    List,
    /// A table: `type:name`.
    Table,
}

impl Argument {
    /// In words, for a message that misses it.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::List => "the domain of a DNS list",
            Self::Table => "a table (type:name)",
        }
    }
}

/// A row of the table of restrictions.
#[derive(Debug)]
pub struct Entry {
    /// Postfix's name.
    pub name: &'static str,
    /// What follows it.
    pub argument: Argument,
    /// When its facts are known.
    pub stage: Stage,
    /// Whether it asks.
    pub nature: Nature,
    pub(crate) build: Build,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Build {
    Plain(fn() -> Kind),
    List(fn(DnsList) -> Kind),
    Table(Subject),
}

const fn plain(name: &'static str, stage: Stage, nature: Nature, build: fn() -> Kind) -> Entry {
    Entry { name, argument: Argument::None, stage, nature, build: Build::Plain(build) }
}

const fn list(name: &'static str, stage: Stage, build: fn(DnsList) -> Kind) -> Entry {
    Entry { name, argument: Argument::List, stage, nature: Nature::Asks, build: Build::List(build) }
}

const fn table(name: &'static str, stage: Stage, nature: Nature, subject: Subject) -> Entry {
    Entry { name, argument: Argument::Table, stage, nature, build: Build::Table(subject) }
}

/// Every restriction that this version knows.
pub const RESTRICTIONS: &[Entry] = &[
    plain("permit", Stage::Connect, Nature::Local, || Kind::Permit),
    plain("reject", Stage::Connect, Nature::Local, || Kind::Reject),
    plain("defer", Stage::Connect, Nature::Local, || Kind::Defer),
    plain("permit_mynetworks", Stage::Connect, Nature::Local, || Kind::PermitMynetworks),
    plain("permit_sasl_authenticated", Stage::Mail, Nature::Local, || Kind::PermitSaslAuthenticated),
    plain("reject_unknown_reverse_client_hostname", Stage::Connect, Nature::AsksForClientName, || {
        Kind::RejectUnknownReverseClientHostname
    }),
    plain("reject_unknown_client_hostname", Stage::Connect, Nature::AsksForClientName, || {
        Kind::RejectUnknownClientHostname
    }),
    plain("reject_invalid_helo_hostname", Stage::Helo, Nature::Local, || Kind::RejectInvalidHeloHostname),
    plain("reject_non_fqdn_helo_hostname", Stage::Helo, Nature::Local, || Kind::RejectNonFqdnHeloHostname),
    plain("reject_unknown_helo_hostname", Stage::Helo, Nature::Asks, || Kind::RejectUnknownHeloHostname),
    plain("reject_non_fqdn_sender", Stage::Mail, Nature::Local, || Kind::RejectNonFqdn(Subject::Sender)),
    plain("reject_unknown_sender_domain", Stage::Mail, Nature::Asks, || Kind::RejectUnknownDomain(Subject::Sender)),
    plain("reject_non_fqdn_recipient", Stage::Rcpt, Nature::Local, || Kind::RejectNonFqdn(Subject::Recipient)),
    plain("reject_unknown_recipient_domain", Stage::Rcpt, Nature::Asks, || {
        Kind::RejectUnknownDomain(Subject::Recipient)
    }),
    plain("reject_unauth_destination", Stage::Rcpt, Nature::Local, || Kind::RejectUnauthDestination),
    plain("defer_unauth_destination", Stage::Rcpt, Nature::Local, || Kind::DeferUnauthDestination),
    list("reject_rbl_client", Stage::Connect, Kind::RejectRblClient),
    list("reject_rhsbl_client", Stage::Connect, |list| Kind::RejectRhsbl(Subject::Client, list)),
    list("reject_rhsbl_reverse_client", Stage::Connect, |list| Kind::RejectRhsbl(Subject::ReverseClient, list)),
    list("reject_rhsbl_helo", Stage::Helo, |list| Kind::RejectRhsbl(Subject::Helo, list)),
    list("reject_rhsbl_sender", Stage::Mail, |list| Kind::RejectRhsbl(Subject::Sender, list)),
    list("reject_rhsbl_recipient", Stage::Rcpt, |list| Kind::RejectRhsbl(Subject::Recipient, list)),
    // It looks at the recipient too: a welcome host must not relay.
    list("permit_dnswl_client", Stage::Rcpt, Kind::PermitDnswlClient),
    table("check_client_access", Stage::Connect, Nature::AsksForClientName, Subject::Client),
    table("check_helo_access", Stage::Helo, Nature::Local, Subject::Helo),
    table("check_sender_access", Stage::Mail, Nature::Local, Subject::Sender),
    table("check_recipient_access", Stage::Rcpt, Nature::Local, Subject::Recipient),
];
