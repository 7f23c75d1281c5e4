//! The journal as its users see it: rows in, rows out, whatever happens to the files.

mod damage;
mod figures;
mod limits;
mod rows;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facts::{
    Client, ClientName, Decision, DecisionId, Deferral, DnsAnswer, DnsFailure, EmailAddress, Enforced, Envelope,
    Evidence, Facts, Finding, Greeting, Greylisted, Outcome, Reason, Recipient, Record, RecordType, Refusal, Reply,
    Stage, Verdict,
};

use super::segment::{SEGMENTS, list};
use super::{Config, Error, Journal, Reader, Row, directory};

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A row like those of greylisting behind Postfix; its number tells it from others.
fn row(number: u32, now: SystemTime) -> Row {
    let name = Some(ClientName::Known(format!("mail{number}.example").into()));
    let address = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 | number & 0xFF_FFFF));
    let client = Client { port: 40_000, name: name.clone(), reverse_name: name, ..Client::new(address) };
    let recipient = format!("user{}@ours.example", number % 100);
    let text = format!("<{recipient}>: Recipient address rejected: Greylisted: welcome back in 300 seconds");
    Row {
        decision: Decision {
            id: DecisionId::new(now, number),
            time: now,
            verdict: Verdict::Defer,
            reply: Some(Reply::new(450, "4.2.0", text)),
            deferral: Deferral::IfPermit,
            stage: Stage::Rcpt,
            restriction: Some("check_greylist"),
            reason: Reason::Greylisted,
            actions: Vec::new(),
            findings: vec![Finding {
                list: "recipient",
                stage: Stage::Rcpt,
                restriction: "check_greylist",
                outcome: Outcome::DeferIfPermit,
                evidence: vec![Evidence::Greylist(Greylisted::New { wait: Duration::from_secs(300) })],
                micros: 7,
            }],
            dns_queries: 0,
            enforced: Enforced::Whole,
        },
        door: "policy",
        stage: Stage::Rcpt,
        facts: Facts {
            greeting: Some(Greeting { helo_name: format!("mail{number}.example").into() }),
            envelope: Some(Envelope {
                sender: EmailAddress::new(&format!("sender{number}@elsewhere.example")),
                recipient_count: Some(0),
            }),
            recipient: EmailAddress::new(&recipient).map(|address| Recipient { address }),
            instance: Some(u64::from(number) << 20),
            ..Facts::new(client)
        }
        .into(),
        elapsed: Duration::from_micros(57),
        settings: 0xDEAD_BEEF,
    }
}

/// The same with findings as those of the default lists.
fn long_row(number: u32, now: SystemTime) -> Row {
    let mut row = row(number, now);
    let answer = |name: String, result| {
        Evidence::Dns(Arc::new(DnsAnswer { name: name.into(), record_type: RecordType::A, result }))
    };
    for list in 0..20 {
        let found = if list % 2 == 0 {
            answer(format!("{number}.2.0.192.list{list}.example"), Err(DnsFailure::NxDomain))
        } else {
            answer(format!("mail{number}.example"), Ok([Record::A(Ipv4Addr::LOCALHOST)].into()))
        };
        row.decision.findings.push(Finding {
            list: "recipient",
            stage: Stage::Rcpt,
            restriction: ["reject_unknown_sender_domain", "reject_rbl_client zen.spamhaus.org"][list % 2],
            outcome: Outcome::Dunno,
            evidence: vec![found],
            micros: 300,
        });
    }
    row
}

fn open(state: &Path) -> Journal {
    Journal::open(&Config::default(), state).unwrap()
}

fn reader(state: &Path) -> Reader {
    Reader::open(&directory(state)).unwrap()
}

/// The segments that are there.
fn segments(state: &Path) -> Vec<PathBuf> {
    list(&directory(state), SEGMENTS).unwrap().into_iter().map(|segment| segment.path).collect()
}

/// A journal of these rows, closed.
fn filled(state: &Path, numbers: std::ops::Range<u32>) {
    let journal = open(state);
    numbers.for_each(|number| journal.append(&row(number, SystemTime::now())));
}

/// The numbers of all rows, by their ports of call.
fn numbers(reader: &mut Reader) -> Vec<u32> {
    let (rows, more) = reader.latest(1_000_000, None, |_| true).unwrap();
    assert!(!more);
    rows.iter().map(number).collect()
}

fn number(row: &Row) -> u32 {
    let IpAddr::V4(address) = row.facts.client.address else { panic!("an address of ours") };
    u32::from(address) & 0xFF_FFFF
}
