//! `check_greylist` beside the real postgrey, by a steered clock.

use std::fs;

use crate::support::greylister::{Gate, waits};
use crate::support::peers::{Peer, present};
use crate::support::policy::Connection;
use crate::support::postgrey::{Postgrey, WHITELISTS};
use crate::support::program;
use crate::support::random::Random;

const REQUESTS: usize = 20_000;
const SEED: u64 = 1;
const START: u64 = 1_700_000_000;
/// postgrey forgets by its own clock, at night: what is drawn stays within its 35 days.
const SPAN_MAX: u64 = 34 * 86_400;
const HEADER: &str = "X-Greylist: delayed %t seconds";
const TEXT: &str = "Come back in %s seconds, %r";

/// Two doors of one host, as behind two MX names: what one was told counts at the other.
#[test]
fn two_names_of_one_host_have_one_memory() {
    let directory = tempfile::tempdir().unwrap();
    let second = format!("unix:{}/second", directory.path().display());
    let server = program::Server::start(&format!(
        "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"check_greylist\"]\n[greylist]\ndnswl = []\n\
         [doors.policy]\nlisten = [\"inet:127.0.0.1:0\", \"{second}\"]\n"
    ));
    server.await_line(&format!("listening on {second}"));
    let mut doors = [server.endpoint(), second].map(|endpoint| Connection::open(&endpoint).unwrap());
    for (door, after, expected) in [(0, 0, true), (1, 5, true), (0, 200, true), (1, 300, false), (0, 301, false)] {
        assert_eq!(
            waits(&mut doors[door], after, "203.0.113.7", "a@one.example"),
            expected,
            "door {door} after {after} s"
        );
    }
}

/// Senders as they come: with tags, numbers and extensions, and the null sender.
const SENDERS: &[&str] = &[
    "",
    "a@good.example",
    "A@Good.Example",
    "b@good.example",
    "b+tag@good.example",
    "bounce-17-x@list.example",
    "bounce-4711-x@list.example",
    "42@list.example",
    "prvs=0123456789=c@good.example",
    "prvs=9876543210=c@good.example",
    "prvs=c=0123456789@good.example",
    "owner",
];
const RECIPIENTS: &[&str] =
    &["u@ours.example", "U@Ours.example", "v@ours.example", "w@sub.ours.example", "postmaster@ours.example"];

/// A request, but for what is the same in all.
struct Request {
    time: u64,
    client: String,
    name: String,
    sender: &'static str,
    recipient: &'static str,
    instance: String,
}

impl Request {
    fn ask(&self, connection: &mut Connection) -> String {
        let time = self.time.to_string();
        let attributes = [
            ("protocol_state", "RCPT"),
            ("client_address", &*self.client),
            ("client_name", &*self.name),
            ("reverse_client_name", &*self.name),
            ("helo_name", "h.example"),
            ("sender", self.sender),
            ("recipient", self.recipient),
            ("instance", &*self.instance),
            // By this postgrey knows a Postfix that takes an enhanced code.
            ("etrn_domain", ""),
            ("policy_test_time", &*time),
        ];
        connection.ask(&attributes).unwrap()
    }
}

/// Our configuration to greylist as postgrey does, with its lists.
fn config() -> String {
    let [clients, recipients] = WHITELISTS;
    format!(
        "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = [\"check_greylist\"]\n\
         [greylist]\npool_proof = false\ndefault_whitelists = false\nwhitelist_clients = [\"{clients}\"]\n\
         whitelist_recipients = [\"{recipients}\"]\ngreylist_text = \"{TEXT}\"\nx_greylist_header = \"{HEADER}\"\n\
         [doors.policy]\nlisten = [\"inet:127.0.0.1:0\"]\n"
    )
}

/// Our answer without the id of the decision.
fn without_id(action: &str) -> &str {
    action.split_once("; id=").map_or(action, |(action, _)| action)
}

#[test]
fn random_requests_are_answered_as_by_postgrey() {
    if !present("greylist::random_requests", &[Peer::Root, Peer::Program("postgrey")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (text, header) = (format!("--greylist-text={TEXT}"), format!("--x-greylist-header={HEADER}"));
    let postgrey = Postgrey::start(directory.path(), WHITELISTS, &[&text, &header]);
    let server = program::Server::start(&config());
    let mut theirs = Connection::open(&postgrey.endpoint()).unwrap();
    let mut ours = Connection::open(&server.endpoint()).unwrap();
    let mut random = Random::new(SEED);
    let (mut time, mut instance) = (START, 0);
    let mut seen = [0; 3];
    for number in 0..REQUESTS {
        let request = draw(&mut random, &mut time, &mut instance);
        let (expected, found) = (request.ask(&mut theirs), request.ask(&mut ours));
        assert_eq!(
            without_id(&found),
            expected,
            "request {number} at {time}: {} {} {} {} {}",
            request.client,
            request.name,
            request.sender,
            request.recipient,
            request.instance
        );
        seen[["DUNNO", "PREPEND", "DEFER_IF_PERMIT"].iter().position(|word| expected.starts_with(word)).unwrap()] += 1;
    }
    assert!(time - START < SPAN_MAX, "postgrey would have forgotten");
    assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
}

fn draw(random: &mut Random, time: &mut u64, instance: &mut u64) -> Request {
    // Most come soon after one another; now and then days pass.
    *time += match random.below(4000) {
        0 => 86_400 * 2 + random.next() % 40_000,
        1..=80 => random.next() % 4_000,
        _ => random.next() % 40,
    };
    *instance += u64::from(!random.one_in(3));
    let host = random.below(60);
    let (client, name) = match random.below(12) {
        0 => (format!("2001:db8:{}::{host:x}", random.below(3)), "six.example".to_owned()),
        1 => ("192.0.2.1".to_owned(), "mx7.debian.org".to_owned()),
        _ => (format!("203.0.{}.{host}", random.below(40)), "unknown".to_owned()),
    };
    Request {
        time: *time,
        client,
        name,
        sender: random.pick(SENDERS),
        recipient: random.pick(RECIPIENTS),
        instance: format!("{instance:x}.1.0"),
    }
}

/// Hosts, addresses and recipients around each line of a list of postgrey's.
fn near(line: &str) -> Vec<String> {
    if let Some(pattern) = line.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        let plain = pattern.trim_start_matches('^').trim_end_matches('$');
        let host = plain.replace("\\d+", "12").replace("\\d", "7").replace(".*", "x").replace(".+", "y");
        let host: String =
            host.replace("\\.", ".").replace("\\-", "-").chars().filter(|c| !"[]()?\\".contains(*c)).collect();
        return vec![host.clone(), format!("{host}.example"), format!("a{host}")];
    }
    vec![line.to_owned(), format!("mx.{line}"), format!("x{line}"), format!("{line}.example"), line.to_uppercase()]
}

#[test]
fn the_lists_of_postgrey_hold_for_the_same_hosts() {
    if !present("greylist::lists", &[Peer::Root, Peer::Program("postgrey")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let postgrey = Postgrey::start(directory.path(), WHITELISTS, &["--delay=300"]);
    let server = program::Server::start(&config());
    let mut theirs = Connection::open(&postgrey.endpoint()).unwrap();
    let mut ours = Connection::open(&server.endpoint()).unwrap();
    let lines = WHITELISTS.map(|file| fs::read_to_string(file).unwrap());
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    };
    let (mut passed, mut asked) = (0, 0);
    for name in rows(&lines[0]).iter().flat_map(|row| near(row)) {
        let client = if name.parse::<std::net::IpAddr>().is_ok() { name.clone() } else { "203.0.113.1".into() };
        // Each asks once for a recipient of its own, so that nobody has come back.
        let recipient: &'static str = format!("r{asked}@ours.example").leak();
        let request = Request { time: START, client, name, sender: "a@b.example", recipient, instance: String::new() };
        let (expected, found) = (request.ask(&mut theirs), request.ask(&mut ours));
        let is_welcome = |action: &str| action == "DUNNO";
        assert_eq!(is_welcome(&found), is_welcome(&expected), "{}: {found}, {expected}", request.name);
        passed += usize::from(is_welcome(&found));
        asked += 1;
    }
    assert!(passed > 300 && asked - passed > 300, "{passed} of {asked}");
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("WARN"), "all lines are understood: {log}");
}

fn asked(server: &program::Server, sender: &'static str, seconds: u64) -> String {
    let request = Request {
        time: START + seconds,
        client: "203.0.113.5".into(),
        name: "unknown".into(),
        sender,
        recipient: "u@ours.example",
        instance: String::new(),
    };
    request.ask(&mut Connection::open(&server.endpoint()).unwrap())
}

/// Without the lists of postgrey, which may not be there.
fn plain() -> String {
    config().lines().filter(|line| !line.starts_with("whitelist_")).fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn a_welcome_list_that_changes_is_taken_on() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("whitelist_clients");
    fs::write(&list, "friend.example\n").unwrap();
    let gate = Gate::start_with("", &format!("whitelist_clients = [\"{}\"]\n", list.display()));
    assert!(gate.waits(0, "203.0.113.7", "a@one.example"));
    fs::write(&list, "friend.example\n203.0.113.7\n").unwrap();
    gate.server.await_line(&format!("took on whitelist_clients:{}", list.display()));
    assert!(!gate.waits(1, "203.0.113.7", "a@one.example"));
    assert!(gate.waits(1, "203.0.113.8", "a@one.example"));
}

#[test]
fn what_was_learnt_survives_a_stop() {
    let state = tempfile::tempdir().unwrap();
    let server = program::Server::start_in(&plain(), Some(state.path()));
    assert!(asked(&server, "a@good.example", 0).starts_with("DEFER_IF_PERMIT 4.2.0 Come back in 300 seconds"));
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("ERROR"), "{log}");
    let server = program::Server::start_in(&plain(), Some(state.path()));
    assert!(asked(&server, "a@good.example", 400).starts_with("PREPEND X-Greylist: delayed 400 seconds"));
}

#[test]
fn mail_goes_on_where_nothing_can_be_kept() {
    let server = program::Server::start_in(&plain(), Some("/proc/self/nowhere".as_ref()));
    server.await_line("what greylisting learns is lost at the next stop");
    assert!(asked(&server, "a@good.example", 0).starts_with("DEFER_IF_PERMIT "));
    assert!(asked(&server, "a@good.example", 300).starts_with("PREPEND "));

    // Two at the same file: the second one goes by its memory alone.
    let state = tempfile::tempdir().unwrap();
    let first = program::Server::start_in(&plain(), Some(state.path()));
    let second = program::Server::start_in(&plain(), Some(state.path()));
    second.await_line("another process has it open");
    for server in [first, second] {
        assert!(asked(&server, "a@good.example", 0).starts_with("DEFER_IF_PERMIT "));
    }
}
