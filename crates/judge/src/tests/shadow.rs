//! Shadow: everything is decided as if it were carried out, and nothing is but relay control.

use std::sync::Mutex;
use std::time::Duration;

use facts::{Enforced, Verdict};
use futures_util::FutureExt;
use store::Store;

use super::*;

const OURS: &str = "c@ours.example";
/// Of a domain that is not ours.
const FOREIGN: &str = "d@foreign.example";
const NO_RELAY: &str = "554 5.7.1 <d@foreign.example>: Relay access denied";
const LISTED: &str = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example; listed";
/// The relay list as it is by default.
const DEFAULT: &str = "relay = [\"permit_mynetworks\", \"permit_sasl_authenticated\", \"reject_unauth_destination\"]\n";

/// Lists, a recipient, what would become of its mail, and what the client is told all the same.
struct Case {
    lists: &'static str,
    recipient: &'static str,
    decided: &'static str,
    told: Option<&'static str>,
}

const fn case(lists: &'static str, recipient: &'static str, decided: &'static str, told: Option<&'static str>) -> Case {
    Case { lists, recipient, decided, told }
}

const CASES: &[Case] = &[
    case("recipient = \"reject_rbl_client bl.example\"", OURS, LISTED, None),
    case("recipient = \"reject_rbl_client bl.example\"", FOREIGN, LISTED, None),
    case("recipient = \"defer\"", OURS, "450 4.3.2", None),
    case("recipient = \"defer_if_permit\"", OURS, "450 4.7.0", None),
    case("recipient = \"check_sender_access inline:{good.example=HOLD}\"", OURS, "hold", None),
    case("recipient = \"check_sender_access inline:{good.example=DISCARD}\"", OURS, "discard", None),
    case("recipient = \"check_sender_access fail:x\"", OURS, "451 4.3.5", None),
    // Relay control stands alone, or behind what would have refused before it.
    case(DEFAULT, FOREIGN, NO_RELAY, Some(NO_RELAY)),
    case("DEFAULT helo = \"reject\"", FOREIGN, "554 5.7.1 <mail.good.example>: Helo", Some(NO_RELAY)),
    case("DEFAULT helo = \"reject\"", OURS, "554 5.7.1 <mail.good.example>: Helo", None),
    case("DEFAULT sender = \"check_sender_access inline:{good.example=DISCARD}\"", FOREIGN, "discard", Some(NO_RELAY)),
    case("DEFAULT sender = \"check_sender_access inline:{good.example=HOLD}\"", FOREIGN, NO_RELAY, Some(NO_RELAY)),
    case("DEFAULT helo = \"defer_if_permit, defer_if_reject\"", FOREIGN, "554", Some(NO_RELAY)),
    case("recipient = \"reject_rbl_client bl.example, reject_unauth_destination\"", FOREIGN, LISTED, Some(NO_RELAY)),
    case(
        "recipient = \"defer, defer_unauth_destination\"",
        FOREIGN,
        "450",
        Some("454 4.7.1 <d@foreign.example>: Relay"),
    ),
    // What may permit before it counts, and what may not is not asked.
    case("recipient = \"reject, permit_mynetworks, reject_unauth_destination\"", FOREIGN, "554", Some(NO_RELAY)),
    case(
        "recipient = \"defer, check_client_access inline:{192.0.2=OK}, reject_unauth_destination\"",
        FOREIGN,
        "450",
        None,
    ),
    case("recipient = \"defer, permit_auth_destination, reject_unauth_destination\"", OURS, "450", None),
    // The relay list has words of its own.
    case(
        "helo = \"defer\"\nrelay = \"check_recipient_access inline:{{foreign.example=REJECT not here}}, reject\"",
        FOREIGN,
        "450",
        Some("554 5.7.1 <d@foreign.example>: Recipient address rejected: not here"),
    ),
    case(
        "relay = \"permit_auth_destination, reject\"",
        FOREIGN,
        "554",
        Some("554 5.7.1 <d@foreign.example>: Recipient"),
    ),
    case("relay = \"permit_auth_destination, reject\"", OURS, "permit", None),
    case(
        "relay = \"check_recipient_access inline:{ours.example=HOLD}, reject_unauth_destination\"",
        OURS,
        "hold",
        None,
    ),
    // In a row of a table too, and what stands with it there.
    case("recipient = \"check_client_access inline:{192.0.2=strict}\"", FOREIGN, LISTED, Some(NO_RELAY)),
    case(
        "recipient = \"check_client_access inline:{192.0.2=friend}, reject_unauth_destination\"",
        FOREIGN,
        LISTED,
        None,
    ),
    case("recipient = \"warn_if_reject reject_unauth_destination, defer\"", FOREIGN, "450", None),
    // What could not answer might have let the client pass.
    case("recipient = \"check_client_access fail:x, reject_unauth_destination\"", FOREIGN, "451", Some("451 4.3.5")),
    case("recipient = \"check_client_access fail:x, reject_unauth_destination\"", OURS, "451", None),
    case("mynetworks|recipient = \"permit_mynetworks, reject_unauth_destination\"", FOREIGN, "451", Some("451 4.3.0")),
    case("mynetworks|recipient = \"permit_mynetworks, reject_unauth_destination\"", OURS, "451", None),
    case("mynetworks|relay = \"permit_mynetworks, reject_unauth_destination\"", OURS, "451", Some("451 4.3.0")),
    case("down|relay = \"permit_mx_backup, reject_unauth_destination\"", FOREIGN, "450 4.4.4", Some("450 4.4.4")),
    case(
        "down|recipient = \"defer, permit_mx_backup, reject_unauth_destination\"",
        FOREIGN,
        "450 4.3.2",
        Some("450 4.4.4"),
    ),
    case("down|relay = \"reject_unknown_recipient_domain, reject\"", OURS, "554", Some("554 5.7.1 <c@ours")),
    case(
        "down|relay = \"reject_unknown_recipient_domain, permit_auth_destination, reject\"",
        FOREIGN,
        "554",
        Some("554"),
    ),
    case(
        "down|relay = \"reject_unknown_recipient_domain, permit_auth_destination, reject_unauth_destination\"",
        OURS,
        "permit",
        None,
    ),
    case(
        "recipient = \"warn_if_reject check_client_access fail:x, reject_unauth_destination\"",
        FOREIGN,
        NO_RELAY,
        Some(NO_RELAY),
    ),
    case(
        "down own|relay = \"reject_unknown_recipient_domain, permit_mynetworks, reject_unauth_destination\"",
        FOREIGN,
        "450 4.1.2",
        Some("450 4.1.2"),
    ),
    case("own|DEFAULT helo = \"reject\"", FOREIGN, "554 5.7.1 <mail.good.example>: Helo", None),
    // Who says no HELO passes no relay control by it.
    case("silent|DEFAULT", FOREIGN, "503 5.5.1", Some(NO_RELAY)),
    case("silent|DEFAULT", OURS, "503 5.5.1", None),
    case("silent|delay_reject = false\nDEFAULT client = \"defer\"", FOREIGN, "450", Some(NO_RELAY)),
    case("silent|delay_reject = false\nDEFAULT", FOREIGN, "503", Some(NO_RELAY)),
];

/// What is out of order, and the lists.
fn parted(lists: &str) -> (&str, String) {
    let (world, lists) = lists.split_once('|').unwrap_or(("", lists));
    (world, lists.replace("DEFAULT", DEFAULT))
}

/// The settings of a case in this mode.
fn settings_of(lists: &str, mode: &str) -> Arc<Settings> {
    let (world, lists) = parted(lists);
    let names = ["client", "helo", "sender", "relay", "recipient"];
    let others = names.iter().filter(|name| !lists.contains(&format!("{name} =")));
    let others: String = others.map(|name| format!("{name} = []\n")).collect();
    let networks = match world.split(' ').next_back() {
        Some("own") => "192.0.2.0/24",
        // What nobody can read.
        Some("mynetworks") => "192.0.2.1/24",
        _ => "127.0.0.0/8",
    };
    settings(&format!(
        "mode = \"{mode}\"\ndomains = [\"ours.example\"]\nmynetworks = [\"{networks}\"]\n[restrictions]\n{others}{lists}\n\
         [restrictions.classes]\nstrict = \"reject_rbl_client bl.example, reject_unauth_destination\"\n\
         friend = \"reject_rbl_client bl.example, permit\"\n"
    ))
}

fn told(reply: Option<&facts::Reply>, verdict: Verdict) -> String {
    reply.map_or_else(|| verdict.to_string(), ToString::to_string)
}

#[test]
fn nothing_is_carried_out_but_relay_control() {
    for Case { lists, recipient, decided, told: expected } in CASES {
        let mut facts = facts("a@good.example", recipient);
        let (world, _) = parted(lists);
        if world == "silent" {
            facts.greeting = None;
        }
        let zone = Dns::zone(Zone::parse(ZONE, "zone").unwrap());
        let dns = if world.starts_with("down") { Dns::recorded([]) } else { zone };
        let by = |mode| decided_by(&dns, &settings_of(lists, mode), &facts, Stage::Rcpt);
        let (shadow, enforced) = (by("shadow"), by("enforce"));
        let found = told(shadow.reply.as_ref(), shadow.verdict);
        assert!(found.starts_with(decided), "{lists} for {recipient}: {found}");
        match (expected, &shadow.enforced) {
            (None, Enforced::Nothing) => assert_eq!(shadow.effect().verdict, Verdict::Permit, "{lists}"),
            (Some(expected), Enforced::RelayControl(refusal)) if refusal.reply.to_string().starts_with(expected) => {}
            (_, found) => panic!("{lists} for {recipient}: {found:?}"),
        }
        // The decision is that of a server which carries it out, and so is all that was found on the way to it.
        assert_eq!(enforced.enforced, Enforced::Whole);
        assert_eq!(shadow.findings.get(..enforced.findings.len()), Some(&*enforced.findings), "{lists}");
        let Decision { findings, dns_queries, .. } = enforced.clone();
        assert_eq!(Decision { enforced: Enforced::Whole, findings, dns_queries, ..shadow }, enforced);
    }
}

/// What acts does so in its turn only, and a pause is none.
#[test]
fn nobody_waits_and_no_service_is_asked_twice() {
    let met = Arc::<Mutex<Vec<String>>>::default();
    let (asked, slept) = (Arc::clone(&met), Arc::clone(&met));
    let outside = Outside::new(
        move |query| {
            asked.lock().unwrap().push(query.service.endpoint.to_string());
            std::future::ready(Ok("OK".into())).boxed()
        },
        move |duration: Duration| {
            slept.lock().unwrap().push(format!("{duration:?}"));
            std::future::ready(()).boxed()
        },
        Store::in_memory(),
    );
    let dns = Dns::zone(Zone::parse(ZONE, "zone").unwrap());
    for (recipient, expected) in [
        ("sleep 5, check_policy_service inet:1, defer", ["inet:127.0.0.1:1"].as_slice()),
        ("defer, sleep 5, check_policy_service inet:1", &[]),
        // It may let the client pass before relay control speaks.
        ("defer, sleep 5, check_policy_service inet:1, reject_unauth_destination", &["inet:127.0.0.1:1"]),
        ("check_policy_service inet:1, reject_unauth_destination", &["inet:127.0.0.1:1"]),
    ] {
        let settings = settings_of(&format!("recipient = \"{recipient}\""), "shadow");
        let decision = decided_with(&outside, &dns, &settings, &facts("a@good.example", FOREIGN), Stage::Rcpt);
        assert_eq!(decision.enforced, Enforced::Nothing, "{recipient}");
        assert_eq!(std::mem::take(&mut *met.lock().unwrap()), expected, "{recipient}");
    }
}

#[test]
fn what_comes_behind_a_refusal_costs_no_questions() {
    for (recipient, queries) in [
        ("reject, reject_rbl_client bl.example, permit_dnswl_client wl.example", 0),
        ("reject, reject_rbl_client bl.example, reject_unauth_destination, permit_dnswl_client wl.example", 0),
        ("reject, permit_dnswl_client wl.example, reject_unauth_destination", 1),
    ] {
        let settings = settings_of(&format!("recipient = \"{recipient}\""), "shadow");
        let decision = decided(&settings, &facts("a@good.example", OURS), Stage::Rcpt);
        assert_eq!(decision.dns_queries, queries, "{recipient}: {:?}", decision.findings);
    }
}

#[test]
fn relay_control_must_be_carried_out() {
    for (lists, mode, is_good) in [
        ("relay = \"permit_mynetworks\"\nrecipient = \"permit_auth_destination, reject\"", "enforce", true),
        ("relay = \"permit_mynetworks\"\nrecipient = \"permit_auth_destination, reject\"", "shadow", false),
        ("relay = \"permit_mynetworks\"\nrecipient = \"reject, reject_unauth_destination\"", "shadow", true),
        ("relay = \"permit_auth_destination, reject\"", "shadow", true),
        ("recipient = \"reject\"", "shadow", true),
    ] {
        let config = toml::from_str(&format!(
            "mode = \"{mode}\"\n[restrictions]\n{}{lists}",
            if lists.contains("relay =") { "" } else { "relay = []\n" }
        ));
        let compiled = Settings::compile(&config.unwrap());
        assert_eq!(compiled.is_ok(), is_good, "{mode}: {lists}: {compiled:?}");
        if let Ok(settings) = compiled {
            let is_told = settings.warnings().iter().any(|warning| warning.message.starts_with("in shadow: "));
            assert_eq!(is_told, mode == "shadow");
        }
    }
}

#[test]
fn all_that_permits_is_heard_before_relay_control() {
    let permits = crate::restriction::RESTRICTIONS.iter().filter(|entry| entry.name.starts_with("permit"));
    for entry in permits {
        let argument = if entry.argument == crate::restriction::Argument::List { " wl.example" } else { "" };
        let settings = settings_of(&format!("recipient = \"{}{argument}\"", entry.name), "shadow");
        let mut restrictions = settings.lists.iter().flat_map(|list| &list.restrictions);
        assert!(restrictions.all(|restriction| restriction.may_permit()), "{}", entry.name);
    }
}
