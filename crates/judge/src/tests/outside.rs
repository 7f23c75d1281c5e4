//! `check_policy_service` and `sleep`, with a made-up outside.

use std::sync::Mutex;
use std::time::Duration;

use facts::Reason;
use futures_util::FutureExt;
use store::Store;

use super::restrictions::session;
use super::*;

/// An outside that answers by the port of the service, and notes in what order it was met.
fn outside() -> (Outside, Arc<Mutex<Vec<String>>>) {
    let met = Arc::<Mutex<Vec<String>>>::default();
    let (asked, slept) = (Arc::clone(&met), Arc::clone(&met));
    let outside = Outside::new(
        move |query| {
            let service = query.service.endpoint.to_string();
            asked.lock().unwrap().push(format!("{service} {}", query.stage));
            std::future::ready(match service.rsplit_once(':').unwrap().1 {
                "1" => Ok("DUNNO".into()),
                "2" => Ok("OK".into()),
                "3" => Ok("REJECT 5.1.1 go away".into()),
                "4" => Ok("DEFER_IF_PERMIT greylisted".into()),
                "5" => Ok("permit_mynetworks, reject".into()),
                "6" => Ok("PREPEND X-A: b".into()),
                "7" => Ok("HOLD".into()),
                "8" => Ok(String::new()),
                _ => Err("connection refused".into()),
            })
            .boxed()
        },
        move |duration: Duration| {
            slept.lock().unwrap().push(format!("sleep {}", duration.as_secs()));
            std::future::ready(()).boxed()
        },
        Store::in_memory(),
    );
    (outside, met)
}

fn decided_by_lists(outside: &Outside, lists: &str, postfix: &str) -> Decision {
    let config = ["client", "helo", "sender", "relay", "recipient"]
        .iter()
        .filter(|name| !lists.contains(&format!("{name} =")))
        .fold(format!("[restrictions]\n{lists}\n"), |text, name| format!("{text}{name} = \"\"\n"));
    let config = config + "[restrictions.classes]\nasks = \"check_policy_service inet:3\"\n[postfix]\n" + postfix;
    let dns = Dns::zone(Zone::parse(ZONE, "zone").unwrap());
    decided_with(outside, &dns, &settings(&config), &session(), Stage::Rcpt)
}

/// What `lists` come to, and what of the outside they meet.
fn check(lists: &str, expected: &str, expected_met: &[&str]) {
    let (outside, met) = outside();
    let decision = decided_by_lists(&outside, lists, "");
    let found = decision.reply.as_ref().map_or_else(|| decision.verdict.to_string(), ToString::to_string);
    assert_eq!(found, expected, "{lists}");
    assert_eq!(*met.lock().unwrap(), expected_met, "{lists}");
}

const GONE: &str = "550 5.1.1 <c@ours.example>: Recipient address rejected: go away";

#[test]
fn what_a_service_says_is_done() {
    let refused = GONE.replace("550", "554");
    let unusable = "451 4.3.5 Server configuration error";
    for (port, expected) in [
        (1, "450 4.3.2 <c@ours.example>: Recipient address rejected: Try again later"),
        (2, "permit"),
        (3, &*refused),
        (4, "450 4.3.2 <c@ours.example>: Recipient address rejected: Try again later"),
        (5, unusable),
        (6, "450 4.3.2 <c@ours.example>: Recipient address rejected: Try again later"),
        (8, unusable),
        (9, "451 4.3.5 <c@ours.example>: Recipient address rejected: Server configuration problem"),
    ] {
        let lists = format!("recipient = \"check_policy_service inet:{port}, defer\"");
        check(&lists, expected, &[&format!("inet:127.0.0.1:{port} rcpt")]);
    }
    let service = "client = \"check_policy_service inet:3\"";
    let client = "554 4.0.0 <mail.good.example[192.0.2.9]>: Client host rejected: go away".replace("4.0.0", "5.0.0");
    check(service, &client, &["inet:127.0.0.1:3 rcpt"]);
    check(&format!("delay_reject = false\n{service}"), &client, &["inet:127.0.0.1:3 connect"]);
}

#[test]
fn it_acts_in_its_turn_and_once() {
    let listed = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example; listed";
    let refused = "554 5.7.1 <c@ours.example>: Recipient address rejected: Access denied";
    let by_row = "554 4.1.7 <a@good.example>: Sender address rejected: go away".replace("4.1.7", "5.1.7");
    for (lists, expected, met) in [
        ("recipient = \"reject, check_policy_service inet:2, sleep 5\"", refused, &[][..]),
        ("recipient = \"reject_rbl_client bl.example, check_policy_service inet:2, sleep 5\"", listed, &[]),
        ("helo = \"reject_rbl_client bl.example\"\nrecipient = \"sleep 5\"", listed, &[]),
        ("recipient = \"permit, check_policy_service inet:3\"", "permit", &[]),
        // What may let the client in is waited for before a refusal that is sure.
        ("helo = \"check_policy_service inet:2, reject\"", "permit", &["inet:127.0.0.1:2 rcpt"]),
        (
            "helo = \"check_policy_service inet:1, sleep 2\"\nrecipient = \"check_policy_service inet:4, reject_rbl_client bl.example\"",
            listed,
            &["inet:127.0.0.1:1 rcpt", "sleep 2", "inet:127.0.0.1:4 rcpt"],
        ),
        ("recipient = \"warn_if_reject check_policy_service inet:3\"", "permit", &["inet:127.0.0.1:3 rcpt"]),
        // In a class, and in a row that names one: only the row that is met.
        ("recipient = \"asks\"", &GONE.replace("550", "554"), &["inet:127.0.0.1:3 rcpt"]),
        (
            "sender = \"reject_rbl_client x.example, check_sender_access inline:{good.example=asks}\"",
            &by_row,
            &["inet:127.0.0.1:3 rcpt"],
        ),
        ("sender = \"check_sender_access inline:{{good.example=sleep 3}}\"", "permit", &["sleep 3"]),
        ("recipient = \"reject_rbl_client bl.example, check_sender_access inline:{good.example=asks}\"", listed, &[]),
        ("sender = \"check_sender_access inline:{other.example=asks}\"", "permit", &[]),
    ] {
        check(lists, expected, met);
    }
}

#[test]
fn findings_tell_who_was_asked() {
    let told = |outside: &Outside, lists: &str, postfix: &str| {
        let decision = decided_by_lists(outside, lists, postfix);
        let evidence = decision.findings[0].evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        (evidence, decision.reason, decision.verdict.to_string())
    };
    let lists = |port: u16| format!("recipient = \"check_policy_service inet:{port}\"");
    let outside = outside().0;
    for (port, postfix, expected) in [
        (3, "", ("inet:127.0.0.1:3: REJECT 5.1.1 go away", Reason::PolicyService, "reject")),
        (7, "", ("inet:127.0.0.1:7: HOLD", Reason::PolicyService, "hold")),
        (
            5,
            "",
            (
                "not an action that a service may name; inet:127.0.0.1:5: permit_mynetworks, reject",
                Reason::TableFailure,
                "defer",
            ),
        ),
        (
            9,
            "",
            (
                "inet:127.0.0.1:9: connection refused: 451 4.3.5 Server configuration problem",
                Reason::PolicyFailure,
                "defer",
            ),
        ),
        (
            9,
            "smtpd_policy_service_default_action = \"DUNNO\"",
            ("inet:127.0.0.1:9: connection refused: DUNNO", Reason::NoObjection, "permit"),
        ),
    ] {
        let (evidence, reason, verdict) = told(&outside, &lists(port), postfix);
        assert_eq!((&*evidence, reason, &*verdict), expected, "{port}");
    }
    let untouched = Outside::untouched();
    let (evidence, _, verdict) = told(&untouched, &lists(3), "");
    assert_eq!((&*evidence, &*verdict), ("inet:127.0.0.1:3 was not asked: it may act on what it is told", "permit"));
    let (evidence, _, verdict) = told(&untouched, "recipient = \"sleep 90\"", "");
    assert_eq!((&*evidence, &*verdict), ("would wait 90s", "permit"));
}

#[test]
fn options_of_one_service() {
    let parsed = |argument: &str| {
        let config = format!("[restrictions]\nrecipient = '''check_policy_service {argument}'''\n");
        let config: Config = toml::from_str(&config).unwrap();
        let settings = Settings::compile(&config).map_err(|mistakes| mistakes[0].message.clone())?;
        let found = settings.lists().iter().flat_map(|list| &list.restrictions).find_map(|it| match &it.kind {
            crate::restriction::Kind::CheckPolicyService(service) => Some((**service).clone()),
            _ => None,
        });
        found.ok_or_else(String::new)
    };
    let bare = parsed("unix:private/policy").unwrap();
    assert_eq!(bare.endpoint.to_string(), "unix:/var/spool/postfix/private/policy");
    assert_eq!(
        (bare.terms.timeout.as_secs(), bare.terms.max_idle.as_secs(), bare.terms.max_ttl.as_secs()),
        (100, 300, 1000)
    );
    assert_eq!((bare.terms.try_limit.get(), bare.terms.retry_delay.as_secs(), bare.terms.request_limit), (2, 1, 0));
    assert_eq!(bare.default_action.as_str(), "451 4.3.5 Server configuration problem");
    let all = parsed(
        "{ inet:[::1]:12, timeout=10s, max_idle=1m, max_ttl = 2m, try_limit=3, retry_delay=2, request_limit=9,
           {default_action = 450 4.7.1 later, please}, policy_context=x }",
    );
    // Without braces a space parts options, as in Postfix.
    assert_eq!(all.unwrap_err(), "\"max_ttl\" is no option of a policy service: write name=value");
    let all = parsed(
        "{ inet:[::1]:12, timeout=10s, max_idle=1m, max_ttl=2m, try_limit=3, retry_delay=2, request_limit=9,
           {default_action = 450 4.7.1 later, please}, policy_context=x }",
    )
    .unwrap();
    assert_eq!(all.endpoint.to_string(), "inet:[::1]:12");
    assert_eq!((all.terms.timeout.as_secs(), all.terms.max_idle.as_secs(), all.terms.max_ttl.as_secs()), (10, 60, 120));
    assert_eq!((all.terms.try_limit.get(), all.terms.retry_delay.as_secs(), all.terms.request_limit), (3, 2, 9));
    assert_eq!((all.default_action.as_str(), &*all.policy_context), ("450 4.7.1 later, please", "x"));
    for (argument, complaint) in [
        ("", "check_policy_service needs a policy service (inet:host:port or unix:path) after it"),
        ("here", "\"here\" is not a socket: write inet:127.0.0.1:10023 or unix:/path"),
        ("{ }", "\"\" is not a socket: write inet:127.0.0.1:10023 or unix:/path"),
        ("{ inet:1, timout=1s }", "unknown option \"timout\" of a policy service: did you mean \"timeout\"?"),
        ("{ inet:1, try_limit=0 }", "\"0\" is not a number for try_limit"),
        ("{ inet:1, timeout=soon }", "\"soon\" is not a duration like 300s, 5m or 35d"),
        ("inet:1, sleep", "sleep needs a number of seconds after it"),
        ("inet:1, sleep 5s", "sleep needs a number of seconds, not \"5s\""),
    ] {
        assert_eq!(parsed(argument).unwrap_err(), complaint, "{argument}");
    }
    let unusable = parsed("{ inet:1, default_action=reject_unauth_destination }").unwrap_err();
    assert!(unusable.contains("is not an action: write DUNNO"), "{unusable}");
    let key = "[postfix]\nsmtpd_policy_service_default_action = \"BCC nobody\"\n";
    assert!(toml::from_str::<Config>(key).unwrap_err().to_string().contains("BCC needs user@domain after it"));
}
