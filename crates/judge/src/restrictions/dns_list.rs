//! `reject_rbl_client`, `reject_rhsbl_client`, `_reverse_client`, `_helo`, `_sender`, `_recipient`, and
//! `permit_dnswl_client`.

use std::sync::Arc;

use dns::lists::DnsList;
use facts::{ClientName, DnsAnswer, EmailAddress, Evidence, Reason, Record, RecordType, Reply, hostname};

use super::{Begun, asking};
use crate::case::Case;
use crate::destination::Destination;
use crate::reply::{Named, reply};
use crate::restriction::{Kind, Restriction, Subject};
use crate::ruling::{Ruling, UnknownClass};

// Postfix: maps_rbl_reject_code.
const CODE: u16 = 554;
/// How much of a list's text goes into a reply, in octets.
const TEXT_LENGTH_MAX: usize = 500;

/// Asks the list of `restriction`.
pub(super) fn begin(case: &Arc<Case>, restriction: &Arc<Restriction>) -> Begun {
    let list = match &restriction.kind {
        Kind::RejectRblClient(list) | Kind::RejectRhsbl(_, list) | Kind::PermitDnswlClient(list) => list,
        _ => return Ruling::dunno().into(),
    };
    if let Some(since) = list.retired() {
        return Ruling::dunno().noting(format!("{} was closed ({since}): not asked", list.zone)).into();
    }
    let case = Arc::clone(case);
    let restriction = Arc::clone(restriction);
    match &restriction.kind {
        Kind::PermitDnswlClient(_) if !is_authorized(&case) => {
            Ruling::dunno().noting("the recipient is not ours: a welcome host must not relay").into()
        }
        Kind::RejectRhsbl(subject, _) if lacks(&case, *subject) => Ruling::dunno().into(),
        _ => asking(async move { ask(&case, &restriction.kind).await }),
    }
}

async fn ask(case: &Case, kind: &Kind) -> Ruling {
    match kind {
        Kind::RejectRblClient(list) => reject_address(case, list).await,
        Kind::RejectRhsbl(subject, list) => reject_domain(case, *subject, list).await,
        Kind::PermitDnswlClient(list) => permit_address(case, list).await,
        _ => Ruling::dunno(),
    }
}

/// A welcome list opens the door to our own addresses only. Which those are, Postfix knows where we do not.
fn is_authorized(case: &Case) -> bool {
    !case.settings.knows_domains()
        || case.recipient().is_none_or(|recipient| Destination::of(recipient, &case.settings).is_authorized())
}

/// Whether there is nothing to ask for.
fn lacks(case: &Case, subject: Subject) -> bool {
    match subject {
        Subject::Client | Subject::ReverseClient => false,
        Subject::Helo => case.helo_name().is_none(),
        Subject::Sender | Subject::Recipient => case.address(subject).is_none(),
    }
}

async fn reject_address(case: &Case, list: &DnsList) -> Ruling {
    let address = case.client().address;
    let question = list.address_question(address);
    reject_if_listed(case, list, &question, &address.to_string(), Subject::Client).await
}

async fn reject_domain(case: &Case, subject: Subject, list: &DnsList) -> Ruling {
    let mut answers = Vec::new();
    let what = match subject {
        Subject::Client | Subject::ReverseClient => {
            let looked = case.name(subject).await;
            answers = looked.answers;
            let ClientName::Known(name) = looked.name else { return Ruling::dunno().on(answers) };
            name.to_string()
        }
        Subject::Helo => case.helo_name().unwrap_or_default().to_owned(),
        Subject::Sender | Subject::Recipient => case.address(subject).map_or("", EmailAddress::as_str).to_owned(),
    };
    let Some(domain) = listed_domain(&what) else { return Ruling::dunno().on(answers) };
    let mut ruling = reject_if_listed(case, list, &list.domain_question(&domain), &what, subject).await;
    ruling.evidence.splice(0..0, answers.into_iter().map(Evidence::Dns));
    ruling
}

/// The domain to ask for, in ASCII: not for literals, and not for names that end in digits, which some lists answer
/// with an error that looks like a listing.
fn listed_domain(what: &str) -> Option<String> {
    let domain = what.rsplit_once('@').map_or(what, |(_, domain)| domain);
    let last = domain.rsplit('.').next().unwrap_or(domain);
    if domain.starts_with('[') || last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty() {
        return None;
    }
    dns::to_ascii(domain).filter(|domain| hostname::is_hostname(domain)).map(|domain| domain.to_ascii_lowercase())
}

async fn reject_if_listed(case: &Case, list: &DnsList, question: &str, what: &str, subject: Subject) -> Ruling {
    let answer = case.asker.lookup(question, RecordType::A).await;
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        let reply = reply(450, "4.7.1", "Service unavailable");
        return Ruling::unknown(UnknownClass::BlockList, reply).on([answer]);
    }
    if !list.counts(&answer) {
        return Ruling::dunno().on([answer]);
    }
    // Only a listing is worth a second question.
    let text = case.asker.lookup(question, RecordType::Txt).await;
    let reply = blocked(list, what, subject, &joined_text(&text));
    Ruling::refuse(reply, Reason::BlockListed).with(listing(list, what)).on([answer, text])
}

async fn permit_address(case: &Case, list: &DnsList) -> Ruling {
    let address = case.client().address;
    let answer = case.asker.lookup(&list.address_question(address), RecordType::A).await;
    let address = address.to_string();
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        let named = Named { name: &address, class: Subject::Client.reply_class() };
        let reply = named.rejected(450, "4.7.1", "Service unavailable");
        return Ruling::unknown(UnknownClass::WelcomeList, reply).on([answer]);
    }
    if !list.counts(&answer) {
        return Ruling::dunno().on([answer]);
    }
    Ruling::permit(Reason::WelcomeListed).with(listing(list, &address)).on([answer])
}

fn listing(list: &DnsList, what: &str) -> Evidence {
    Evidence::Listing { zone: list.zone.clone(), listed: what.into() }
}

/// Postfix: default_rbl_reply.
fn blocked(list: &DnsList, what: &str, subject: Subject, text: &str) -> Reply {
    // Postfix: smtpd_expansion_filter.
    let visible = |byte: u8| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '_' };
    let what: String = what.bytes().map(visible).collect();
    let class = subject.reply_class();
    let reason = if text.is_empty() { String::new() } else { format!("; {text}") };
    reply(CODE, "5.7.1", &format!("Service unavailable; {class} [{what}] blocked using {}{reason}", list.zone))
}

/// The texts of a list's answer, joined as Postfix joins them.
fn joined_text(answer: &DnsAnswer) -> String {
    let texts: Vec<&str> = answer
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::Txt(text) => Some(&**text),
            _ => None,
        })
        .collect();
    let printable = |octet: u8| if octet.is_ascii_graphic() { char::from(octet) } else { ' ' };
    let mut joined: String = texts.join(" / ").bytes().map(printable).collect();
    joined.truncate(TEXT_LENGTH_MAX);
    joined
}
