//! The restrictions: what each does, and one table with the name, the argument, the stage and the nature of each.

mod table;

use std::sync::Arc;
use std::time::Duration;

use dns::lists::DnsList;
use facts::{RecordType, Stage};
use rustc_hash::FxHashMap;

use crate::outside::PolicyService;
use crate::tables::Table;
use crate::tables::lookup::Lookup;

pub use table::RESTRICTIONS;
pub(crate) use table::{RENAMED, RETIRED};

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

impl Restriction {
    /// Whether it can end its list in the sender's favour.
    pub(crate) fn may_permit(&self) -> bool {
        matches!(
            self.kind,
            Kind::Permit
                | Kind::PermitMynetworks
                | Kind::PermitInetInterfaces
                | Kind::PermitSaslAuthenticated
                | Kind::PermitTlsClientcerts
                | Kind::PermitTlsAllClientcerts
                | Kind::PermitAuthDestination
                | Kind::PermitDnswlClient(_)
                | Kind::PermitRhswlClient(_)
                | Kind::PermitMxBackup
                | Kind::CheckAccess(..)
                | Kind::CheckPolicyService(_)
        )
    }
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
    /// `defer_if_permit`
    DeferIfPermit,
    /// `defer_if_reject`
    DeferIfReject,
    /// `permit_mynetworks`
    PermitMynetworks,
    /// `permit_inet_interfaces`
    PermitInetInterfaces,
    /// `permit_sasl_authenticated`
    PermitSaslAuthenticated,
    /// `permit_tls_clientcerts`
    PermitTlsClientcerts,
    /// `permit_tls_all_clientcerts`
    PermitTlsAllClientcerts,
    /// `permit_auth_destination`
    PermitAuthDestination,
    /// `permit_mx_backup`
    PermitMxBackup,
    /// `reject_plaintext_session`
    RejectPlaintextSession,
    /// `reject_unknown_reverse_client_hostname`
    RejectUnknownReverseClientHostname,
    /// `reject_unknown_forward_client_hostname`
    RejectUnknownForwardClientHostname,
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
    /// `reject_unlisted_sender`, `reject_unlisted_recipient`
    RejectUnlisted(Subject),
    /// `reject_sender_login_mismatch` and its relatives
    RejectSenderLoginMismatch(Logins),
    /// `reject_unauth_destination`
    RejectUnauthDestination,
    /// `defer_unauth_destination`
    DeferUnauthDestination,
    /// `reject_multi_recipient_bounce`
    RejectMultiRecipientBounce,
    /// `reject_rbl_client`
    RejectRblClient(DnsList),
    /// `reject_rhsbl_client`, `_reverse_client`, `_helo`, `_sender`, `_recipient`
    RejectRhsbl(Subject, DnsList),
    /// `permit_dnswl_client`
    PermitDnswlClient(DnsList),
    /// `permit_rhswl_client`
    PermitRhswlClient(DnsList),
    /// `check_client_access`, `check_reverse_client_hostname_access`, `check_helo_access`, `check_sender_access`,
    /// `check_recipient_access`, `check_ccert_access`, `check_sasl_access`, `check_etrn_access`
    CheckAccess(Subject, Arc<Access>),
    /// `check_client_mx_access` and its relatives: by the mail servers (MX), the name servers (NS) or the addresses (A)
    CheckServerAccess(Subject, RecordType, Arc<Access>),
    /// `check_policy_service`
    CheckPolicyService(Arc<PolicyService>),
    /// `check_greylist`
    CheckGreylist,
    /// `sleep`
    Sleep(Duration),
    /// One of Postfix's that has no say here, and why.
    Silent(&'static str),
}

/// Whose senders `reject_sender_login_mismatch` and its relatives look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logins {
    /// Everybody's: who has logged in must own the sender, who has not must not use an owned one.
    All,
    /// Only of those who have logged in.
    Authenticated,
    /// Only of those who have not logged in.
    Unauthenticated,
    /// Everybody's, as far as the sender has an owner.
    Known,
}

/// An access table, and the restrictions that its rows name instead of an action.
#[derive(Debug)]
pub struct Access {
    /// The table.
    pub table: Arc<Table>,
    pub(crate) lists: RowLists,
    /// Which digests of a certificate are looked up, in order.
    pub(crate) search_order: Vec<Digest>,
}

/// A digest that a certificate is known by (Postfix: `search_order` of `check_ccert_access`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// `cert_fingerprint`
    Certificate,
    /// `pubkey_fingerprint`
    PublicKey,
}

impl Access {
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup::new(std::slice::from_ref(&self.table))
    }
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
    /// The client's certificate, by its digest and that of its key.
    Certificate,
    /// Who has logged in.
    SaslUser,
    /// The argument of ETRN.
    Etrn,
}

impl Subject {
    /// The words that Postfix's replies use for it.
    #[must_use]
    pub fn reply_class(self) -> &'static str {
        match self {
            Self::Client => "Client host",
            Self::ReverseClient => "Unverified Client host",
            Self::Helo => "Helo command",
            Self::Sender => "Sender address",
            Self::Recipient => "Recipient address",
            Self::Certificate => "Client certificate",
            Self::SaslUser => "SASL login name",
            Self::Etrn => "Etrn command",
        }
    }
}

/// Whether a restriction can answer from what is known, must ask, or acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Known from the facts and the settings alone.
    Local,
    /// Local where the client's name is known already (behind Postfix), else it asks for that.
    AsksForClientName,
    /// It asks the DNS; pure, given the answers.
    Asks,
    /// It does something outside, or others do on its behalf: only when its turn comes, and once.
    Acts,
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
    /// A policy service: `inet:host:port` or `unix:path`, alone or in braces with options.
    PolicyService,
    /// A number of seconds.
    Seconds,
}

impl Argument {
    /// In words, for a message that misses it.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::List => "the domain of a DNS list",
            Self::Table => "a table (type:name)",
            Self::PolicyService => "a policy service (inet:host:port or unix:path)",
            Self::Seconds => "a number of seconds",
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
    ServerTable(Subject, RecordType),
    PolicyService,
    Sleep,
}
