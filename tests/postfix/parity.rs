//! Parity: drawn restriction lists judge drawn sessions in a real Postfix and in ours, and the replies are the same.
//!
//! Each configuration becomes an smtpd service of a private Postfix and a `portcullis.toml` with the same lists. Each
//! session is put to Postfix's own lists, to `explain`, and to a Postfix that asks our policy server. Clients come
//! from any address, and Postfix looks up their names itself, in the same fake DNS as we do.
//!
//! `PORTCULLIS_PARITY_SESSIONS` says how many sessions are drawn, `PORTCULLIS_PARITY_SEED` replays a seed, or one
//! configuration of it (`seed:number`).
//!
//! Addresses without a domain and with routes in them are drawn too: we resolve them as trivial-rewrite(8) does, as
//! far as that judges.
//!
//! Left out: HELO names with octets that Postfix replaces before anybody sees them, SMTPUTF8, literals of the server's own addresses, and what is obsolete (`check_relay_domains`,
//! `permit_naked_ip_address`, `reject_maps_rbl`). A session that Postfix ends because it does not like the syntax of
//! a command is counted, not compared.

mod answers;
mod draw;
mod patterns;
mod quota;
mod session;
mod tables;
mod world;

use std::env;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use answers::Answer;
use draw::{CLASSES, Configuration, LISTS};
use quota::Tally;
use session::Session;

use crate::support::dns::FakeDns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::random::Random;
use crate::support::{aloud, netns, sasl};

/// The seed that is the same in every run.
const FIXED_SEED: u64 = 2;
const SESSIONS_DEFAULT: usize = 500;
/// The services that one Postfix is given; its master holds not many more.
const SERVICES_MAX: usize = 100;
/// Most of the time is spent waiting for other processes.
const WORKERS: usize = 4;
/// The port of the first configuration.
const PORT_OWN: usize = 20_000;
/// The ports of the first worker's Postfix that asks us at RCPT, and of the one that asks us at every stage.
const PORT_POLICY: usize = 19_000;
const PORT_POLICY_STAGES: usize = 19_100;
/// The differences that are printed in full.
const DIFFERENCES_SHOWN: usize = 20;

#[test]
fn replies_are_those_of_postfix_with_the_fixed_seed() {
    netns::inside(&[Peer::Program("postfix")], || compare(FIXED_SEED, None));
}

#[test]
fn replies_are_those_of_postfix_with_a_fresh_seed() {
    netns::inside(&[Peer::Program("postfix")], || {
        let given = env::var("PORTCULLIS_PARITY_SEED").ok();
        let number = |text: &str| text.parse().expect("PORTCULLIS_PARITY_SEED is SEED or SEED:CONFIGURATION");
        match given.as_deref().map(|given| given.split_once(':').unwrap_or((given, ""))) {
            None => compare(Random::fresh_seed(), None),
            Some((seed, "")) => compare(number(seed), None),
            Some((seed, configuration)) => compare(number(seed), Some(number(configuration) as usize)),
        }
    });
}

/// Draws, asks and compares; one configuration only, if `only` names one.
fn compare(seed: u64, only: Option<usize>) {
    let wanted = env::var("PORTCULLIS_PARITY_SESSIONS").ok();
    let sessions =
        wanted.map_or(SESSIONS_DEFAULT, |text| text.parse().expect("PORTCULLIS_PARITY_SESSIONS is a number"));
    let tables = Postfix::directory();
    let draw = |number| draw::configuration(seed, number, sessions, tables.path());
    let configurations: Vec<Configuration> = (0..draw::configurations(sessions))
        .filter(|number| only.is_none_or(|only| only == *number))
        .map(draw)
        .collect();
    let mut zone = world::zone();
    configurations.iter().flat_map(|configuration| &configuration.zone).for_each(|line| zone.line(line));
    let _dns = FakeDns::start("127.0.0.1:53", zone);
    let results = Results::default();
    for batch in configurations.chunks(SERVICES_MAX) {
        ask(batch, &results);
    }
    let promised = only.is_none() && draw::configurations(sessions) == quota::cells().len().max(sessions / 4);
    results.into_inner().unwrap().report(seed, promised);
}

/// Puts the sessions of a batch to one Postfix and to us.
fn ask(batch: &[Configuration], results: &Results) {
    let directory = Postfix::directory();
    let root = directory.path().to_owned();
    sasl::serve(&root.join("auth"));
    let files = batch.iter().flat_map(|configuration| &configuration.files);
    files.clone().for_each(|table| table.write().expect("the directory is ours"));
    Postfix::postmap(&files.filter_map(tables::Table::to_compile).collect::<Vec<_>>());
    let own = batch.iter().enumerate().map(|(index, configuration)| own_lists(configuration, PORT_OWN + index));
    let asking_us =
        (0..WORKERS).flat_map(|worker| [policy_client(worker, &root, true), policy_client(worker, &root, false)]);
    let services: Vec<Service> = own.chain(asking_us).collect();
    let postfix = Postfix::start(directory, &main_cf(&root), &services);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, root, postfix) = (&next, &root, &postfix);
            scope.spawn(move || {
                while let Some((index, configuration)) = take(batch, next) {
                    let ports = if configuration.delay_reject { PORT_POLICY } else { PORT_POLICY_STAGES };
                    let server = Server::start(&portcullis_toml(configuration, &policy_socket(root, worker)));
                    for session in &configuration.sessions {
                        let result = put(session, configuration, PORT_OWN + index, ports + worker, &server, postfix);
                        results.lock().unwrap().add(configuration, session, result);
                    }
                    let (status, log) = server.stop();
                    assert!(status.success(), "configuration {}: {status}\n{log}", configuration.number);
                }
            });
        }
    });
}

fn take<'a>(batch: &'a [Configuration], next: &AtomicUsize) -> Option<(usize, &'a Configuration)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    batch.get(index).map(|configuration| (index, configuration))
}

fn main_cf(root: &Path) -> String {
    let maps: String = world::maps().map(|(name, value)| format!("{name} = {value}\n")).concat();
    format!(
        "{maps}mynetworks = {}\nmydestination = {}\nrelay_domains = {}\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}/auth\n\
         smtpd_restriction_classes = {}\n{}\n",
        world::MYNETWORKS.join(" "),
        world::DOMAINS.join(" "),
        world::RELAY_DOMAINS.join(" "),
        root.display(),
        CLASSES.map(|(name, _)| name).join(" "),
        CLASSES.map(|(name, restrictions)| format!("{name} = {restrictions}")).join("\n"),
    )
}

/// The smtpd that judges by the lists of `configuration`.
fn own_lists(configuration: &Configuration, port: usize) -> Service {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut options = vec![
        ("smtpd_delay_reject".to_owned(), yes_no(configuration.delay_reject)),
        ("smtpd_helo_required".to_owned(), yes_no(configuration.helo_required)),
        ("smtpd_relay_before_recipient_restrictions".to_owned(), yes_no(configuration.relay_before_recipient)),
    ];
    for (name, list) in LISTS.iter().zip(&configuration.lists) {
        options.push((format!("smtpd_{name}_restrictions"), list.join(", ")));
    }
    options.extend(configuration.parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Service { port: port as u16, options }
}

/// The smtpd that leaves every judgement to the policy server of `worker`: at RCPT, or at every stage.
fn policy_client(worker: usize, root: &Path, delay_reject: bool) -> Service {
    let ask = format!("check_policy_service unix:{}", policy_socket(root, worker));
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut options = vec![
        option("smtpd_recipient_restrictions", &format!("{ask}, permit_mynetworks, reject_unauth_destination")),
        option("smtpd_relay_restrictions", ""),
        // What we let pass is accepted.
        option("mynetworks", "0.0.0.0/0 [::]/0"),
        // A process keeps its connection to the server, and each configuration has a server of its own.
        option("max_use", "1"),
    ];
    if delay_reject {
        return Service { port: (PORT_POLICY + worker) as u16, options };
    }
    options.push(option("smtpd_delay_reject", "no"));
    options.extend(["client", "helo", "sender"].map(|list| (format!("smtpd_{list}_restrictions"), ask.clone())));
    Service { port: (PORT_POLICY_STAGES + worker) as u16, options }
}

fn policy_socket(root: &Path, worker: usize) -> String {
    root.join(format!("policy{worker}")).display().to_string()
}

fn portcullis_toml(configuration: &Configuration, socket: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let array = |texts: &[&str]| format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "));
    let mut text = format!(
        "hostname = \"mx.test\"\nmynetworks = {}\ndomains = {}\nrelay_domains = {}\n\
         [dns]\nservers = [\"127.0.0.1:53\"]\ntimeout = \"3s\"\n\
         [doors.policy]\nlisten = [\"unix:{socket}\"]\nsocket_mode = \"0666\"\n\
         [restrictions]\ndelay_reject = {}\nhelo_required = {}\nrelay_before_recipient = {}\n",
        array(&world::MYNETWORKS),
        array(&world::DOMAINS),
        array(&world::RELAY_DOMAINS),
        configuration.delay_reject,
        configuration.helo_required,
        configuration.relay_before_recipient,
    );
    for (name, list) in LISTS.iter().zip(&configuration.lists) {
        let _ = writeln!(text, "{name} = {}", array(&list.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text.push_str("[restrictions.classes]\n");
    for (name, restrictions) in CLASSES {
        let _ = writeln!(text, "{name} = {}", quoted(restrictions));
    }
    text.push_str("[postfix]\n");
    let _ = writeln!(text, "inet_interfaces = {}", array(&["192.0.2.25", "2001:db8::25"]));
    for (name, value) in world::maps() {
        let _ = writeln!(text, "{name} = {}", array(&[&value]));
    }
    for (name, value) in &configuration.parameters {
        let _ = match *name {
            draw::PARENTS => writeln!(text, "{name} = [{}]", quoted(value)),
            _ if name.ends_with("_code") => writeln!(text, "{name} = {value}"),
            _ => writeln!(text, "{name} = {}", quoted(value)),
        };
    }
    text
}

/// What the three said.
struct Put {
    own: Answer,
    explained: Answer,
    /// Postfix's reply after it asked our policy server.
    through_policy: Answer,
    told: serde_json::Value,
}

fn put(
    session: &Session,
    configuration: &Configuration,
    own: usize,
    policy: usize,
    server: &Server,
    postfix: &Postfix,
) -> Put {
    let ask = |port: usize| {
        answers::of_postfix(session, port as u16).unwrap_or_else(|error| {
            panic!("{error} in configuration {}, {session}:\n{}", configuration.number, postfix.troubles())
        })
    };
    let own = ask(own);
    let (explained, told) = answers::of_explain(session, &server.config());
    Put { own, explained, through_policy: ask(policy), told }
}

type Results = Mutex<Report>;

#[derive(Default)]
struct Report {
    tally: Tally,
    sessions: u32,
    refused: u32,
    about_syntax: u32,
    differences: Vec<String>,
}

impl Report {
    fn add(&mut self, configuration: &Configuration, session: &Session, put: Put) {
        self.sessions += 1;
        if put.own.is_about_syntax() || put.through_policy.is_about_syntax() {
            self.about_syntax += 1;
            return;
        }
        self.refused += u32::from(put.own != Answer::Accepted);
        let is_first = std::ptr::eq(session, &raw const configuration.sessions[0]);
        if is_first {
            self.tally.count(configuration.cell);
        }
        let mut found = Vec::new();
        if is_first && configuration.must_refuse && put.own == Answer::Accepted {
            found.push("the harness is wrong: Postfix should refuse here".to_owned());
        }
        if put.own != put.explained {
            found.push(format!("postfix: {}\n  explain: {}", put.own, put.explained));
        }
        // Postfix takes a bare "postmaster" without asking anybody at RCPT, so that no policy server can say that there was
        // no HELO: that is for Postfix's own smtpd_helo_required.
        let is_unasked = session.recipient.meant.eq_ignore_ascii_case("postmaster")
            && configuration.delay_reject
            && session.helo.is_none();
        if !is_unasked && !put.own.is_told_by(&put.through_policy) {
            found.push(format!("postfix: {}\n  by policy: {}", put.own, put.through_policy));
        }
        if !found.is_empty() {
            self.differences.push(format!(
                "{}\n  {}\n  {}",
                story(configuration, session),
                found.join("\n  "),
                put.told
            ));
        }
    }

    fn report(self, seed: u64, promised: bool) {
        let Self { tally, sessions, refused, about_syntax, differences } = self;
        aloud(&format!(
            "parity: seed {seed}: {sessions} sessions, {refused} refused, {about_syntax} set aside for their syntax, \
             {} differences",
            differences.len()
        ));
        println!("{}", tally.table());
        for difference in differences.iter().take(DIFFERENCES_SHOWN) {
            println!("\nPORTCULLIS_PARITY_SEED={seed}:{difference}");
        }
        assert!(differences.is_empty(), "{} differences under seed {seed}", differences.len());
        let broken = tally.broken();
        assert!(!promised || broken.is_empty(), "not drawn under seed {seed}: {}", broken.join(", "));
    }
}

fn story(configuration: &Configuration, session: &Session) -> String {
    let Configuration {
        number,
        cell,
        delay_reject,
        helo_required,
        relay_before_recipient,
        lists,
        zone,
        parameters,
        ..
    } = configuration;
    let mut text = format!("{number} about {} {:?}\n  {session}\n", cell.kind.name, cell.situation);
    let _ = write!(
        text,
        "  delay_reject {delay_reject}, helo_required {helo_required}, relay_before_recipient {relay_before_recipient}"
    );
    for (name, value) in parameters {
        let _ = write!(text, ", {name} {value}");
    }
    for (name, list) in LISTS.iter().zip(lists).filter(|(_, list)| !list.is_empty()) {
        let _ = write!(text, "\n  {name}: {}", list.join(", "));
    }
    for table in &configuration.files {
        let _ = write!(text, "\n  {table}");
    }
    for line in zone {
        let _ = write!(text, "\n  dns: {line}");
    }
    text
}
