//! A real Postfix that asks us at both doors at once: `check_policy_service` in its lists, and `smtpd_milters`.

use std::collections::BTreeSet;

use super::milter::{BLOCKED, GOOD, HELLO, LISTED, MESSAGE, PATIENCE, ZONE, connect, queue_id};
use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::{Server, journal};
use crate::support::smtp::{Reply, compare, talk};
use crate::support::wait_for;
use crate::support::zone::Zone;

const PORTCULLIS: &str = r#"
hostname = "mx.test"
[restrictions]
client = []
helo = []
sender = []
recipient = """
    check_recipient_access inline:{{trap@ours.test = REJECT nobody lives here}, {held@ours.test = HOLD},
        {row@ours.test = PREPEND X-Row: one}},
    check_recipient_access inline:{{row@ours.test = BCC copied@ours.test}},
    reject_rbl_client bl.test,
    check_recipient_access inline:{{held@ours.test = check_greylist}, {grey@ours.test = check_greylist}}
"""
data = ["check_sender_access inline:{{data@good.test = HOLD}}"]
end_of_data = ["check_sender_access inline:{{end@good.test = REJECT at the end}}"]
[postfix]
recipient_delimiter = "+"
[greylist]
delay = "1s"
dnswl = []
[dns]
servers = ["127.0.0.1:53"]
[doors.milter]
listen = ["inet:127.0.0.1:8893"]
"#;

/// Held by Postfix itself, to be looked at.
const KEPT: &str = "check_sender_access inline:{{kept@good.test = HOLD}}";
const ASK: &str = "check_policy_service inet:127.0.0.1:10023";
const CLOSED: &str = "check_recipient_access inline:{{closed@ours.test = REJECT mailbox closed}}";

/// An smtpd that asks at RCPT only, and one that asks wherever it can, with both values of `smtpd_delay_reject`.
const PORTS: [u16; 4] = [2525, 2526, 2527, 2528];
/// One that only warns of what the policy door refuses.
const PORT_WARNING: u16 = 2529;

fn services() -> Vec<Service> {
    let option = |name: &str, value: &str| (format!("smtpd_{name}"), value.to_owned());
    let once = format!("{KEPT}, {ASK}, {CLOSED}");
    let everywhere = ["client", "helo", "sender", "data", "end_of_data"].map(|list| format!("{list}_restrictions"));
    let everywhere = everywhere.iter().map(|name| option(name, ASK));
    let everywhere: Vec<_> =
        everywhere.chain([option("recipient_restrictions", &format!("{KEPT}, {ASK}, {ASK}, {CLOSED}"))]).collect();
    let once = vec![option("recipient_restrictions", &once)];
    let asking = PORTS.into_iter().zip([&once, &once, &everywhere, &everywhere]).zip(["yes", "no", "yes", "no"]);
    let asking = asking.map(|((port, options), delayed)| {
        let options = options.iter().cloned().chain([option("delay_reject", delayed)]).collect();
        Service { port, options }
    });
    let warning = Service {
        port: PORT_WARNING,
        options: vec![option("recipient_restrictions", &format!("warn_if_reject {ASK}, {CLOSED}"))],
    };
    asking.chain([warning]).collect()
}

fn postfix() -> Postfix {
    let main = "mydestination = ours.test\nsmtpd_relay_restrictions = reject_unauth_destination\n\
        smtpd_milters = inet:127.0.0.1:8893\nsmtpd_authorized_xclient_hosts = 10.0.0.1\n\
        recipient_delimiter = +\n";
    Postfix::start(Postfix::directory(), main, &services())
}

/// What the log shall tell in the end: decisions on a recipient at RCPT, or on a sender's message.
struct Expected {
    stage: &'static str,
    whom: String,
    /// How many; of one that refuses, the id in its reply.
    count: usize,
    id: Option<String>,
}

impl Expected {
    fn rcpt(user: &str, count: usize) -> Self {
        Self { stage: " stage=rcpt ", whom: format!(" to=<{user}@ours.test>"), count, id: None }
    }

    fn message(stage: &'static str, sender: &str) -> Self {
        Self { stage, whom: format!(" from=<{sender}@good.test>"), count: 1, id: None }
    }

    fn refused_by(self, reply: &Reply) -> Self {
        let reply = reply.to_string();
        let (_, id) = reply.rsplit_once("; id=").unwrap_or_else(|| panic!("{reply}"));
        Self { id: Some(id.to_owned()), ..self }
    }

    fn compare(&self, log: &str) {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(self.stage) && line.contains(&self.whom)).collect();
        assert_eq!(lines.len(), self.count, "{}: {lines:#?}", self.whom);
        let has_id = |id: &String| lines[0].contains(id);
        assert!(self.id.as_ref().is_none_or(has_id), "{:?} is not in {lines:#?}", self.id);
    }
}

/// A message from this sender to this user: its queue id, or the first refusal.
fn send(port: u16, sender: &str, user: &str) -> Result<String, Reply> {
    let (mut session, _) = connect(GOOD, port);
    talk(&mut session, &[HELLO[0], (&format!("MAIL FROM:<{sender}@good.test>"), "250")]);
    for line in [&*format!("RCPT TO:<{user}@ours.test>"), "DATA"] {
        let reply = session.say(line).unwrap();
        if reply.is_refusal() {
            return Err(reply);
        }
    }
    let reply = session.say(MESSAGE).unwrap();
    if reply.is_refusal() { Err(reply) } else { Ok(queue_id(&reply)) }
}

#[test]
fn both_doors_tell_one_decision() {
    netns::inside(&[Peer::Program("postfix")], || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let state = tempfile::tempdir().unwrap();
        let (server, postfix) = (Server::start_in(PORTCULLIS, Some(state.path())), postfix());
        let mut expected = Vec::new();
        for port in PORTS {
            expected.extend(recipients_are_judged_once(port));
            expected.extend(messages_are_changed_once(port, &postfix));
            expected.extend(greylisting_counts_once(port, &postfix));
        }
        expected.extend(what_is_warned_of_is_decided_once(&postfix));
        expected.extend(whom_a_proxy_speaks_for_is_judged_once());

        let (_, log) = server.stop();
        expected.iter().for_each(|expected| expected.compare(&log));
        let ids: BTreeSet<&str> =
            log.lines().filter_map(|line| Some(line.split_once("decision id=")?.1.split_once(' ')?.0)).collect();
        let (told, complaint) = journal(state.path());
        assert_eq!(complaint, "");
        assert_eq!((told.lines().count(), log.matches("decision id=").count()), (ids.len(), ids.len()));
        assert!(ids.iter().all(|id| told.contains(id)), "{told}");
    });
}

fn recipients_are_judged_once(port: u16) -> Vec<Expected> {
    let user = |name: &str, number: usize| format!("{name}+{number}.{port}");
    let rcpt = |name: &str, number: usize| format!("RCPT TO:<{}@ours.test>", user(name, number));
    let mut expected = Vec::new();
    for (client, name) in [(LISTED, "listed"), ("2001:db8::1", "trap")] {
        let (mut session, _) = connect(client, port);
        talk(&mut session, HELLO);
        let reply = session.say(&rcpt(name, 99)).unwrap();
        expected.push(Expected::rcpt(&user(name, 99), 1).refused_by(&reply));
    }

    let (mut session, _) = connect(GOOD, port);
    talk(&mut session, HELLO);
    for number in 0..20 {
        let name = if number % 5 == 3 { "trap" } else { "user" };
        let reply = session.say(&rcpt(name, number)).unwrap();
        assert_eq!(reply.is_refusal(), name == "trap", "{reply}");
        let one = Expected::rcpt(&user(name, number), 1);
        expected.push(if reply.is_refusal() { one.refused_by(&reply) } else { one });
    }
    let closed = format!("554 5.7.1 <closed+0.{port}@ours.test>: Recipient address rejected: mailbox closed");
    let (ok, mail, queued) = ("250 2.1.5 Ok", HELLO[1], "250 2.0.0 Ok: queued");
    talk(&mut session, &[(&rcpt("closed", 0), &*closed), (&rcpt("closed", 0), &*closed)]);
    talk(&mut session, &[(&rcpt("twice", 0), ok), (&rcpt("twice", 0), ok), ("DATA", "354"), (MESSAGE, queued)]);
    // The next message on the same connection, two that are given up, and one after them.
    talk(&mut session, &[mail, (&rcpt("next", 0), ok), ("RSET", "250"), mail, (&rcpt("next", 0), ok), HELLO[0]]);
    talk(&mut session, &[mail, (&rcpt("next", 0), ok), ("DATA", "354"), (MESSAGE, queued), ("QUIT", "221")]);
    expected
        .extend([("closed", 2), ("twice", 2), ("next", 3)].map(|(name, count)| Expected::rcpt(&user(name, 0), count)));
    expected
}

fn messages_are_changed_once(port: u16, postfix: &Postfix) -> [Expected; 3] {
    let [row, data, end] = ["row", "data", "end"].map(|name| format!("{name}+{port}"));
    // The policy door's answer has room for the header, the milter sends the copy.
    let message = postfix.message(&send(port, "kept", &row).unwrap());
    assert_eq!(message.matches("\nX-Row: one\n").count(), 1, "{message}");
    assert_eq!(message.matches("\nrecipient: copied@ours.test\n").count(), 1, "{message}");

    let line = format!("{}!", send(port, &data, "user").unwrap());
    wait_for("a held message", PATIENCE, || postfix.queue().contains(&line).then_some(()));
    let refusal = send(port, &end, "user").unwrap_err();
    [
        Expected::rcpt(&row, 1),
        Expected::message(" stage=data ", &data),
        Expected::message(" stage=end_of_data ", &end).refused_by(&refusal),
    ]
}

fn greylisting_counts_once(port: u16, postfix: &Postfix) -> [Expected; 2] {
    // One is held by us, and the header is left to the milter; the other is held by Postfix.
    [("someone", "held"), ("kept", "grey")].map(|(sender, name)| {
        let user = format!("{name}+{port}");
        let refusal = send(port, sender, &user).unwrap_err();
        assert!(refusal.to_string().starts_with("450 4.2.0 "), "{refusal}");
        let mut attempts = 1;
        let queued = wait_for("the delay", PATIENCE, || {
            attempts += 1;
            send(port, sender, &user).ok()
        });
        let message = postfix.message(&queued);
        assert_eq!(message.matches("\nX-Greylist: ").count(), 1, "{message}");
        assert!(postfix.queue().contains(&format!("{queued}!")), "{}", postfix.queue());
        Expected::rcpt(&user, attempts).refused_by(&refusal)
    })
}

fn what_is_warned_of_is_decided_once(postfix: &Postfix) -> [Expected; 2] {
    let (mut session, _) = connect(LISTED, PORT_WARNING);
    talk(&mut session, HELLO);
    let listed = session.say("RCPT TO:<warned@ours.test>").unwrap();
    compare("the milter refuses", &listed, BLOCKED);
    let (_, id) = listed.lines[0].rsplit_once("; id=").unwrap();
    let warning = postfix.await_line("reject_warning: RCPT from mail.bad.test[10.0.0.66]");
    assert!(warning.contains(id), "{warning}");

    let deferred = send(PORT_WARNING, "kept", "grey").unwrap_err();
    assert!(deferred.to_string().starts_with("450 4.2.0 "), "DEFER_IF_PERMIT: {deferred}");
    [("warned", listed), ("grey", deferred)].map(|(user, reply)| Expected::rcpt(user, 1).refused_by(&reply))
}

fn whom_a_proxy_speaks_for_is_judged_once() -> [Expected; 2] {
    let proxied = ("proxied", "ADDR=10.0.0.66 PORT=77 NAME=mail.bad.test", 554);
    [proxied, ("alice", "LOGIN=alice", 250)].map(|(user, xclient, code)| {
        let (mut session, _) = connect(GOOD, PORTS[0]);
        talk(&mut session, &[HELLO[0], (&format!("XCLIENT {xclient}"), "220")]);
        talk(&mut session, HELLO);
        let reply = session.say(&format!("RCPT TO:<{user}@ours.test>")).unwrap();
        assert_eq!(reply.code, code, "{reply}");
        Expected::rcpt(user, 1)
    })
}
