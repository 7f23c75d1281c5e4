//! A real Sendmail that tells our milter of whole sessions.

use std::net::{IpAddr, SocketAddr};

use crate::support::dns::FakeDns;
use crate::support::netns::{self, HOST};
use crate::support::program::Server;
use crate::support::sendmail::{NEEDS, Sendmail};
use crate::support::smtp::{Reply, Session, talk};
use crate::support::zone::Zone;

const CONFIG: &str = r#"
hostname = "mx.test"
domains = ["ours.test"]
doors.policy.listen = []
doors.milter.listen = ["inet:127.0.0.1:8893"]
dns.servers = ["127.0.0.1:53"]
[restrictions]
client = ["reject_unknown_reverse_client_hostname"]
helo = []
sender = []
relay = ["reject_unauth_destination"]
recipient = """
    check_recipient_access inline:{{trap@ours.test = REJECT nobody lives here, 100% sure}, {hold@ours.test = HOLD},
        {discard@ours.test = DISCARD}, {header@ours.test = PREPEND X-Gate: seen}, {move@ours.test = REDIRECT moved@ours.test},
        {copy@ours.test = BCC copied@ours.test}, {closed@elsewhere.test = DEFER not by us}}
"""
data = ["reject_multi_recipient_bounce"]
end_of_data = ["check_sender_access inline:{{end@good.test = REJECT at the end}}"]
"#;

const ZONE: &str = "
10.0.0.1 PTR mail.good.test
mail.good.test A 10.0.0.1
10.0.0.2 PTR mail.good.test
";

/// As the manual has it.
const FILTER: &str = "INPUT_MAIL_FILTER(`portcullis', `S=inet:8893@127.0.0.1, F=T, T=R:30s')";
const HELLO: &[(&str, &str)] = &[("EHLO mail.good.test", "250"), ("MAIL FROM:<a@good.test>", "250 2.1.0")];
const MESSAGE: &str = "Subject: hello\r\n\r\nhello\r\n.";

fn connect(client: &str) -> Session {
    let client: IpAddr = client.parse().unwrap();
    Session::connect(client, SocketAddr::new(HOST[0].parse().unwrap(), 2525)).unwrap().0
}

/// A message to these recipients, and Sendmail's last word.
fn send(recipients: &[&str]) -> Reply {
    let mut session = connect("10.0.0.1");
    talk(&mut session, HELLO);
    for recipient in recipients {
        talk(&mut session, &[(&format!("RCPT TO:<{recipient}@ours.test>"), "250 2.1.5")]);
    }
    talk(&mut session, &[("DATA", "354")]);
    session.say(MESSAGE).unwrap()
}

#[test]
fn a_real_sendmail_goes_by_our_word() {
    netns::inside(&NEEDS, || {
        let _dns = FakeDns::start("127.0.0.1:53", Zone::parse(ZONE));
        let server = Server::start(CONFIG);
        let sendmail = Sendmail::start(FILTER);
        let mut session = connect("10.0.0.1");
        talk(&mut session, HELLO);
        talk(
            &mut session,
            &[
                (
                    "RCPT TO:<trap@ours.test>",
                    "554 5.7.1 <trap@ours.test>: Recipient address rejected: nobody lives here, 100% sure; id=ID",
                ),
                ("RCPT TO:<closed@elsewhere.test>", "550 5.7.1 <closed@elsewhere.test>... Relaying denied"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5"),
                ("DATA", "354"),
                (MESSAGE, "250 2.0.0"),
                ("MAIL FROM:<>", "250 2.1.0"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5"),
                ("RCPT TO:<other@ours.test>", "250 2.1.5"),
                ("DATA", "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; id=ID"),
                ("RSET", "250"),
                ("MAIL FROM:<end@good.test>", "250 2.1.0"),
                ("RCPT TO:<user@ours.test>", "250 2.1.5"),
                ("DATA", "354"),
                (MESSAGE, "554 5.7.1 <end@good.test>: Sender address rejected: at the end; id=ID"),
            ],
        );
        // What Sendmail has looked up is not asked again, and what it refuses is not judged.
        server.await_line("client=mail.good.test[10.0.0.1]");
        assert!(!server.log().contains("closed@elsewhere.test"), "{}", server.log());

        let mut session = connect("10.0.0.3");
        talk(&mut session, HELLO);
        talk(
            &mut session,
            &[(
                "RCPT TO:<user@ours.test>",
                // Sendmail says whom it refuses where we do not.
                "450 4.7.1 <user@ours.test>... Client host rejected: cannot find your reverse hostname, [10.0.0.3]; \
                 id=ID",
            )],
        );

        let queue_id = |reply: Reply| reply.to_string().split(' ').nth(2).unwrap_or_default().to_owned();
        let (message, is_held) = sendmail.queued(&queue_id(send(&["user", "hold", "header", "copy"])));
        assert!(is_held && message.contains("X-Gate: seen") && message.contains("copied\"@ours.test"), "{message}");
        let (message, is_held) = sendmail.queued(&queue_id(send(&["user", "move"])));
        assert!(!is_held && message.contains("moved\"@ours.test") && !message.contains("<user@"), "{message}");
        let discarded = send(&["user", "discard"]);
        assert_eq!(discarded.code, 250, "{discarded}");

        drop(server);
        let lines = [("EHLO mail.good.test", "250"), ("MAIL FROM:<a@good.test>", "451 4.3.2 Please try again later")];
        talk(&mut connect("10.0.0.1"), &lines);
    });
}
