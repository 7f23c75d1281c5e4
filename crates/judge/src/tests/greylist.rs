//! `check_greylist`: who must wait, who need not, and why.

use std::time::Duration;

use facts::{MessageAction, Outcome, Reason, Verdict};
use futures_util::FutureExt;
use store::Store;

use super::*;

const START: u64 = 1_700_000_000;

/// A session from `address` with this name, and its answer at so many seconds.
struct Gate {
    settings: Arc<Settings>,
    outside: Outside,
    dns: Dns,
}

impl Gate {
    fn new(greylist: &str) -> Self {
        let nothing = "client = []\nhelo = []\nsender = []\nrelay = []\n";
        let config = format!(
            "hostname = \"mx.ours.example\"\ndomains = [\"ours.example\"]\nmynetworks = [\"10.0.0.0/8\", \"[2001:db8:9::1]/48\"]\n\
             [restrictions]\n{nothing}recipient = [\"check_greylist\"]\n[greylist]\n{greylist}\n"
        );
        let outside = Outside::new(
            |_| std::future::ready(Err("nobody".into())).boxed(),
            |_| std::future::ready(()).boxed(),
            Store::in_memory(),
        );
        Self { settings: settings(&config), outside, dns: Dns::zone(Zone::parse(ZONE, "zone").unwrap()) }
    }

    fn decide(&self, facts: &Facts, seconds: u64) -> Decision {
        self.decide_in(Duration::from_hours(1), facts, seconds)
    }

    fn decide_in(&self, deadline: Duration, facts: &Facts, seconds: u64) -> Decision {
        let asker = self.dns.asker().with_deadline(deadline);
        let now = UNIX_EPOCH + Duration::from_secs(START + seconds);
        let (id, facts) = (DecisionId::new(UNIX_EPOCH, 0), facts.clone().into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(decide(&self.settings, &asker, &self.outside, &facts, Stage::Rcpt, id, now))
    }
}

fn from(address: &str, name: &str) -> Facts {
    let name = if name == "unknown" { ClientName::Unknown } else { ClientName::Known(name.into()) };
    let client = Client { name: Some(name.clone()), reverse_name: Some(name), ..Client::new(address.parse().unwrap()) };
    Facts { client: Arc::new(client), ..facts("a@elsewhere.example", "c@ours.example") }
}

fn told(decision: &Decision) -> String {
    let finding = decision.findings.last().unwrap();
    finding.evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn networks_that_cannot_be_read_vouch_for_nobody() {
    let inside = Gate::new("").decide(&from("2001:db8:9::5", "mail.elsewhere.example"), 0);
    assert_eq!((inside.verdict, inside.reason), (Verdict::Defer, Reason::Greylisted));
}

#[test]
fn a_stranger_waits_and_comes_back() {
    let gate = Gate::new("");
    let stranger = from("203.0.113.5", "mail.elsewhere.example");
    let first = gate.decide(&stranger, 0);
    assert_eq!((first.verdict, first.reason), (Verdict::Defer, Reason::Greylisted));
    assert_eq!(
        first.reply.as_ref().unwrap().to_string(),
        "450 4.2.0 <c@ours.example>: Recipient address rejected: Greylisted: welcome back in 300 seconds"
    );
    let early = gate.decide(&stranger, 100);
    assert!(early.reply.as_ref().unwrap().text.contains("in 200 seconds"), "{early:?}");
    // Another host of the same network is the same sender to us.
    let back = gate.decide(&from("203.0.113.77", "mail2.elsewhere.example"), 301);
    assert_eq!(back.verdict, Verdict::Permit);
    let header = "X-Greylist: delayed 301 seconds by Portcullis at mx.ours.example; Tue, 14 Nov 2023 22:18:21 +0000";
    assert_eq!(back.actions, [MessageAction::Prepend(header.into())]);
    let again = gate.decide(&stranger, 400);
    assert_eq!((again.verdict, again.actions.len(), &*told(&again)), (Verdict::Permit, 0, "has come back before"));
}

#[test]
fn a_message_gets_one_header() {
    let gate = Gate::new("x_greylist_header = \"X: %t %v\"");
    let to = |recipient: &str, instance| Facts {
        recipient: EmailAddress::new(recipient).map(|address| Recipient { address }),
        instance,
        ..from("203.0.113.5", "unknown")
    };
    for recipient in ["a@ours.example", "b@ours.example", "c@ours.example"] {
        gate.decide(&to(recipient, Some(1)), 0);
    }
    let count = |recipient, instance| gate.decide(&to(recipient, instance), 300).actions.len();
    assert_eq!(count("a@ours.example", Some(2)), 1);
    assert_eq!(count("b@ours.example", Some(2)), 0);
    assert_eq!(count("c@ours.example", None), 1);
}

#[test]
fn who_need_not_wait() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "friend.example\n198.51.100.0/24\n").unwrap();
    let files = format!("whitelist_clients = [\"{}\"]\ndnswl = \"wl.example\"\n", file.path().display());
    let logged_in = Facts { sasl_username: Some("user".into()), ..from("203.0.113.9", "unknown") };
    let to_postmaster = Facts {
        recipient: EmailAddress::new("postmaster@ours.example").map(|address| Recipient { address }),
        ..from("203.0.113.10", "unknown")
    };
    for (facts, expected) in [
        (from("10.1.2.3", "unknown"), "in mynetworks: never greylisted"),
        (logged_in, "has logged in: never greylisted"),
        (from("203.0.113.1", "mx.friend.example"), "line 1: mx.friend.example friend.example"),
        (from("198.51.100.7", "unknown"), "line 2: 198.51.100.7 198.51.100.0/24"),
        (from("203.0.113.2", "mail-a.google.com"), "whitelist_clients:(default), line "),
        (to_postmaster, "whitelist_recipients:(default), line "),
        (from("192.0.2.9", "unknown"), "wl.example lists 192.0.2.9"),
    ] {
        let decision = Gate::new(&files).decide(&facts, 0);
        assert_eq!(decision.verdict, Verdict::Permit, "{expected}");
        assert_eq!(decision.findings.last().unwrap().outcome, Outcome::Dunno);
        assert!(told(&decision).contains(expected), "{} is not {expected}", told(&decision));
    }
    // Exactly as postgrey: a DNS list says nothing, and names of our own choice neither.
    let plain = Gate::new("pool_proof = false\ndefault_whitelists = false\ndnswl = \"wl.example\"\n");
    for facts in [from("192.0.2.9", "unknown"), from("203.0.113.2", "mail-a.google.com")] {
        assert_eq!(plain.decide(&facts, 0).reason, Reason::Greylisted);
    }
}

#[test]
fn a_client_that_comes_back_is_known() {
    for (pool_proof, address, expected) in [
        (true, "203.0.113.77", Reason::NoObjection),
        (false, "203.0.113.5", Reason::NoObjection),
        (false, "203.0.113.77", Reason::Greylisted),
    ] {
        let gate = Gate::new(&format!("pool_proof = {pool_proof}\nauto_whitelist_clients = 2\n"));
        let to = |number: u64| Facts {
            recipient: EmailAddress::new(&format!("u{number}@ours.example")).map(|address| Recipient { address }),
            ..from("203.0.113.5", "unknown")
        };
        for number in 0..2 {
            gate.decide(&to(number), number * 7_200);
            gate.decide(&to(number), number * 7_200 + 300);
        }
        let decision = gate.decide(&from(address, "unknown"), 20_000);
        assert_eq!(decision.reason, expected, "{pool_proof} {address}: {}", told(&decision));
    }
}

#[test]
fn who_is_written_to_may_answer_at_once() {
    let to = |user: Option<&str>, sender: &str, recipient: &str| Facts {
        sasl_username: user.map(Into::into),
        recipient: EmailAddress::new(recipient).map(|address| Recipient { address }),
        envelope: facts(sender, recipient).envelope,
        ..from("203.0.113.5", "unknown")
    };
    let ours = "u@ours.example";
    for (greylist, user, recipient, answering, expected) in [
        ("", Some("u"), "pal@far.example", "PAL@far.example", Verdict::Permit),
        ("", Some("u"), "pal@far.example", "other@far.example", Verdict::Defer),
        ("", None, "pal@far.example", "pal@far.example", Verdict::Defer),
        ("", Some("u"), "c@ours.example", "c@ours.example", Verdict::Defer),
        ("correspondents = \"0s\"", Some("u"), "pal@far.example", "pal@far.example", Verdict::Defer),
        ("pool_proof = false", Some("u"), "pal@far.example", "pal@far.example", Verdict::Defer),
    ] {
        let gate = Gate::new(greylist);
        gate.decide(&to(user, ours, recipient), 0);
        let answer = gate.decide(&to(None, answering, ours), 60);
        assert_eq!(answer.verdict, expected, "{greylist} {user:?} {recipient} {answering}: {}", told(&answer));
        if expected == Verdict::Permit {
            assert_eq!(told(&answer), "one of our users has written to the sender, last at 2023-11-14T22:13:20Z");
        }
    }
}

#[test]
fn explaining_remembers_nothing() {
    let settings =
        settings("[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"check_greylist\"]\nrelay = []\n");
    let decision = decided(&settings, &from("203.0.113.5", "unknown"), Stage::Rcpt);
    assert_eq!(
        (decision.verdict, &*told(&decision)),
        (Verdict::Permit, "greylisting was not asked: it would remember this")
    );
}

#[test]
fn nobody_waits_for_a_memory_that_hangs() {
    let gate = Gate { outside: Outside::peeking(|_| std::future::pending().boxed()), ..Gate::new("") };
    for deadline in [Duration::ZERO, Duration::from_millis(5)] {
        let decision = gate.decide_in(deadline, &from("203.0.113.5", "unknown"), 0);
        let expected = "the memory of greylisting fails, so nobody waits: no answer in the time of the decision";
        assert_eq!((decision.verdict, &*told(&decision)), (Verdict::Permit, expected));
    }
}
