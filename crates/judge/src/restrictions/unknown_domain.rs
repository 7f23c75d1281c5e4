//! `reject_unknown_sender_domain`, `reject_unknown_recipient_domain`.

use facts::{DnsAnswer, EmailAddress, Reason, Record, RecordType, Reply, hostname};

use super::hosts::has_null_mx;
use crate::case::Case;
use crate::destination::Class;
use crate::reply::{Named, TEMPFAIL_CODE};
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

/// Refuses an address whose domain takes no mail: no MX, A or AAAA record, or a null MX (RFC 7505). Addresses that
/// end here and address literals pass.
pub(super) async fn reject_unknown_domain(case: &Case, subject: Subject) -> Ruling {
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        return Ruling::dunno();
    };
    let domain = destination.domain();
    if destination.class == Class::Final || domain.starts_with('[') && domain.ends_with(']') {
        return Ruling::dunno();
    }
    let code = case.settings.postfix.unknown_address_reject_code.0;
    let refusals = Refusals { subject, address, domain, code };
    let Some(name) = dns::ascii_hostname(domain) else {
        return refusals.refuse("Domain not found");
    };
    let mut answers = Vec::new();
    for record_type in [RecordType::Mx, RecordType::A, RecordType::Aaaa] {
        let answer = case.asker.lookup(&*name, record_type).await;
        if let Some(ruling) = refusals.rule(&answer) {
            return ruling.on(answers.into_iter().chain([answer]));
        }
        answers.push(answer);
    }
    if answers.iter().any(|answer| answer.failure().is_some_and(|failure| failure.is_temporary())) {
        let parameters = &case.settings.postfix;
        let action = parameters.unknown_address_tempfail_action.unwrap_or(parameters.reject_tempfail_action);
        let reply = Refusals { code: TEMPFAIL_CODE, ..refusals }.reply("Domain not found");
        return Ruling::unknown(UnknownClass::Domain(action), reply).on(answers);
    }
    refusals.refuse("Domain not found").on(answers)
}

/// What an address may be refused for.
struct Refusals<'a> {
    subject: Subject,
    address: &'a EmailAddress,
    domain: &'a str,
    code: u16,
}

impl Refusals<'_> {
    /// What one answer settles, if anything.
    fn rule(&self, answer: &DnsAnswer) -> Option<Ruling> {
        let records = answer.records();
        let exchanges = records.iter().filter_map(|record| match record {
            Record::Mx { exchange, .. } => Some(exchange),
            _ => None,
        });
        if has_null_mx(answer) {
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
        Ruling::refuse(self.reply(why), reason)
    }

    fn reply(&self, why: &str) -> Reply {
        let enhanced = if self.subject == Subject::Sender { "4.1.8" } else { "4.1.2" };
        self.named().rejected(self.code, enhanced, why)
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
}
