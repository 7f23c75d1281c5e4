//! What is carried out in shadow, and the header that tells of it.

use super::super::verdict_header::{DECISIONS_MAX, FORGED_MAX};
use super::*;

const ROWS: &str = "check_recipient_access inline:{{trap@example.com=REJECT no},{hold@example.com=HOLD},\
    {gone@example.com=DISCARD},{mark@example.com=PREPEND X-A: b},{copy@example.com=BCC c@x.example},\
    {move@example.com=REDIRECT d@x.example}}";
const USERS: [&str; 6] = ["trap", "hold", "gone", "mark", "copy", "move"];

async fn service_in(mode: &str, recipient: &str, verdict_header: bool) -> Service {
    let settings = testing::settings_in(mode, &format!("recipient = \"{recipient}\""));
    serve(testing::gate(settings), Config { verdict_header, ..Config::default() }).await
}

/// The frames up to the reply to a message's end, ids left out.
async fn end(server: &mut Server) -> Vec<(char, String)> {
    server.send(b'E', b"").await;
    let mut frames = Vec::new();
    while frames.last().is_none_or(|(letter, _)| !matches!(letter, 'c' | 'd' | 'y')) && frames.len() < 1000 {
        let (letter, fields) = server.reply().await;
        let mut parts = fields.split("; id=");
        let before = parts.next().unwrap().to_owned();
        frames.push((letter, parts.fold(before, |text, part| text + part.get(13..).unwrap())));
    }
    frames
}

#[tokio::test]
async fn nothing_is_carried_out() {
    let service = service_in("shadow", ROWS, false).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    for user in USERS {
        assert_eq!(server.rcpt(user).await, go_on(), "{user}");
    }
    assert_eq!(end(&mut server).await, [go_on()]);
    let lines = service.lines.lock().unwrap();
    for (line, told) in lines.iter().zip(["verdict=reject", "verdict=hold", "verdict=discard", "verdict=permit"]) {
        assert!(line.contains(&format!(" {told} mode=shadow ")) && line.contains(" enforced=nothing "), "{line}");
    }
    let counters = &service.door.gate.counters;
    assert_eq!((counters.shadow.load(Relaxed), counters.reject.load(Relaxed)), (6, 1));
}

#[tokio::test]
async fn strangers_relay_no_mail() {
    let service = service_in("shadow", &format!("{ROWS}, reject_unauth_destination"), false).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    for user in USERS {
        let (letter, reply) = server.rcpt(user).await;
        let expected = format!("554 5.7.1 <{user}@example.com>: Relay access denied; id=");
        assert!(letter == 'y' && reply.starts_with(&expected), "{reply}");
    }
    // A reload ends the shadow for sessions that are open.
    service.door.gate.settings.store(testing::settings(&format!("recipient = \"{ROWS}\"")));
    assert_eq!(server.rcpt("trap").await.0, 'y');
    assert_eq!(server.rcpt("user").await, go_on());
}

#[tokio::test]
async fn faults_are_no_verdicts() {
    let service = service_in("shadow", "permit", false).await;
    let mut server = service.connect(MACROS, b"unknown\0U").await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await, said('y', FAILURE));
}

#[tokio::test]
async fn a_header_tells_what_was_decided() {
    for (mode, users, expected) in [
        ("enforce", ["user", "hold"].as_slice(), "permit (no_objection),\n hold (access_table)"),
        (
            "shadow",
            &["user", "trap", "hold"],
            "would permit (no_objection),\n would reject 554 5.7.1 (access_table),\n would hold (access_table)",
        ),
    ] {
        let service = service_in(mode, ROWS, true).await;
        let mut server = service.connect(MACROS, CLIENT).await;
        server.greet().await;
        for user in users {
            assert_eq!(server.rcpt(user).await, go_on());
        }
        let frames = end(&mut server).await;
        assert_eq!(frames[0], said('i', &format!("||||X-Portcullis| {expected}|")));
        // The next message has none of it, and a program on the same host gets none.
        server.send(b'C', b"localhost\x004\0\x00127.0.0.1\0").await;
        assert_eq!(server.reply().await, go_on());
        server.greet().await;
        assert_eq!(server.rcpt("user").await, go_on());
        assert_eq!(end(&mut server).await, [go_on()]);
    }
}

#[tokio::test]
async fn forged_headers_go() {
    let service = service_in("enforce", "permit", true).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    for (forged, expected) in [(3, "mmmic"), (FORGED_MAX + 1, "y")] {
        server.greet().await;
        assert_eq!(server.rcpt("user").await, go_on());
        server.send(b'L', b"X-Portcullis-Not\0 mine\0").await;
        for name in ["X-Portcullis", "x-portcullis", "X-PORTCULLIS "].into_iter().cycle().take(forged as usize) {
            server.send(b'L', format!("{name}\0 permit\0").as_bytes()).await;
        }
        let frames = end(&mut server).await;
        assert_eq!(frames.iter().map(|(letter, _)| *letter).collect::<String>(), expected);
        if forged == 3 {
            assert_eq!(frames[0], said('m', "|||\x03X-Portcullis||"));
        }
    }
}

#[tokio::test]
async fn a_header_tells_of_so_many_decisions() {
    let service = service_in("enforce", "permit", true).await;
    let mut server = service.connect(MACROS, CLIENT).await;
    server.greet().await;
    for _ in 0..DECISIONS_MAX + 3 {
        assert_eq!(server.rcpt("user").await, go_on());
    }
    let frames = end(&mut server).await;
    let (_, value) = frames.first().unwrap();
    assert_eq!(value.matches("permit (configured)").count(), DECISIONS_MAX);
    assert!(value.ends_with(",\n and 3 more|"), "{value}");
}
