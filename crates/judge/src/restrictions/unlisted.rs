//! `reject_unlisted_sender`, `reject_unlisted_recipient`.

use facts::Reason;

use crate::Settings;
use crate::case::Case;
use crate::config::ReplyCode;
use crate::destination::Class;
use crate::maps::{Map, Maps, unavailable};
use crate::reply::Named;
use crate::restriction::Subject;
use crate::ruling::Ruling;

/// Local parts that every domain of local users has: Postfix makes or takes their mail itself (double_bounce_sender).
const ALWAYS_LOCAL: [&str; 3] = ["double-bounce", "postmaster", "mailer-daemon"];

/// Refuses addresses in our domains that no table knows. Where no tables are configured, nobody can say.
pub(super) fn reject_unlisted(case: &Case, subject: Subject) -> Ruling {
    let (Some(address), Some(destination)) = (case.address(subject), case.destination(subject)) else {
        return Ruling::dunno();
    };
    let maps = &case.settings.maps;
    let users = Users::of(&case.settings, destination.class);
    if users.maps.iter().all(|map| map.is_empty()) {
        return Ruling::dunno();
    }
    // Whoever is always there is not looked for.
    let is_always_there = users.are_local && ALWAYS_LOCAL.contains(&destination.local_part());
    let of_users = users.maps.iter().copied().filter(|_| !is_always_there);
    let mut tables = rewriting(maps, subject).chain(of_users);
    match tables.find_map(|map| map.find_address(destination, &case.settings.postfix.recipient_delimiter)) {
        Some(Ok(found)) => return Ruling::dunno().with(found.evidence()),
        Some(Err(why)) => return unavailable(address.as_str(), why),
        None if is_always_there => return Ruling::dunno(),
        None => {}
    }
    let (enhanced, reason) = match subject {
        Subject::Sender => ("5.1.0", Reason::SenderUnknown),
        _ => ("5.1.1", Reason::RecipientUnknown),
    };
    let named = Named { name: address.as_str(), class: subject.reply_class() };
    let reply = named.rejected(users.code.0, enhanced, &format!("User unknown{}", users.place));
    let names = users.maps.iter().flat_map(|map| map.names()).collect::<Vec<_>>().join(", ");
    Ruling::refuse(reply, reason).noting(format!("no row for {} in {names}", destination.address))
}

/// Where the users of a domain stand.
struct Users<'a> {
    maps: Vec<&'a Map>,
    /// What Postfix calls the table; nothing where we cannot tell which it would be.
    place: &'static str,
    code: ReplyCode,
    are_local: bool,
}

impl<'a> Users<'a> {
    fn of(Settings { maps, postfix, .. }: &'a Settings, class: Class) -> Self {
        let (local, mailboxes) = (&maps.local_recipient_maps, &maps.virtual_mailbox_maps);
        let (all, place, code, are_local) = match class {
            // `domains` holds those of local users and those of mailboxes alike: either table may know the address.
            Class::Final if mailboxes.is_empty() => {
                (vec![local], " in local recipient table", postfix.unknown_local_recipient_reject_code, true)
            }
            Class::Final if local.is_empty() => {
                (vec![mailboxes], " in virtual mailbox table", postfix.unknown_virtual_mailbox_reject_code, false)
            }
            Class::Final => (vec![local, mailboxes], "", postfix.unknown_local_recipient_reject_code, true),
            Class::Relay => (
                vec![&maps.relay_recipient_maps],
                " in relay recipient table",
                postfix.unknown_relay_recipient_reject_code,
                false,
            ),
            Class::Foreign => (Vec::new(), "", postfix.unknown_local_recipient_reject_code, false),
        };
        Self { maps: all, place, code, are_local }
    }
}

/// The tables of addresses that stand for others: whatever they lead to, they are known.
fn rewriting(maps: &Maps, subject: Subject) -> impl Iterator<Item = &Map> {
    let own = if subject == Subject::Sender { Some(&maps.sender_canonical_maps) } else { None };
    // Postfix asks recipient_canonical_maps for senders too.
    [&maps.recipient_canonical_maps].into_iter().chain(own).chain([&maps.canonical_maps, &maps.virtual_alias_maps])
}
