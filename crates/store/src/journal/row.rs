//! A row: a decision with all that it rests on.

use std::sync::Arc;
use std::time::Duration;

use facts::{
    Allowance, Certificate, Client, ClientName, Decision, Deferral, DnsAnswer, DnsFailure, Encryption, Enforced,
    Envelope, Evidence, Facts, Greeting, Greylisted, MessageAction, Outcome, Reason, Recipient, Record, RecordType,
    Refusal, Reply, Stage, Verdict,
};

use super::codec::{Field, In, Out, choices, fields};

/// A decision and its circumstances: enough to decide again.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was decided, with every finding.
    pub decision: Decision,
    /// The door through which it was asked for.
    pub door: &'static str,
    /// The stage at which it was asked for.
    pub stage: Stage,
    /// What was known.
    pub facts: Arc<Facts>,
    /// How long it took.
    pub elapsed: Duration,
    /// Tells the settings by which it was decided from others.
    pub settings: u32,
}

impl Row {
    /// The same row without what each restriction found: that is the part that strangers can make long.
    #[must_use]
    pub fn without_findings(&self) -> Self {
        let &Self { ref decision, door, stage, ref facts, elapsed, settings } = self;
        let &Decision { id, time, verdict, stage: said_at, restriction, reason, dns_queries, .. } = decision;
        let Decision { reply, deferral, actions, enforced, .. } = decision;
        let decision = Decision {
            id,
            time,
            verdict,
            reply: reply.clone(),
            deferral: deferral.clone(),
            stage: said_at,
            restriction,
            reason,
            actions: actions.clone(),
            findings: Vec::new(),
            dns_queries,
            enforced: enforced.clone(),
        };
        Self { decision, door, stage, facts: Arc::clone(facts), elapsed, settings }
    }

    /// The zone of the DNS list that settled it, if one did.
    pub(crate) fn settling_list(&self) -> Option<&str> {
        let settling = self.decision.restriction?;
        let of_settling = self.decision.findings.iter().filter(|finding| finding.restriction == settling);
        of_settling.flat_map(|finding| &finding.evidence).find_map(|evidence| match evidence {
            Evidence::Listing { zone, .. } => Some(&**zone),
            _ => None,
        })
    }
}

// The first eight octets of a row are the id, so that it is found without reading the rest.
fields! {
    Row { decision, door, stage, facts, elapsed, settings }
    Decision { id, time, verdict, reply, deferral, stage, restriction, reason, actions, findings, dns_queries,
               enforced }
    Refusal { reply, deferral }
    Reply { code, enhanced, text }
    DnsAnswer { name, record_type, result }
    Facts { client, greeting, sasl_username, envelope, recipient, etrn_domain, instance }
    Client { address, port, name, reverse_name, encryption }
    Certificate { trusted_name, fingerprint, pubkey_fingerprint }
    Greeting { helo_name }
    Envelope { sender, recipient_count }
    Recipient { address }
}

choices! {
    Enforced { 0 => Whole, 1 => Nothing, 2 => RelayControl(refusal) }
    Deferral { 0 => None, 1 => IfPermit, 2 => IfReject(reply) }
    MessageAction { 0 => Filter(text), 1 => Redirect(text), 2 => Bcc(text), 3 => Prepend(text) }
    ClientName { 0 => Known(name), 1 => Unknown, 2 => Unclear }
    Encryption { 0 => Unknown, 1 => Plaintext, 2 => Tls(certificate) }
    RecordType { 0 => A, 1 => Aaaa, 2 => Mx, 3 => Ns, 4 => Ptr, 5 => Txt }
    Record { 0 => A(address), 1 => Aaaa(address), 2 => Mx { preference, exchange }, 3 => Ns(name), 4 => Ptr(name),
             5 => Txt(text) }
    DnsFailure { 0 => NxDomain, 1 => NoData, 2 => AliasLoop, 3 => ServFail, 4 => Refused, 5 => Timeout,
                 6 => Unreachable, 7 => Malformed, 8 => NotRecorded }
    Greylisted { 0 => New { wait }, 1 => TooEarly { first, wait }, 2 => Passed { waited, first_time, client_count },
                 3 => KnownClient { count }, 4 => Allowed { by, since }, 5 => Correspondent { last } }
    Allowance { 0 => Client, 1 => ClientName, 2 => Sender, 3 => SenderDomain }
    Stage { 0 => Connect, 1 => Helo, 2 => Etrn, 3 => Mail, 4 => Rcpt, 5 => Data, 6 => EndOfData }
    Outcome { 0 => Dunno, 1 => Permit, 2 => Reject, 3 => Defer, 4 => DeferIfPermit, 5 => DeferIfReject, 6 => Hold,
              7 => Discard, 8 => Warn }
}

/// An enum of bare words, and the list of them all.
macro_rules! words {
    ($($all:ident: $type:ident { $($code:literal => $variant:ident),* $(,)? })*) => {$(
        #[doc = concat!("Every `", stringify!($type), "`.")]
        pub const $all: &[$type] = &[$($type::$variant),*];
        choices! { $type { $($code => $variant),* } }
    )*};
}

words! {
    VERDICTS: Verdict { 0 => Permit, 1 => Defer, 2 => Reject, 3 => Hold, 4 => Discard }
    REASONS: Reason {
        0 => NoObjection, 1 => Configured, 2 => OwnNetwork, 3 => Authenticated, 4 => OwnAddress, 5 => Certificate,
        6 => OwnDestination, 7 => BackupMx, 8 => AccessTable, 9 => PolicyService, 10 => WelcomeListed, 11 => Greylisted,
        12 => BlockListed, 13 => ReverseNameMissing, 14 => ClientNameMissing, 15 => HeloMissing, 16 => HeloInvalid,
        17 => HeloNotFqdn, 18 => HeloUnknown, 19 => SenderNotFqdn, 20 => SenderDomainUnknown, 21 => SenderDomainNullMx,
        22 => RecipientNotFqdn, 23 => RecipientDomainUnknown, 24 => RecipientDomainNullMx, 25 => RelayDenied,
        26 => RecipientUnknown, 27 => SenderUnknown, 28 => SenderNotOwned, 29 => Plaintext, 30 => MultiRecipientBounce,
        31 => DnsFailure, 32 => TableFailure, 33 => PolicyFailure, 34 => Deadline, 35 => Fault,
    }
}

/// Zones, tables, their rows and services come again and again; what strangers send does not.
impl Field for Evidence {
    fn write(&self, out: &mut Out) {
        match self {
            Self::Dns(answer) => {
                out.octets.push(0);
                answer.write(out);
            }
            Self::Listing { zone, listed } => {
                out.octets.push(1);
                out.term(zone);
                out.text(listed);
            }
            Self::Table { table, key, value, line } => {
                out.octets.push(2);
                out.term(table);
                out.text(key);
                out.term(value);
                line.write(out);
            }
            Self::Policy { service, action } => {
                out.octets.push(3);
                out.term(service);
                out.term(action);
            }
            Self::Note(words) => {
                out.octets.push(4);
                out.text(words);
            }
            Self::Greylist(answer) => {
                out.octets.push(5);
                answer.write(out);
            }
        }
    }

    fn read(from: &mut In<'_>) -> Option<Self> {
        Some(match from.octet()? {
            0 => Self::Dns(Field::read(from)?),
            1 => Self::Listing { zone: from.term()?.into(), listed: from.text()?.into() },
            2 => Self::Table {
                table: from.term()?.into(),
                key: from.text()?.into(),
                value: from.term()?.into(),
                line: Field::read(from)?,
            },
            3 => Self::Policy { service: from.term()?.into(), action: from.term()?.into() },
            4 => Self::Note(from.text()?.into()),
            5 => Self::Greylist(Field::read(from)?),
            _ => return None,
        })
    }
}
