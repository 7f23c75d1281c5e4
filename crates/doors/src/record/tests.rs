//! Log lines as data: well-known ones, and what strangers would like to write into them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use facts::{
    Client, ClientName, Decision, DecisionId, Deferral, Enforced, Envelope, Evidence, Facts, Finding, Greeting,
    Outcome, Reason, Recipient, Refusal, Reply, Stage, Verdict,
};

use super::*;

const NOW: Duration = Duration::from_millis(1_793_527_200_123);

fn facts(helo_name: &str, sender: &str, recipient: &str) -> Facts {
    let name = Some(ClientName::Known("mail.example".into()));
    let client = Client { name, ..Client::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))) };
    Facts {
        greeting: Some(Greeting { helo_name: helo_name.into() }),
        envelope: Some(Envelope { sender: EmailAddress::new(sender), ..Envelope::default() }),
        recipient: EmailAddress::new(recipient).map(|address| Recipient { address }),
        ..Facts::new(client)
    }
}

fn rejected(text: &str, evidence: &str) -> Decision {
    let restriction = "reject_rbl_client zen.example";
    Decision {
        id: DecisionId::new(UNIX_EPOCH + NOW, 7),
        time: UNIX_EPOCH + NOW,
        verdict: Verdict::Reject,
        reply: Some(Reply::new(554, "5.7.1", text)),
        deferral: Deferral::None,
        stage: Stage::Rcpt,
        restriction: Some(restriction),
        reason: Reason::BlockListed,
        actions: Vec::new(),
        findings: vec![Finding {
            list: "recipient",
            stage: Stage::Rcpt,
            restriction,
            outcome: Outcome::Reject,
            evidence: [Evidence::Note(evidence.into())].into_iter().collect(),
            micros: 42,
        }],
        dns_queries: 1,
        enforced: Enforced::Whole,
    }
}

fn row(facts: &Facts, decision: &Decision) -> Row {
    Row {
        decision: decision.clone(),
        door: "policy",
        stage: Stage::Rcpt,
        facts: facts.clone().into(),
        elapsed: Duration::from_micros(57),
        settings: 0x0BAD_CAFE,
    }
}

fn line(format: Format, facts: &Facts, decision: &Decision) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let recorder = Recorder {
        format,
        stamped: false,
        lines: Arc::new(move |line: &str| sink.lock().unwrap().push(line.trim_end().to_owned())),
    };
    recorder.record(&row(facts, decision));
    let mut lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    let line = lines.remove(0);
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
    line
}

#[test]
fn a_line_for_people() {
    let decision = rejected("Service unavailable", "listed");
    let id = decision.id;
    assert_eq!(
        line(Format::Human, &facts("mail.example", "a@b.example", "c@example.com"), &decision),
        format!(
            "decision id={id} door=policy stage=rcpt verdict=reject reason=block_listed \
             restriction=\"reject_rbl_client zen.example\" client=mail.example[203.0.113.9] helo=<mail.example> \
             from=<a@b.example> to=<c@example.com> reply=\"554 5.7.1 Service unavailable\" dns_queries=1 micros=57"
        )
    );
}

#[test]
fn a_line_at_connect() {
    let decision = Decision { verdict: Verdict::Permit, reply: None, restriction: None, ..rejected("", "") };
    let facts = Facts::new(Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let line = line(Format::Human, &facts, &decision);
    assert!(line.ends_with(" reason=block_listed client=unknown[127.0.0.1] dns_queries=1 micros=57"), "{line}");
}

#[test]
fn a_line_for_machines() {
    let decision = rejected("Service unavailable", "listed");
    let line = line(Format::Json, &facts("mail.example", "", "c@example.com"), &decision);
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        object,
        serde_json::json!({
            "time": "2026-11-01T10:00:00.123Z",
            "id": decision.id.to_string(),
            "authentication": {"spf": null, "dkim": null, "arc": null, "dmarc": null},
            "door": "policy",
            "client": "203.0.113.9",
            "client_name": "mail.example",
            "helo": "mail.example",
            "sender": "",
            "sasl_username": null,
            "recipient": "c@example.com",
            "verdict": "reject",
            "reply": "554 5.7.1 Service unavailable",
            "shadow": false,
            "stage": "rcpt",
            "restriction": "reject_rbl_client zen.example",
            "reason": "block_listed",
            "findings": [{
                "stage": "rcpt",
                "restriction": "reject_rbl_client zen.example",
                "outcome": "reject",
                "evidence": [{"note": "listed"}],
                "micros": 42,
            }],
            "dns_queries": 1,
            "micros": 57,
        })
    );
}

#[test]
fn lines_in_shadow() {
    let text = "<d@x>: Relay access denied";
    let refusal = Refusal { reply: Reply::new(554, "5.7.1", text), deferral: Deferral::None };
    for (enforced, told, json) in [
        (Enforced::Nothing, "nothing".to_owned(), serde_json::Value::Null),
        (Enforced::RelayControl(refusal.into()), format!("\"554 5.7.1 {text}\""), format!("554 5.7.1 {text}").into()),
    ] {
        let (decision, facts) = (Decision { enforced, ..rejected("no", "listed") }, facts("x", "", "c@example.com"));
        let human = line(Format::Human, &facts, &decision);
        assert!(human.contains(" verdict=reject mode=shadow reason="), "{human}");
        assert!(human.contains(&format!(" reply=\"554 5.7.1 no\" enforced={told} dns_queries=")), "{human}");
        let object: serde_json::Value = serde_json::from_str(&line(Format::Json, &facts, &decision)).unwrap();
        assert_eq!((&object["verdict"], &object["shadow"]), (&"reject".into(), &true.into()));
        assert_eq!(object["enforced"], json);
    }
}

#[test]
fn strangers_forge_no_fields() {
    for (hostile, shown) in [
        ("x> to=<ceo@bank.example", "helo=<x\\u{3e}\\u{20}to=\\u{3c}ceo@bank.example>"),
        ("x client=root[1.2.3.4]", "helo=<x\\u{20}client=root[1.2.3.4]>"),
        ("a\"b\\c", "helo=<a\\u{22}b\\u{5c}c>"),
        ("a\r\nb\0\u{7f}\u{1b}[31m", "helo=<a\\u{d}\\u{a}b\\u{0}\\u{7f}\\u{1b}[31m>"),
        ("\u{202e}é", "helo=<\\u{202e}\\u{e9}>"),
    ] {
        let facts = facts(hostile, hostile, hostile);
        let line = line(Format::Human, &facts, &rejected(hostile, ""));
        assert!(line.contains(shown), "{line}");
        // The reply's text keeps its spaces, between the last two quotes.
        assert_eq!(line.matches('"').count(), 4, "{line}");
        let (fields, _) = line.split_once(" reply=").unwrap();
        assert_eq!((fields.matches(" to=<").count(), fields.matches(" client=").count()), (1, 1), "{line}");
    }
}

#[test]
fn an_odd_octet_is_escaped_wherever_it_stands() {
    for length in 1..=40 {
        for at in 0..length {
            let hostile = "x".repeat(at) + ">" + &"x".repeat(length - at - 1);
            let shown = format!("helo=<{}>", hostile.replace('>', "\\u{3e}"));
            let line = line(Format::Human, &facts(&hostile, "", ""), &rejected("", ""));
            assert!(line.contains(&shown), "{line}");
        }
    }
}

#[test]
fn strangers_make_no_long_lines() {
    for hostile in ["x".repeat(9000), "\u{1}".repeat(9000), "\u{1f4e7}".repeat(9000)] {
        let (facts, decision) = (facts(&hostile, &hostile, &hostile), rejected(&hostile, &hostile.repeat(9)));
        assert!(line(Format::Human, &facts, &decision).len() < 5 * VALUE_LENGTH_MAX);
        let json = line(Format::Json, &facts, &decision);
        assert!(json.len() < LINE_LENGTH_MAX, "{}", json.len());
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object.get("verdict").unwrap(), "reject");
        assert!(object.get("helo").unwrap().as_str().unwrap().ends_with("..."));
    }
}

#[test]
fn a_row_of_the_journal_is_told_whole() {
    let long = "x".repeat(VALUE_LENGTH_MAX + 1);
    let (facts, decision) = (facts(&long, "", "c@example.com"), rejected("no", &"y".repeat(LINE_LENGTH_MAX)));
    let object: serde_json::Value = serde_json::from_str(&whole_json(&row(&facts, &decision)).unwrap()).unwrap();
    assert_eq!(object["helo"], *long);
    assert_eq!(object["findings"].as_array().unwrap().len(), 1);
    assert_eq!((&object["settings"], &object["asked_at"]), (&"0badcafe".into(), &"rcpt".into()));
    assert_eq!(object["encryption"], serde_json::Value::Null);
}
