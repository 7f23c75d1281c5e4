//! `reject_rbl_client`, `reject_rhsbl_client`, `_reverse_client`, `_helo`, `_sender`, `_recipient`, and
//! `permit_dnswl_client`, `permit_rhswl_client`.

use std::borrow::Cow;

use dns::lists::DnsList;
use facts::{ClientName, DnsAnswer, Evidence, Reason, Record, RecordType, Stage, domain_of};

use super::rbl_reply::Listed;
use crate::case::Case;
use crate::destination::Destination;
use crate::reply::{Named, reply, server_error};
use crate::restriction::Subject;
use crate::ruling::{Ruling, UnknownClass};

/// How much of a list's text goes into a reply, in octets.
const TEXT_LENGTH_MAX: usize = 500;

/// Refuses clients whose address is listed.
pub(super) async fn reject_rbl_client(case: &Case, list: &DnsList) -> Ruling {
    let address = case.client().address;
    let question = list.question(case.reversed_address());
    reject_if_listed(case, list, question, Subject::Client, || address.to_string()).await
}

/// Refuses clients, HELO names and addresses whose domain is listed.
pub(super) async fn reject_rhsbl(case: &Case, subject: Subject, list: &DnsList) -> Ruling {
    let looked;
    let mut answers = Vec::new();
    let what = match subject {
        Subject::Client | Subject::ReverseClient => {
            looked = case.name(subject).await;
            answers = looked.answers;
            match &looked.name {
                ClientName::Known(name) => Some(&**name),
                ClientName::Unknown | ClientName::Unclear => None,
            }
        }
        said => case.said(said),
    };
    let question = what.and_then(listed_domain).map(|domain| list.question(&domain));
    let (Some(what), Some(question)) = (what, question) else { return Ruling::dunno().on(answers) };
    reject_if_listed(case, list, question, subject, || what.to_owned()).await.after(answers)
}

/// Lets clients in whose address is listed, if the recipient is ours.
pub(super) async fn permit_dnswl_client(case: &Case, list: &DnsList) -> Ruling {
    let address = case.client().address;
    permit_if_listed(case, list, list.question(case.reversed_address()), || address.to_string()).await
}

/// Lets clients in whose verified name is in a listed domain, if the recipient is ours.
pub(super) async fn permit_rhswl_client(case: &Case, list: &DnsList) -> Ruling {
    let looked = case.name(Subject::Client).await;
    let ClientName::Known(name) = &looked.name else { return Ruling::dunno().on(looked.answers) };
    let Some(domain) = listed_domain(name) else { return Ruling::dunno().on(looked.answers) };
    permit_if_listed(case, list, list.question(&domain), || name.to_string()).await.after(looked.answers)
}

/// The evidence that a client is on a list of welcome hosts, if it is. A list that cannot answer lists nobody.
pub(super) async fn welcoming(case: &Case, list: &DnsList) -> Option<[Evidence; 2]> {
    if list.retired().is_some() {
        return None;
    }
    let answer = case.asker.lookup(list.question(case.reversed_address()), RecordType::A).await;
    let address = case.client().address.to_string();
    list.counts(&answer).then(|| [listing(list, &address), Evidence::Dns(answer)])
}

/// At RCPT a welcome list opens the door to our own addresses only. Which those are, Postfix knows where we do not. Once a
/// message comes, and at VRFY, nothing is at stake.
fn is_authorized(case: &Case) -> bool {
    let is_rcpt = case.stage == Stage::Rcpt && case.facts.envelope.is_some();
    !is_rcpt
        || !case.settings.knows_domains()
        || case.destination(Subject::Recipient).is_none_or(Destination::is_authorized)
}

/// A list that nobody runs any more says nothing.
fn not_asked(list: &DnsList) -> Option<Ruling> {
    let since = list.retired()?;
    Some(Ruling::dunno().noting(format!("{} was closed ({since}): not asked", list.zone)))
}

/// The domain to ask for, in ASCII: not for literals, and not for names that end in digits, which some lists answer
/// with an error that looks like a listing.
fn listed_domain(what: &str) -> Option<Cow<'_, str>> {
    let domain = domain_of(what).unwrap_or(what);
    let mut last_label = domain.bytes().rev().take_while(|byte| *byte != b'.');
    if domain.starts_with('[') || !domain.ends_with('.') && last_label.all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    dns::ascii_hostname(domain)
}

async fn permit_if_listed(case: &Case, list: &DnsList, question: String, what: impl Fn() -> String) -> Ruling {
    if !is_authorized(case) {
        return Ruling::dunno().noting("the recipient is not ours: a welcome host must not relay");
    }
    if let Some(ruling) = not_asked(list) {
        return ruling;
    }
    let answer = case.asker.lookup(question, RecordType::A).await;
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        let named = Named { name: &what(), class: Subject::Client.reply_class() };
        let reply = named.rejected(450, "4.7.1", "Service unavailable");
        return Ruling::unknown(UnknownClass::WelcomeList, reply).on([answer]);
    }
    if !list.counts(&answer) {
        return Ruling::dunno().on([answer]);
    }
    Ruling::permit(Reason::WelcomeListed).with(listing(list, &what())).on([answer])
}

async fn reject_if_listed(
    case: &Case,
    list: &DnsList,
    question: String,
    subject: Subject,
    what: impl Fn() -> String,
) -> Ruling {
    if let Some(ruling) = not_asked(list) {
        return ruling;
    }
    let answer = case.asker.lookup(question, RecordType::A).await;
    if answer.failure().is_some_and(|failure| failure.is_temporary()) {
        let reply = reply(450, "4.7.1", "Service unavailable");
        return Ruling::unknown(UnknownClass::BlockList, reply).on([answer]);
    }
    if !list.counts(&answer) {
        return Ruling::dunno().on([answer]);
    }
    // Only a listing is worth a second question.
    let text = case.asker.lookup(&*answer.name, RecordType::Txt).await;
    let what = what();
    let ruling = match (Listed { list, what: &what, subject, text: &joined_text(&text) }).reply(case) {
        Ok((reply, remark)) => remark.into_iter().fold(Ruling::refuse(reply, Reason::BlockListed), Ruling::with),
        Err(why) => Ruling::unknown(UnknownClass::Table, server_error()).noting(why),
    };
    ruling.with(listing(list, &what)).on([answer, text])
}

fn listing(list: &DnsList, what: &str) -> Evidence {
    Evidence::Listing { zone: list.zone.clone(), listed: what.into() }
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
