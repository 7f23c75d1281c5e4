//! How long a client waits for the DNS: as long as the longest chain of questions that need one another's answers,
//! and no longer: at the policy door, and at the milter door, where what Postfix itself asks about a client comes first.
//! Beside them Postfix with the same lists, which asks one question after the other.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::figures::{Times, millis, table, target, title};
use super::inside;
use super::load::{Answer, Load, Mail};
use super::server::Server;
use super::support::dns::{Asked, FakeDns, Manner};
use super::support::postfix::{Postfix, Service};
use super::support::smtp::Session;
use super::support::zone::{Zone, listed_name};

/// The argument by which this program runs the scenario in its own namespace.
pub const INSIDE: &str = "waves-inside";

/// Where the DNS is, in the namespace.
const DNS: &str = "127.0.0.1:53";
/// How long each answer of the DNS takes, where it takes time.
const DELAY: Duration = Duration::from_millis(20);
/// What a request may take beside waiting.
const SLACK: Duration = Duration::from_millis(8);
/// Measured requests of each kind, and those before them that fill no figure.
const REQUESTS: u32 = 60;
const UNMEASURED: u32 = 5;
/// Postfix with its own lists, and Postfix with our milter.
const PORT: u16 = 25;
const PORT_MILTER: u16 = 26;
/// Postfix asks for a client's PTR, and then for the A of that name, before a milter hears of it.
const PEERNAME_WAVES: usize = 2;

/// A kind of mail, and the longest chain of questions that it needs, each for the answer of the one before.
struct Scenario {
    name: &'static str,
    sender_has_mx: bool,
    client_is_listed: bool,
    chain: &'static [&'static str],
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "all well", sender_has_mx: true, client_is_listed: false, chain: &["all questions at once"] },
    Scenario {
        name: "sender's domain without MX",
        sender_has_mx: false,
        client_is_listed: false,
        chain: &["MX of the domain", "its A"],
    },
    Scenario {
        name: "client listed in zen",
        sender_has_mx: true,
        client_is_listed: true,
        chain: &["A of the listing", "its TXT"],
    },
];

/// The times of one way to ask, and in how many waves the questions of each request came.
struct Measured {
    times: Times,
    waves: Vec<usize>,
}

/// Runs the scenario in a network namespace, or says aloud why it cannot.
pub fn run(quick: bool) -> bool {
    inside::run("waves", INSIDE, quick)
}

/// Runs the scenario in the namespace that this process is in.
pub fn run_inside(quick: bool) -> bool {
    let requests = if quick { REQUESTS / 10 } else { REQUESTS };
    title(
        "waves",
        &format!(
            "full chain, one mail at a time, every name and address new; {requests} mails a point; each DNS answer after \
             0 or {} ms\nPostfix has the same lists itself; when a client connects it asks for its PTR and A too, which are not of the lists",
            DELAY.as_millis()
        ),
    );
    let chain = Chain::new();
    let config = chain.portcullis(DNS.parse().expect("a constant"));
    let (server, milter) = (Server::portcullis(&config), Server::milter(&config, "inet:127.0.0.1:0"));
    let lists =
        ["client", "helo", "sender", "recipient"].map(|list| (format!("smtpd_{list}_restrictions"), String::new()));
    let with_milter = [("smtpd_milters".to_owned(), format!("inet:{}", milter.address))];
    let services = [
        Service { port: PORT, options: Vec::new() },
        Service { port: PORT_MILTER, options: with_milter.into_iter().chain(lists).collect() },
    ];
    let _postfix = Postfix::start(Postfix::directory(), &chain.postfix(), &services);
    let mut numbers = Numbers { next: 1 << 16, count: UNMEASURED + requests };
    let met: Vec<bool> = SCENARIOS.iter().map(|scenario| scenario.run(server.address, &mut numbers)).collect();
    met.into_iter().all(|met| met)
}

/// Gives out numbers of mails, none twice: no question is asked a second time.
struct Numbers {
    next: u32,
    count: u32,
}

impl Numbers {
    fn take(&mut self) -> Range<u32> {
        let start = self.next;
        self.next += self.count;
        start..self.next
    }
}

impl Scenario {
    fn run(&self, server: SocketAddr, numbers: &mut Numbers) -> bool {
        let at_once = self.measure(Duration::ZERO, server, numbers);
        let delayed = self.measure(DELAY, server, numbers);
        let header = ["", "p50 at 0", "p95 at 0", "p50 at 20", "p95 at 20", "p50 - p50", "waves"];
        let mut rows = vec![header.map(str::to_owned)];
        let names = [
            "portcullis: policy request",
            "portcullis: connect to RCPT reply",
            "postfix: RCPT to its reply",
            "postfix: connect to RCPT reply",
        ];
        for ((name, at_once), delayed) in names.iter().zip(&at_once).zip(&delayed) {
            let percentile = |measured: &Measured, percent| millis(measured.times.percentile(percent));
            rows.push([
                (*name).to_owned(),
                percentile(at_once, 50),
                percentile(at_once, 95),
                percentile(delayed, 50),
                percentile(delayed, 95),
                millis(difference(at_once, delayed)),
                delayed.usual_waves().to_string(),
            ]);
        }
        println!("\n  {}; longest chain: {} (times in ms)", self.name, self.chain.join(", then "));
        table(&rows);
        let policy = judge("policy", self.chain.len(), &at_once[0], &delayed[0]);
        judge("milter", PEERNAME_WAVES + self.chain.len(), &at_once[1], &delayed[1]) && policy
    }

    /// Our policy door, our milter from the connection on, Postfix's lists at RCPT, and Postfix from the connection on.
    fn measure(&self, delay: Duration, server: SocketAddr, numbers: &mut Numbers) -> [Measured; 4] {
        let [ours, with_milter, postfixs] = [(); 3].map(|()| numbers.take());
        let zone = self.zone(ours.start..postfixs.end);
        let dns = FakeDns::start_with(DNS, zone, Manner { delay, log: true });
        // One domain for each number.
        let load = Load { server, connections: 1, numbers: ours, domains: u32::MAX };
        let decisions = load.run().expect("the server answers");
        let converse = |port| move |number| converse(mail(number), port).expect("Postfix answers");
        let (_, told) = with_milter.map(converse(PORT_MILTER)).unzip::<_, _, Vec<_>, _>();
        let (rcpts, whole) = postfixs.map(converse(PORT)).unzip::<_, _, Vec<_>, Vec<_>>();
        let log = dns.questions();
        let measured = |answers: Vec<Answer>| {
            assert!(
                answers.iter().all(|answer| answer.refused == self.client_is_listed),
                "{}: not as meant",
                self.name
            );
            let counted = answers.into_iter().skip(UNMEASURED as usize);
            let (times, waves) =
                counted.map(|answer| (answer.took, waves(&answer, &log, delay))).unzip::<_, _, Vec<_>, _>();
            Measured { times: times.into_iter().collect(), waves }
        };
        [decisions, told, rcpts, whole].map(measured)
    }

    fn zone(&self, numbers: Range<u32>) -> Zone {
        let mut zone = Zone::default();
        for mail in numbers.map(mail) {
            zone.host(&mail.host().to_string(), &mail.client().to_string());
            let record = if self.sender_has_mx { "MX 10 mx.test" } else { "A 192.0.2.80" };
            zone.line(&format!("{} {record}", mail.domain()));
            if self.client_is_listed {
                let name = listed_name(mail.client().into(), "zen.spamhaus.org");
                zone.line(&format!("{name} A 127.0.0.2"));
                zone.line(&format!("{name} TXT listed for the benchmark"));
            }
        }
        zone
    }
}

fn mail(number: u32) -> Mail {
    Mail { number, domain: number }
}

/// What `difference` there may be, where the longest chain of questions has `depth`.
fn judge(door: &str, depth: usize, at_once: &Measured, delayed: &Measured) -> bool {
    let (waves, difference) = (delayed.usual_waves(), difference(at_once, delayed));
    let agreeing = delayed.waves.iter().filter(|count| **count == waves).count();
    let requests = delayed.waves.len();
    let as_deep = target(
        waves == depth,
        &format!("{door}: waves: {waves} in {agreeing} of {requests} requests; the longest chain has {depth}"),
    );
    let limit = DELAY * u32::try_from(waves).unwrap_or(u32::MAX) + SLACK;
    let what = format!(
        "{door}: {} ms longer at {} ms, at most {} x {waves} + {} = {} ms",
        millis(difference),
        DELAY.as_millis(),
        DELAY.as_millis(),
        SLACK.as_millis(),
        limit.as_millis()
    );
    target(difference <= limit, &what) && as_deep
}

fn difference(at_once: &Measured, delayed: &Measured) -> Duration {
    delayed.times.percentile(50).saturating_sub(at_once.times.percentile(50))
}

impl Measured {
    fn usual_waves(&self) -> usize {
        let mut waves = self.waves.clone();
        waves.sort_unstable();
        waves.get(waves.len() / 2).copied().unwrap_or(0)
    }
}

/// In how many waves the questions of one request came: what comes after a wave's first answer was sent is of a later
/// wave. No answer is sent before its delay is over.
fn waves(answer: &Answer, log: &[Asked], delay: Duration) -> usize {
    let end = answer.sent + answer.took;
    let mut answered_from = None;
    let mut waves = 0;
    for asked in log.iter().filter(|asked| asked.at >= answer.sent && asked.at <= end) {
        if answered_from.is_none_or(|answered| asked.at >= answered) {
            waves += 1;
            answered_from = Some(asked.at + delay);
        }
    }
    waves
}

/// Delivers `mail` to Postfix as far as RCPT: the time of that reply, and of the whole dialogue.
fn converse(mail: Mail, port: u16) -> std::io::Result<(Answer, Answer)> {
    let client = IpAddr::V4(mail.client());
    let connecting = Instant::now();
    let (mut session, _) = Session::connect(client, Postfix::address(client, port))?;
    session.say(&format!("EHLO {}", mail.host()))?;
    session.say(&format!("MAIL FROM:<{}>", mail.sender()))?;
    let asking = Instant::now();
    let refused = session.say(&format!("RCPT TO:<{}>", mail.recipient()))?.is_refusal();
    let since = |sent: Instant| Answer { sent, took: sent.elapsed(), refused };
    let answers = (since(asking), since(connecting));
    session.say("QUIT")?;
    Ok(answers)
}
