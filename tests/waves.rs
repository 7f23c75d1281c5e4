//! The wave test: the questions of a whole chain of restrictions go out side by side. A DNS that withholds every
//! answer until the whole expected wave has come proves it without a clock.

use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType::{A, AAAA, MX, PTR, TXT};

use crate::support::dns::FakeDns;
use crate::support::policy::Connection;
use crate::support::program::{self, Server};
use crate::support::zone::Zone;

/// A wave that is not whole by then never will be. Our questions wait longer for their answers.
const PATIENCE: Duration = Duration::from_secs(8);
const DNS: &str = "[dns]\ntimeout = \"10s\"\n";

/// The lists that the design starts out with, without SPF and greylisting.
const CHAIN: &str = r#"
hostname = "mx.test"
domains = ["ours.test"]
[restrictions]
client = ["permit_mynetworks", "permit_sasl_authenticated", "reject_unknown_reverse_client_hostname"]
helo = ["permit_mynetworks", "permit_sasl_authenticated", "check_helo_access inline:{{mx.test = REJECT that is me}}",
        "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname"]
sender = ["permit_mynetworks", "permit_sasl_authenticated", "reject_non_fqdn_sender", "reject_unknown_sender_domain"]
relay = ["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"]
recipient = ["reject_non_fqdn_recipient", "permit_mynetworks", "permit_sasl_authenticated",
             "check_client_access inline:{{friend.test = OK}}",
             "reject_rhsbl_helo dbl.spamhaus.org", "reject_rhsbl_reverse_client dbl.spamhaus.org",
             "reject_rhsbl_sender dbl.spamhaus.org",
             "permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]", "reject_rbl_client zen.spamhaus.org"]
[doors.policy]
listen = ["inet:127.0.0.1:0"]
"#;

/// The client is known by name, its HELO name has an IPv6 address only, the sender's domain takes mail without an MX,
/// and the last list of the chain lists the client: the longest way through the chain.
const ZONE: &str = "
203.0.113.9 PTR host.client.test
host.client.test A 203.0.113.9
helo.test AAAA 2001:db8::9
sender.test A 198.51.100.7
9.113.0.203.zen.spamhaus.org A 127.0.0.2
9.113.0.203.zen.spamhaus.org TXT listed for a test
";

const REFUSAL: &str =
    "Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org; listed for a test";

#[test]
fn postfix_tells_the_name_and_one_wave_asks_all_that_depends_on_nothing() {
    let dns = FakeDns::start("127.0.0.1:0", Zone::parse(ZONE));
    let server = Server::start(&format!("{CHAIN}{DNS}servers = [\"{}\"]\n", dns.address()));
    dns.expect_waves(&[
        &[
            ("helo.test", A),
            ("helo.test.dbl.spamhaus.org", A),
            ("host.client.test.dbl.spamhaus.org", A),
            ("sender.test", MX),
            ("sender.test.dbl.spamhaus.org", A),
            ("9.113.0.203.list.dnswl.org", A),
            ("9.113.0.203.zen.spamhaus.org", A),
        ],
        &[("helo.test", AAAA), ("sender.test", A), ("9.113.0.203.zen.spamhaus.org", TXT)],
    ]);
    let answer = thread::spawn(move || {
        Connection::open(&server.endpoint()).unwrap().ask(&[
            ("protocol_state", "RCPT"),
            ("client_address", "203.0.113.9"),
            ("client_name", "host.client.test"),
            ("reverse_client_name", "host.client.test"),
            ("helo_name", "helo.test"),
            ("sender", "a@sender.test"),
            ("recipient", "b@ours.test"),
        ])
    });
    dns.await_waves(PATIENCE).unwrap_or_else(|missing| panic!("{missing}"));
    let action = answer.join().unwrap().unwrap();
    assert!(action.starts_with(&format!("554 5.7.1 {REFUSAL}; id=")), "{action}");
}

#[test]
fn explain_looks_up_the_name_beside_everything_else() {
    let dns = FakeDns::start("127.0.0.1:0", Zone::parse(ZONE));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("portcullis.toml");
    std::fs::write(&config, format!("{CHAIN}{DNS}")).unwrap();
    dns.expect_waves(&[
        &[
            ("9.113.0.203.in-addr.arpa", PTR),
            ("helo.test", A),
            ("helo.test.dbl.spamhaus.org", A),
            ("sender.test", MX),
            ("sender.test.dbl.spamhaus.org", A),
            ("9.113.0.203.list.dnswl.org", A),
            ("9.113.0.203.zen.spamhaus.org", A),
        ],
        &[
            ("host.client.test", A),
            ("host.client.test.dbl.spamhaus.org", A),
            ("helo.test", AAAA),
            ("sender.test", A),
            ("9.113.0.203.zen.spamhaus.org", TXT),
        ],
    ]);
    let server = format!("--dns-server={}", dns.address());
    let told = thread::spawn(move || {
        let session = ["--client=203.0.113.9", "--helo=helo.test", "--sender=a@sender.test", "--recipient=b@ours.test"];
        program::explain(&config, &[&[server.as_str()], &session[..]].concat())
    });
    dns.await_waves(PATIENCE).unwrap_or_else(|missing| panic!("{missing}"));
    assert_eq!(told.join().unwrap()["reply"], format!("554 5.7.1 {REFUSAL}"));
}

/// A session without a name, asked for by the policy protocol, under a configuration that ends with `[restrictions]`.
fn ask_with(config: &str, waves: &[Vec<(&str, hickory_proto::rr::RecordType)>], expected: &str) {
    let dns = FakeDns::start("127.0.0.1:0", Zone::parse(""));
    let door = "[doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n";
    let servers = format!("[dns]\nservers = [\"{}\"]\n", dns.address());
    let server = Server::start(&format!("{config}\n{door}{servers}"));
    let waves: Vec<&[_]> = waves.iter().map(Vec::as_slice).collect();
    dns.expect_waves(&waves);
    let session = [
        ("protocol_state", "RCPT"),
        ("client_address", "203.0.113.9"),
        ("helo_name", "helo.test"),
        ("recipient", "b@ours.test"),
    ];
    let answer = thread::spawn(move || Connection::open(&server.endpoint()).unwrap().ask(&session));
    dns.await_waves(PATIENCE).unwrap_or_else(|missing| panic!("{missing}"));
    let answer = answer.join().unwrap().unwrap();
    assert!(answer.starts_with(expected), "{answer}");
}

/// So many block lists, and what they are asked.
fn block_lists(count: usize) -> (String, Vec<(&'static str, hickory_proto::rr::RecordType)>) {
    let lists: Vec<String> = (0..count).map(|number| format!("\"reject_rbl_client l{number}.test\"")).collect();
    let question = |number| -> (&'static str, _) { (format!("9.113.0.203.l{number}.test").leak(), A) };
    (lists.join(", "), (0..count).map(question).collect())
}

#[test]
fn early_questions_have_a_limit() {
    let (lists, questions) = block_lists(34);
    let waves = [questions[..32].to_vec(), vec![questions[32]], vec![questions[33]]];
    let config = format!("[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [{lists}]");
    ask_with(&config, &waves, "DUNNO");
}

#[test]
fn a_name_for_the_reply_alone_is_asked_beyond_the_limit() {
    let (lists, mut questions) = block_lists(32);
    questions.push(("9.113.0.203.in-addr.arpa", PTR));
    let config = format!("mynetworks = [\"10.0.0.1/8\"]\n[restrictions]\nclient = [{lists}, \"permit_mynetworks\"]");
    ask_with(&config, &[questions], "451 4.3.0 <unknown[203.0.113.9]>: Temporary lookup failure");
}

#[test]
fn a_list_may_wait_for_its_turn() {
    ask_with(
        "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"reject_rbl_client a.test\", \"reject_rbl_client b.test\", \"reject_rbl_client c.test\"]\n\
         [lists.\"b.test\"]\nearly = false",
        &[vec![("9.113.0.203.a.test", A), ("9.113.0.203.c.test", A)], vec![("9.113.0.203.b.test", A)]],
        "DUNNO",
    );
}
