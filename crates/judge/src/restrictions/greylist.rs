//! `check_greylist`: who is not known must come back after a while, as real mail servers do (RFC 6647).

use std::pin::pin;
use std::time::Duration;

use facts::{ClientName, EmailAddress, Evidence, Greylisted, MessageAction, Reason};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use store::Attempt;

use super::dns_list::welcoming;
use crate::case::Case;
use crate::greylist::{Pool, sender_key};
use crate::reply::{Named, TEMPFAIL_CODE};
use crate::restriction::Subject;
use crate::ruling::{Ruling, Says};
use crate::tables::lookup::{Lookup, Row};

/// Says DUNNO to all that need not wait, with the reason; to others, to come back later. Where the memory fails,
/// everybody may pass.
pub(super) async fn check_greylist(case: &Case) -> Ruling {
    let Some(recipient) = case.recipient() else { return Ruling::dunno() };
    if let Some(why) = ours(case) {
        return Ruling::dunno().noting(why);
    }
    // Who asks nobody does not carry about what asking takes, here and below.
    let looked = match case.name_known(Subject::Client) {
        Some(looked) => looked,
        None => Box::pin(case.name(Subject::Client)).await,
    };
    let ruling = match whitelisted(case, &looked.name, recipient) {
        Ok(Some(row)) => Ruling::dunno().with(row.evidence()),
        Err(why) => Ruling::dunno().noting(why),
        Ok(None) => match welcome(case).await {
            Some(ruling) => ruling,
            None => attempt(case, recipient, &looked.name).await,
        },
    };
    ruling.after(looked.answers)
}

/// Why a client is never greylisted.
fn ours(case: &Case) -> Option<&'static str> {
    if case.sasl_username().is_some() {
        Some("has logged in: never greylisted")
    // Networks that cannot be read vouch for nobody.
    } else if case.is_in_mynetworks() == Ok(true) {
        Some("in mynetworks: never greylisted")
    } else {
        None
    }
}

/// The row of a list of clients or of recipients that need not wait. An unknown name is looked up as `unknown`, as by
/// postgrey.
fn whitelisted<'a>(case: &'a Case, name: &ClientName, recipient: &EmailAddress) -> Result<Option<Row<'a>>, String> {
    let greylist = &case.settings.greylist;
    let clients = Lookup::new(&greylist.whitelist_clients);
    let found = clients.find(name.as_str()).or_else(|| clients.find(case.address_text()));
    found.or_else(|| Lookup::new(&greylist.whitelist_recipients).find(recipient.as_str())).transpose()
}

/// A client that a list of welcome hosts vouches for. A list that does not answer vouches for nobody.
async fn welcome(case: &Case) -> Option<Ruling> {
    for list in &case.settings.greylist.dnswl {
        if let Some(evidence) = Box::pin(welcoming(case, list)).await {
            return Some(evidence.into_iter().fold(Ruling::dunno(), Ruling::with));
        }
    }
    None
}

async fn attempt(case: &Case, recipient: &EmailAddress, client_name: &ClientName) -> Ruling {
    let config = &case.settings.greylist.config;
    let pool = Pool { address: case.client().address, address_text: case.address_text(), spf_domain: None };
    let network = pool.network(config);
    let sender = case.sender().map_or("", EmailAddress::as_str);
    let attempt = Attempt {
        address: pool.address,
        client_name: client_name.as_str(),
        sender_address: sender,
        client: pool.client(config, &network),
        network: &network,
        sender: &sender_key(sender),
        recipient: recipient.as_str(),
        now: case.now,
        terms: &case.settings.greylist.terms,
    };
    let asking = pin!(case.outside.greylist(&attempt));
    let answer = case.asker.in_time(asking).await;
    match answer.unwrap_or_else(|| Some(Err("no answer in the time of the decision".into()))) {
        None => Ruling::dunno().noting("greylisting was not asked: it would remember this"),
        Some(Ok(greylisted)) => ruling(case, recipient, greylisted),
        Some(Err(why)) => Ruling::dunno().noting(format!("the memory of greylisting fails, so nobody waits: {why}")),
    }
}

fn ruling(case: &Case, recipient: &EmailAddress, answer: Greylisted) -> Ruling {
    let ruling = match answer {
        Greylisted::New { wait } | Greylisted::TooEarly { wait, .. } => wait_for(case, recipient, wait),
        Greylisted::Passed { waited, first_time: true, .. } => came_back(case, waited),
        Greylisted::Passed { .. }
        | Greylisted::KnownClient { .. }
        | Greylisted::Allowed { .. }
        | Greylisted::Correspondent { .. } => Ruling::dunno(),
    };
    ruling.with(Evidence::Greylist(answer))
}

fn wait_for(case: &Case, recipient: &EmailAddress, wait: Duration) -> Ruling {
    let text = case.settings.greylist.text.say(wait.as_secs(), recipient.as_str());
    let named = Named { name: recipient.as_str(), class: Subject::Recipient.reply_class() };
    // 4.2.0: some senders give up at 4.7.1.
    let reply = named.rejected(TEMPFAIL_CODE, "4.2.0", &text);
    Says::DeferIfPermit(reply.into(), Reason::Greylisted).into()
}

/// The header that tells how long a message had to wait, once for each message.
fn came_back(case: &Case, waited: Duration) -> Ruling {
    let template = &case.settings.greylist.config.x_greylist_header;
    if template.is_empty() || !case.outside.is_new_instance(case.facts.instance) {
        return Ruling::dunno();
    }
    let date = Timestamp::try_from(case.now)
        .ok()
        .and_then(|now| rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).ok());
    let header = template
        .replacen("%t", &waited.as_secs().to_string(), 1)
        .replacen("%v", env!("CARGO_PKG_VERSION"), 1)
        .replacen("%h", &case.settings.hostname, 1)
        .replacen("%d", &date.unwrap_or_default(), 1);
    Says::Message(Box::new(MessageAction::Prepend(header.into()))).into()
}
