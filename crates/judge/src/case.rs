//! All that a restriction may look at.

use std::net::IpAddr;
use std::sync::Arc;

use dns::lists::reversed;
use facts::{Client, ClientName, DnsAnswer, EmailAddress, Facts, Record, RecordType, hostname};

use crate::Settings;
use crate::restriction::Subject;

/// One decision in the making: the facts, the settings, and whom to ask. Shared by the questions in flight.
pub(crate) struct Case {
    pub(crate) settings: Arc<Settings>,
    pub(crate) facts: Facts,
    pub(crate) asker: dns::Asker,
}

impl Case {
    pub(crate) fn client(&self) -> &Client {
        &self.facts.client
    }

    pub(crate) fn helo_name(&self) -> Option<&str> {
        self.facts.greeting.as_deref().map(|greeting| &*greeting.helo_name)
    }

    /// The sender, where one was named: not at earlier stages, and not for the null sender.
    pub(crate) fn sender(&self) -> Option<&EmailAddress> {
        self.facts.envelope.as_deref()?.sender.as_ref()
    }

    pub(crate) fn recipient(&self) -> Option<&EmailAddress> {
        self.facts.recipient.as_deref().map(|recipient| &recipient.address)
    }

    /// The sender or the recipient.
    pub(crate) fn address(&self, subject: Subject) -> Option<&EmailAddress> {
        if subject == Subject::Sender { self.sender() } else { self.recipient() }
    }

    /// What Postfix calls the client in its replies: `name[address]`.
    pub(crate) fn name_and_address(&self, name: &ClientName) -> String {
        format!("{}[{}]", name.as_str(), self.client().address)
    }
}

/// The names of a client, and the answers from which they are known; none where Postfix had looked already.
pub(crate) struct Names {
    pub(crate) verified: ClientName,
    pub(crate) reverse: ClientName,
    pub(crate) answers: Vec<Arc<DnsAnswer>>,
}

impl Case {
    /// The client's names, where nobody must be asked for them.
    pub(crate) fn names_known(&self) -> Option<Names> {
        let client = self.client();
        let (verified, reverse) = (client.name.clone()?, client.reverse_name.clone()?);
        Some(Names { verified, reverse, answers: Vec::new() })
    }

    /// The client's names: its PTR record, and whether that name leads back to the address (Postfix:
    /// smtpd_peer.c; "forward-confirmed reverse DNS"). Asking again costs nothing: the answers are cached.
    pub(crate) async fn names(&self) -> Names {
        if let Some(names) = self.names_known() {
            return names;
        }
        let mut answers = Vec::new();
        let client = self.client();
        let reverse = match &client.reverse_name {
            Some(name) => name.clone(),
            None => self.reverse_name(&mut answers).await,
        };
        let verified = match (&client.name, &reverse) {
            (Some(name), _) => name.clone(),
            (None, ClientName::Known(name)) => self.leads_back(name, &mut answers).await,
            (None, none) => none.clone(),
        };
        Names { verified, reverse, answers }
    }

    async fn reverse_name(&self, answers: &mut Vec<Arc<DnsAnswer>>) -> ClientName {
        let answer = self.asker.lookup(&reverse_question(self.client().address), RecordType::Ptr).await;
        answers.push(Arc::clone(&answer));
        // Only the first name counts, as with gethostbyaddr(3).
        match answer.records().first() {
            // A name that is none, or only digits, would fool whoever reads the log.
            Some(Record::Ptr(name)) if hostname::is_hostname(name) => ClientName::Known((**name).into()),
            Some(_) => ClientName::Unknown,
            None => unless_temporary(&answer),
        }
    }

    async fn leads_back(&self, name: &Arc<str>, answers: &mut Vec<Arc<DnsAnswer>>) -> ClientName {
        let address = self.client().address;
        let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let answer = self.asker.lookup(name, record_type).await;
        answers.push(Arc::clone(&answer));
        let leads_back = answer.records().iter().any(|record| match record {
            Record::A(found) => IpAddr::V4(*found) == address,
            Record::Aaaa(found) => IpAddr::V6(*found) == address,
            _ => false,
        });
        if leads_back { ClientName::Known(Arc::clone(name)) } else { unless_temporary(&answer) }
    }
}

fn unless_temporary(answer: &DnsAnswer) -> ClientName {
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        ClientName::Unclear
    } else {
        ClientName::Unknown
    }
}

/// The name under which an address has its PTR record (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse_question(address: IpAddr) -> String {
    reversed(address, if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" })
}
