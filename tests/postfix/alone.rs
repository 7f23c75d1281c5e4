//! The ground of the other tests: a private Postfix in a namespace of its own, which asks our fake DNS.

use crate::support::dns::FakeDns;
use crate::support::netns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::sasl;
use crate::support::smtp::Session;
use crate::support::zone::Zone;

/// Clients, and whether Postfix finds their names.
const CLIENTS: [(&str, &str); 4] = [
    ("10.1.2.3", "250 2.1.5 Ok"),
    ("2001:db8:7::1", "250 2.1.5 Ok"),
    ("203.0.113.9", "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]"),
    ("2001:db8:7::2", "450 4.7.25 Client host rejected: cannot find your hostname, [2001:db8:7::2]"),
];

#[test]
fn postfix_asks_the_fake_dns_and_sees_any_client() {
    netns::inside(&[Peer::Program("postfix")], || {
        let mut zone = Zone::default();
        zone.host("mail.good.test", "10.1.2.3");
        zone.host("mail.good.test", "2001:db8:7::1");
        let dns = FakeDns::start("127.0.0.1:53", zone);
        let directory = Postfix::directory();
        sasl::serve(&directory.path().join("auth"));
        let main = format!(
            "mydestination = ours.test\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}\n",
            directory.path().join("auth").display()
        );
        let list = "permit_sasl_authenticated, reject_unknown_client_hostname, reject_unauth_destination";
        let service = Service { port: 2525, options: vec![("smtpd_recipient_restrictions".into(), list.into())] };
        let postfix = Postfix::start(directory, &main, &[service]);

        for (client, expected) in CLIENTS {
            assert_eq!(recipient_reply(client, None), expected);
            assert_eq!(recipient_reply(client, Some(sasl::AUTH_COMMAND)), "250 2.1.5 Ok");
        }
        postfix.await_line("NOQUEUE: reject: RCPT from unknown[203.0.113.9]");
        assert!(dns.questions().iter().any(|asked| asked.question.0 == "9.113.0.203.in-addr.arpa"));
    });
}

fn recipient_reply(client: &str, login: Option<&str>) -> String {
    let client = client.parse().unwrap();
    let (mut session, _) = Session::connect(client, Postfix::address(client, 2525)).unwrap();
    session.say("EHLO mail.good.test").unwrap();
    if let Some(login) = login {
        assert_eq!(session.say(login).unwrap().code, 235);
    }
    session.say("MAIL FROM:<a@good.test>").unwrap();
    session.say("RCPT TO:<b@ours.test>").unwrap().to_string()
}
