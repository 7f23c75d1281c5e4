//! What is carried out in shadow.

use super::*;

const ROWS: &str = "check_recipient_access inline:{{trap@example.com=REJECT no},{hold@example.com=HOLD},\
    {gone@example.com=DISCARD},{mark@example.com=PREPEND X-A: b},{copy@example.com=BCC c@x.example},\
    {move@example.com=REDIRECT d@x.example}}";
const USERS: [&str; 6] = ["trap", "hold", "gone", "mark", "copy", "move"];

async fn service_in(mode: &str, recipient: &str) -> Service {
    let settings = testing::settings_in(mode, &format!("recipient = \"{recipient}\""));
    service_by(settings, Config::default()).await
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
    let service = service_in("shadow", ROWS).await;
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
    let service = service_in("shadow", &format!("{ROWS}, reject_unauth_destination")).await;
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
    let service = service_in("shadow", "permit").await;
    let mut server = service.connect(MACROS, b"unknown\0U").await;
    server.greet().await;
    assert_eq!(server.rcpt("user").await, said('y', FAILURE));
}
