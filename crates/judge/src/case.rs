//! All that a restriction may look at.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use dns::lists::reversed;
use facts::{
    Certificate, Client, ClientName, DnsAnswer, EmailAddress, Encryption, Facts, Record, RecordType, Stage, hostname,
};

use crate::Settings;
use crate::destination::Destination;
use crate::outside::Outside;
use crate::restriction::Subject;

/// One decision in the making: the facts, the settings, and whom to ask. Shared by the questions in flight.
pub(crate) struct Case {
    pub(crate) settings: Arc<Settings>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) asker: dns::Asker,
    pub(crate) outside: Outside,
    /// Where the session stands, or stood when these facts were known.
    pub(crate) stage: Stage,
    pub(crate) now: SystemTime,
    /// Where the sender's and the recipient's mail goes: several restrictions want to know.
    destinations: [OnceLock<Destination>; 2],
    /// The client's address as text, and as the DNS is asked for it: by every list.
    address_text: OnceLock<String>,
    reversed_address: OnceLock<String>,
    /// Whether the client is in `mynetworks`: every list begins with that.
    is_ours: OnceLock<Result<bool, String>>,
}

impl Case {
    pub(crate) fn new(
        settings: Arc<Settings>,
        facts: Arc<Facts>,
        stage: Stage,
        asker: dns::Asker,
        outside: Outside,
        now: SystemTime,
    ) -> Self {
        Self {
            settings,
            facts,
            asker,
            outside,
            stage,
            now,
            destinations: Default::default(),
            address_text: OnceLock::new(),
            reversed_address: OnceLock::new(),
            is_ours: OnceLock::new(),
        }
    }

    /// Where mail to the sender or to the recipient goes.
    pub(crate) fn destination(&self, subject: Subject) -> Option<&Destination> {
        let address = self.address(subject)?;
        let memory = &self.destinations[usize::from(subject == Subject::Sender)];
        Some(memory.get_or_init(|| Destination::of(address, &self.settings)))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.facts.client
    }

    /// The client's address as text.
    pub(crate) fn address_text(&self) -> &str {
        self.address_text.get_or_init(|| hostname::address_text(self.client().address))
    }

    /// The client's address, [`reversed`].
    pub(crate) fn reversed_address(&self) -> &str {
        self.reversed_address.get_or_init(|| reversed(self.client().address))
    }

    /// Whether the client is in `mynetworks`.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub(crate) fn is_in_mynetworks(&self) -> Result<bool, &str> {
        let is_ours = self.is_ours.get_or_init(|| self.settings.mynetworks.contains(self.client().address));
        is_ours.as_ref().copied().map_err(String::as_str)
    }

    pub(crate) fn helo_name(&self) -> Option<&str> {
        self.facts.greeting.as_ref().map(|greeting| &*greeting.helo_name)
    }

    /// The sender, where one was named: not at earlier stages, and not for the null sender.
    pub(crate) fn sender(&self) -> Option<&EmailAddress> {
        self.facts.envelope.as_ref()?.sender.as_ref()
    }

    pub(crate) fn recipient(&self) -> Option<&EmailAddress> {
        self.facts.recipient.as_ref().map(|recipient| &recipient.address)
    }

    /// The sender or the recipient.
    pub(crate) fn address(&self, subject: Subject) -> Option<&EmailAddress> {
        if subject == Subject::Sender { self.sender() } else { self.recipient() }
    }

    /// What the client has said: its HELO name, an address, the argument of ETRN.
    pub(crate) fn said(&self, subject: Subject) -> Option<&str> {
        match subject {
            Subject::Helo => self.helo_name(),
            Subject::Sender | Subject::Recipient => self.address(subject).map(EmailAddress::as_str),
            Subject::Etrn => self.facts.etrn_domain.as_deref(),
            Subject::Client | Subject::ReverseClient | Subject::Certificate | Subject::SaslUser => None,
        }
    }

    /// Who has logged in, if anybody.
    pub(crate) fn sasl_username(&self) -> Option<&str> {
        self.facts.sasl_username.as_deref()
    }

    /// The certificate that the client has shown, if any.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match &self.client().encryption {
            Encryption::Tls(certificate) => certificate.as_deref(),
            Encryption::Unknown | Encryption::Plaintext => None,
        }
    }

    /// What Postfix calls the client in its replies: `name[address]`.
    pub(crate) fn name_and_address(&self, name: &ClientName) -> String {
        format!("{}[{}]", name.as_str(), self.client().address)
    }
}

/// A name of the client, and the answers from which it is known; none where Postfix had looked already.
pub(crate) struct Looked {
    pub(crate) name: ClientName,
    pub(crate) answers: Vec<Arc<DnsAnswer>>,
}

/// Looking for the client's names costs nothing the second time: the answers are cached.
impl Case {
    /// Whether nobody must be asked for the client's names.
    pub(crate) fn knows_names(&self) -> bool {
        self.client().name.is_some() && self.client().reverse_name.is_some()
    }

    /// The verified or the reverse name of the client, where nobody must be asked for it.
    pub(crate) fn name_known(&self, subject: Subject) -> Option<Looked> {
        let client = self.client();
        let name = if subject == Subject::ReverseClient { &client.reverse_name } else { &client.name };
        name.clone().map(|name| Looked { name, answers: Vec::new() })
    }

    /// The verified or the reverse name of the client.
    pub(crate) async fn name(&self, subject: Subject) -> Looked {
        match self.name_known(subject) {
            Some(looked) => looked,
            None if subject == Subject::ReverseClient => self.reverse_name().await,
            None => self.verified_name().await,
        }
    }

    /// The same as the DNS says, whatever Postfix says: its `unknown` may mean that the DNS could not answer.
    pub(crate) async fn name_asked(&self, subject: Subject) -> Looked {
        let reverse = self.reverse_name().await;
        if subject == Subject::ReverseClient { reverse } else { self.confirmed(reverse).await }
    }

    /// The name that the PTR record gives.
    async fn reverse_name(&self) -> Looked {
        // RFC 1035 §3.5, RFC 3596 §2.5
        let zone = if self.client().address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
        let answer = self.asker.lookup([self.reversed_address(), ".", zone].concat(), RecordType::Ptr).await;
        // Only the first name counts, as with gethostbyaddr(3).
        let name = match answer.records().first() {
            // A name that is none, or only digits, would fool whoever reads the log.
            Some(Record::Ptr(name)) if hostname::is_hostname(name) => ClientName::Known((**name).into()),
            Some(_) => ClientName::Unknown,
            None => unless_temporary(&answer),
        };
        Looked { name, answers: vec![answer] }
    }

    /// The reverse name, if it leads back to the client's address (Postfix: smtpd_peer.c; "forward-confirmed
    /// reverse DNS").
    async fn verified_name(&self) -> Looked {
        let reverse = match self.name_known(Subject::ReverseClient) {
            Some(looked) => looked,
            None => self.reverse_name().await,
        };
        self.confirmed(reverse).await
    }

    async fn confirmed(&self, Looked { name: reverse, mut answers }: Looked) -> Looked {
        let ClientName::Known(name) = reverse else { return Looked { name: reverse, answers } };
        let address = self.client().address;
        let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        let answer = self.asker.lookup(&*name, record_type).await;
        let leads_back = answer.records().iter().any(|record| match record {
            Record::A(found) => IpAddr::V4(*found) == address,
            Record::Aaaa(found) => IpAddr::V6(*found) == address,
            _ => false,
        });
        let name = if leads_back { ClientName::Known(name) } else { unless_temporary(&answer) };
        answers.push(answer);
        Looked { name, answers }
    }
}

fn unless_temporary(answer: &DnsAnswer) -> ClientName {
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        ClientName::Unclear
    } else {
        ClientName::Unknown
    }
}
