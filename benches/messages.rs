//! How many messages a second a Postfix takes that tells us of them, beside one whose milter accepts everything, and one
//! without a milter.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::chain::{Chain, OURS};
use super::figures::{median, table, target, title};
use super::inside;
use super::load::Mail;
use super::server::Server;
use super::support::dns::{FakeDns, Manner};
use super::support::postfix::{Postfix, Service};
use super::support::smtp::Session;
use super::support::wait_for;
use super::support::zone::Zone;
use super::throughput::WORLD;

/// The argument by which this program runs the scenario in its own namespace.
pub const INSIDE: &str = "messages-inside";

const PARALLEL: usize = 10;
const MESSAGES: u32 = 1_000;
/// The clients are of so many domains.
const DOMAINS: u32 = 100;
const SIZE: usize = 5 * 1024;
/// How often each Postfix is measured, in turn.
const ROUNDS: usize = 7;
/// The least share of the rate with a milter that accepts everything, in percent.
const SHARE_MIN: f64 = 92.0;
/// The least share of the rate over a Unix-domain socket, in percent.
const INET_MIN: f64 = 90.0;
/// Postfix delivers what it took no slower than it took it.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY: &str = "inet:127.0.0.1:0";
const WAYS: [&str; 5] = ["no milter", "accepting, inet", "portcullis, inet", "accepting, unix", "portcullis, unix"];
/// The first of the smtpd's ports: each way has its own.
const PORT: u16 = 2525;

/// Runs the scenario in a network namespace, or says aloud why it cannot.
pub fn run(quick: bool) -> bool {
    inside::run("messages", INSIDE, quick)
}

/// Runs the scenario in the namespace that this process is in.
pub fn run_inside(quick: bool) -> bool {
    let messages = if quick { MESSAGES / 10 } else { MESSAGES };
    title(
        "messages",
        &format!(
            "{messages} messages of {SIZE} octets from as many clients of {DOMAINS} domains, {PARALLEL} in parallel, a \
             connection for each; full chain in the milter,\nPostfix itself checks nothing and throws away what it took; \
             one pass unmeasured to warm the caches, then {ROUNDS} passes for each in turn"
        ),
    );
    let mut zone = Zone::parse(WORLD);
    (0..messages).map(mail).for_each(|mail| zone.host(&mail.host().to_string(), &mail.client().to_string()));
    let dns = FakeDns::start_with("127.0.0.1:53", zone, Manner::default());
    let chain = Chain::new();
    let config = chain.portcullis(dns.address()).replace("[dns]", "[dns]\nttl_min = \"1h\"");
    let sockets = Postfix::directory();
    let socket = |name: &str| format!("unix:{}/{name}", sockets.path().display());
    let inet = |server: &Server| format!("inet:{}", server.address);
    let (accepting, ours) = (Server::accepting(ANY), Server::milter(&config, ANY));
    let (accepting_unix, ours_unix) = (socket("accepting"), socket("portcullis"));
    let _by_socket = (Server::accepting(&accepting_unix), Server::milter(&config, &ours_unix));
    let milters = [String::new(), inet(&accepting), inet(&ours), accepting_unix, ours_unix];
    let service = |(port, milter)| Service { port, options: vec![("smtpd_milters".to_owned(), milter)] };
    let services: Vec<_> = (PORT..).zip(milters).map(service).collect();
    let main = format!("mydestination = {OURS}\nsmtpd_relay_restrictions = reject_unauth_destination\n");
    let postfix = Postfix::start(Postfix::directory(), &main, &services);

    let measure = |way: usize| {
        let port = PORT + u16::try_from(way).expect("few ways");
        let started = Instant::now();
        deliver(port, messages).unwrap_or_else(|error| panic!("{}: {error}\n{}", WAYS[way], postfix.troubles()));
        let took = started.elapsed();
        wait_for("an empty queue", PATIENCE, || postfix.queue().contains("queue is empty").then_some(()));
        f64::from(messages) / took.as_secs_f64()
    };
    let all = || -> [f64; WAYS.len()] { std::array::from_fn(measure) };
    all();
    tell(&(0..ROUNDS).map(|_| all()).collect::<Vec<_>>())
}

/// Prints what was measured, and says whether all targets were met.
fn tell(rounds: &[[f64; WAYS.len()]]) -> bool {
    let mut rows = vec![["", "messages/s"].map(str::to_owned)];
    for (way, name) in WAYS.iter().enumerate() {
        rows.push([(*name).to_owned(), format!("{:.0}", median(rounds.iter().map(|round| round[way])))]);
    }
    table(&rows);
    let share = |of: usize, to: usize| median(rounds.iter().map(|round| round[of] / round[to])) * 1e2;
    [(2, 1, SHARE_MIN), (4, 3, SHARE_MIN), (2, 4, INET_MIN)]
        .map(|(of, to, least)| {
            let share = share(of, to);
            let what = format!("{}: {share:.0} % of the rate of {}, at least {least:.0} %", WAYS[of], WAYS[to]);
            target(share >= least, &what)
        })
        .iter()
        .all(|met| *met)
}

/// Delivers the messages, some side by side.
fn deliver(port: u16, messages: u32) -> io::Result<()> {
    let next = AtomicU32::new(0);
    let line = "So it goes on, line after line, and says nothing that matters.\r\n";
    let body = line.repeat(SIZE / line.len());
    let client = || -> io::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= messages {
                return Ok(());
            }
            converse(mail(number), port, &body)?;
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("it returns its errors"))
    })
}

fn mail(number: u32) -> Mail {
    Mail { number, domain: number % DOMAINS }
}

fn converse(mail: Mail, port: u16, body: &str) -> io::Result<()> {
    let client = IpAddr::V4(mail.client());
    let (mut session, _) = Session::connect(client, Postfix::address(client, port))?;
    let mail_from = format!("MAIL FROM:<{}>", mail.sender());
    let message = format!("Subject: a message\r\n\r\n{body}.");
    let rcpt_to = format!("RCPT TO:<{}>", mail.recipient());
    for line in [&*format!("EHLO {}", mail.host()), &mail_from, &rcpt_to, "DATA", &message, "QUIT"] {
        let reply = session.say(line)?;
        if reply.is_refusal() {
            return Err(io::Error::other(reply.to_string()));
        }
    }
    Ok(())
}
