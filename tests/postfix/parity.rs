//! Parity: drawn restriction lists judge drawn sessions in a real Postfix and in ours, and the replies are the same.
//!
//! Each configuration becomes an smtpd service of a private Postfix and a `portcullis.toml` with the same lists. Each
//! session is put to Postfix's own lists, to `explain`, to a Postfix that asks our policy server, and to one that tells our
//! milter. Clients come from any address, and Postfix looks up their names itself, in the same fake DNS as we do.
//!
//! `PORTCULLIS_PARITY_SESSIONS` says how many sessions are drawn, `PORTCULLIS_PARITY_SEED` replays a seed, or one
//! configuration of it (`seed:number`).
//!
//! Addresses without a domain and with routes in them are drawn too: we resolve them as trivial-rewrite(8) does, as
//! far as that judges.
//!
//! What is left out is printed: `kinds::LEFT_OUT` and `report::NOT_DRAWN`. Obsolete restrictions (`check_relay_domains`,
//! `permit_naked_ip_address`, `reject_maps_rbl`), SMTPUTF8 and literals of the server's own addresses are not drawn either.
//! `explain` asks no policy service, so that lists with one are compared through the policy door alone. A session that
//! Postfix ends because it does not like the syntax of a command is counted, not compared.

mod actions;
mod answers;
mod certificates;
mod draw;
mod kinds;
mod lists;
mod patterns;
mod quota;
mod report;
mod restrictions;
mod servers;
mod session;
mod tables;
mod world;
mod zone;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use certificates::Certificates;
use draw::Configuration;
use report::{Put, Report};
use servers::{
    PORT_MILTER, PORT_POLICY, PORT_POLICY_STAGES, main_cf, milter_client, milter_socket, own_lists, policy_client,
    policy_socket, portcullis_toml,
};
use session::Session;

use crate::support::dns::FakeDns;
use crate::support::peers::Peer;
use crate::support::postfix::{Postfix, Service};
use crate::support::program::Server;
use crate::support::random::Random;
use crate::support::{netns, policy_service, sasl};

/// The seed that is the same in every run.
const FIXED_SEED: u64 = 2;
const SESSIONS_DEFAULT: usize = 500;
/// The services that one Postfix is given; its master holds not many more.
const SERVICES_MAX: usize = 100;
/// Most of the time is spent waiting for other processes.
const WORKERS: usize = 4;
/// The port of the first configuration.
const PORT_OWN: usize = 20_000;
/// What the tests need.
const PEERS: [Peer; 2] = [Peer::Program("postfix"), Peer::Program("openssl")];

#[test]
fn replies_are_those_of_postfix_with_the_fixed_seed() {
    netns::inside(&PEERS, || compare(FIXED_SEED, None));
}

#[test]
fn replies_are_those_of_postfix_with_a_fresh_seed() {
    netns::inside(&PEERS, || {
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
    let certificates = Certificates::new(tables.path());
    let draw = |number| draw::configuration(seed, number, sessions, tables.path(), &certificates);
    let configurations: Vec<Configuration> = (0..draw::configurations(sessions))
        .filter(|number| only.is_none_or(|only| only == *number))
        .map(draw)
        .collect();
    let mut zone = zone::zone();
    configurations.iter().flat_map(|configuration| &configuration.zone).for_each(|line| zone.line(line));
    let _dns = FakeDns::start("127.0.0.1:53", zone);
    let rules = configurations.iter().flat_map(|configuration| configuration.rules.clone()).collect();
    policy_service::serve(restrictions::POLICY_SERVICE, rules);
    let results = Mutex::new(Report::default());
    for batch in configurations.chunks(SERVICES_MAX) {
        ask(batch, &certificates, &results);
    }
    let promised = only.is_none() && draw::configurations(sessions) == quota::cells(seed).len().max(sessions / 4);
    results.into_inner().unwrap().report(seed, promised);
}

/// Puts the sessions of a batch to one Postfix and to us.
fn ask(batch: &[Configuration], certificates: &Certificates, results: &Mutex<Report>) {
    let directory = Postfix::directory();
    let root = directory.path().to_owned();
    sasl::serve(&root.join("auth"));
    let files = batch.iter().flat_map(|configuration| &configuration.files);
    files.clone().for_each(|table| table.write().expect("the directory is ours"));
    Postfix::postmap(&files.filter_map(tables::Table::to_compile).collect::<Vec<_>>());
    let own = batch.iter().enumerate().map(|(index, configuration)| own_lists(configuration, PORT_OWN + index));
    let asking_us = (0..WORKERS).flat_map(|worker| {
        [policy_client(worker, &root, true), policy_client(worker, &root, false), milter_client(worker, &root)]
    });
    let services: Vec<Service> = own.chain(asking_us).collect();
    let postfix = Postfix::start(directory, &main_cf(&root, certificates), &services);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, root, postfix) = (&next, &root, &postfix);
            scope.spawn(move || {
                while let Some((index, configuration)) = take(batch, next) {
                    let policy = if configuration.delay_reject { PORT_POLICY } else { PORT_POLICY_STAGES };
                    let ports = [PORT_OWN + index, policy + worker, PORT_MILTER + worker];
                    let sockets = [policy_socket(root, worker), milter_socket(root, worker)];
                    let server = Server::start(&portcullis_toml(configuration, &sockets[0], &sockets[1]));
                    for session in &configuration.sessions {
                        let put = || put(session, configuration, ports, &server, postfix);
                        let mut said = put();
                        if let Some(difference) = said.difference(configuration, session) {
                            said = put();
                            if said.difference(configuration, session).is_none() {
                                results.lock().unwrap().add_passing(&difference);
                            }
                        }
                        results.lock().unwrap().add(configuration, session, &said);
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

/// What each of those makes of it.
fn put(
    session: &Session,
    configuration: &Configuration,
    [own, policy, milter]: [usize; 3],
    server: &Server,
    postfix: &Postfix,
) -> Put {
    let ask = |port: usize| {
        answers::of_postfix(session, port as u16, configuration.looks_at_messages()).unwrap_or_else(|error| {
            panic!("{error} in configuration {}, {session}:\n{}", configuration.number, postfix.troubles())
        })
    };
    let own = ask(own);
    // It asks no policy service: that might change something.
    let explained = configuration
        .rules
        .is_empty()
        .then(|| answers::of_explain(session, &server.config(), configuration.looks_at_messages()));
    let through_milter = report::is_for_milter(configuration, session).then(|| ask(milter));
    Put { own, explained, through_policy: ask(policy), through_milter }
}
