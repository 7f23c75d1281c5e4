//! `reject_unknown_sender_domain`, `reject_unknown_recipient_domain`.

use std::sync::Arc;

use facts::{DnsAnswer, EmailAddress, Reason, Record, RecordType, hostname};

use super::{Begun, asking};
use crate::case::Case;
use crate::destination::{Class, Destination};
use crate::reply::Named;
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

// Postfix: unknown_address_reject_code.
const CODE: u16 = 450;

/// Refuses an address whose domain takes no mail: no MX, A or AAAA record, or a null MX (RFC 7505). Addresses that
/// end here and address literals pass.
pub(super) fn reject_unknown_domain(case: &Arc<Case>, subject: Subject) -> Begun {
    let Some(address) = case.address(subject) else { return Ruling::dunno().into() };
    let destination = Destination::of(address, &case.settings);
    let domain = destination.domain();
    if destination.class == Class::Final || domain.starts_with('[') && domain.ends_with(']') {
        return Ruling::dunno().into();
    }
    let address = address.clone();
    let case = Arc::clone(case);
    asking(async move { Question { case, subject, address, domain: destination.domain().into() }.ask().await })
}

struct Question {
    case: Arc<Case>,
    subject: Subject,
    address: EmailAddress,
    domain: Box<str>,
}

impl Question {
    async fn ask(self) -> Ruling {
        let Some(domain) = dns::to_ascii(&self.domain).filter(|domain| hostname::is_hostname(domain)) else {
            return self.refuse("Domain not found");
        };
        let mut answers = Vec::new();
        for record_type in [RecordType::Mx, RecordType::A, RecordType::Aaaa] {
            let answer = self.case.asker.lookup(&domain, record_type).await;
            answers.push(Arc::clone(&answer));
            if let Some(ruling) = self.rule(&answer) {
                return ruling.on(answers);
            }
        }
        let is_temporary = answers.iter().any(|answer| answer.failure().is_some_and(|failure| failure.is_temporary()));
        if is_temporary {
            let reply = self.named().rejected(450, self.enhanced(), "Domain not found");
            return Ruling::unknown(UnknownClass::Domain, reply).on(answers);
        }
        self.refuse("Domain not found").on(answers)
    }

    /// What one answer settles, if anything.
    fn rule(&self, answer: &DnsAnswer) -> Option<Ruling> {
        let records = answer.records();
        let exchanges = records.iter().filter_map(|record| match record {
            Record::Mx { exchange, .. } => Some(exchange),
            _ => None,
        });
        if exchanges.clone().any(|exchange| exchange.is_empty()) {
            return Some(self.refuse_null_mx());
        }
        // An MX that is no host name leads nowhere; one in digits is wrong as well, but works with some.
        let is_host = |name: &str| hostname::is_hostname(name) || hostname::is_address(name);
        if exchanges.clone().count() > 0 && !exchanges.clone().any(|exchange| is_host(exchange)) {
            return Some(self.refuse("Malformed DNS server reply"));
        }
        (!records.is_empty()).then(Ruling::dunno)
    }

    fn refuse(&self, why: &str) -> Ruling {
        let reason = match self.subject {
            Subject::Sender => Reason::SenderDomainUnknown,
            _ => Reason::RecipientDomainUnknown,
        };
        Ruling::refuse(self.named().rejected(CODE, self.enhanced(), why), reason)
    }

    /// RFC 7505 §4.2: 550 5.7.27 for a sender, 556 5.1.10 for a recipient.
    fn refuse_null_mx(&self) -> Ruling {
        let (code, enhanced, reason) = match self.subject {
            Subject::Sender => (550, "5.7.27", Reason::SenderDomainNullMx),
            _ => (556, "5.1.10", Reason::RecipientDomainNullMx),
        };
        let why = format!("Domain {} does not accept mail (nullMX)", self.domain);
        Ruling::refuse(self.named().rejected(code, enhanced, &why), reason)
    }

    fn named(&self) -> Named<'_> {
        Named { name: self.address.as_str(), class: self.subject.reply_class() }
    }

    fn enhanced(&self) -> &'static str {
        if self.subject == Subject::Sender { "4.1.8" } else { "4.1.2" }
    }
}
