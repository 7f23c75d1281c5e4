//! The DNS as others see it: an asker, and real servers on loopback.

mod fake_server;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use facts::{DnsAnswer, DnsFailure, Record, RecordType};
use futures_util::FutureExt;
use hickory_proto::op::{Message, ResponseCode};
use tokio::net::UdpSocket;

use self::fake_server::{FakeServer, Transport, addressed, coded, octets};
use crate::{Dns, Server, Settings, Zone};

const NAME: &str = "a.example";

fn settings(servers: &[SocketAddr]) -> Settings {
    Settings { servers: servers.iter().copied().map(Server::Address).collect(), ..Settings::default() }
}

fn dns(servers: &[&FakeServer]) -> Dns {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    Dns::network(&settings(&addresses)).unwrap()
}

/// A DNS that gives up soon, for the cases in which it must.
fn impatient(servers: &[SocketAddr]) -> Dns {
    Dns::network(&Settings { timeout: Duration::from_millis(300), ..settings(servers) }).unwrap()
}

async fn address_of(dns: &Dns, name: &str) -> Result<Record, DnsFailure> {
    let answer = dns.asker().lookup(name, RecordType::A).await;
    answer.result.as_ref().map(|records| records.first().unwrap().clone()).map_err(|failure| *failure)
}

fn good(question: &Message, _: Transport) -> Vec<Vec<u8>> {
    octets(&addressed(question, 1))
}

fn silent(_: &Message, _: Transport) -> Vec<Vec<u8>> {
    Vec::new()
}

fn refused(question: &Message, _: Transport) -> Vec<Vec<u8>> {
    octets(&coded(question, ResponseCode::Refused))
}

fn servfail(question: &Message, _: Transport) -> Vec<Vec<u8>> {
    octets(&coded(question, ResponseCode::ServFail))
}

/// An address on which nobody listens.
async fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

const FOUND: Result<Record, DnsFailure> = Ok(Record::A(Ipv4Addr::new(127, 0, 0, 0)));

#[tokio::test]
async fn what_a_server_sends_and_what_it_comes_to() {
    type Reply = fn(&Message, Transport) -> Vec<Vec<u8>>;
    let cases: [(&str, Reply, Result<Record, DnsFailure>); 15] = [
        ("an address", good, FOUND),
        ("no such name", |question, _| octets(&coded(question, ResponseCode::NXDomain)), Err(DnsFailure::NxDomain)),
        ("nothing", |question, _| octets(&coded(question, ResponseCode::NoError)), Err(DnsFailure::NoData)),
        ("SERVFAIL", servfail, Err(DnsFailure::ServFail)),
        ("REFUSED", refused, Err(DnsFailure::Refused)),
        ("NOTIMP", |question, _| octets(&coded(question, ResponseCode::NotImp)), Err(DnsFailure::ServFail)),
        (
            "FORMERR without the question",
            |question, _| {
                let mut message = coded(question, ResponseCode::FormErr);
                message.queries.clear();
                octets(&message)
            },
            Err(DnsFailure::ServFail),
        ),
        ("silence", silent, Err(DnsFailure::Timeout)),
        (
            "garbage under another id, then an address",
            |question, _| {
                let garbage = vec![(question.metadata.id ^ 1).to_be_bytes().to_vec(), vec![0xff; 600], vec![]];
                [garbage, octets(&addressed(question, 1))].concat()
            },
            FOUND,
        ),
        (
            "garbage under our id",
            |question, _| vec![[&question.metadata.id.to_be_bytes()[..], &[0xff; 600]].concat()],
            Err(DnsFailure::Malformed),
        ),
        (
            "an answer to another question, then an address",
            |question, _| {
                let mut other = addressed(question, 2);
                other.queries.first_mut().unwrap().set_query_type(hickory_proto::rr::RecordType::MX);
                [octets(&other), octets(&addressed(question, 1))].concat()
            },
            FOUND,
        ),
        (
            "our own question, then an address",
            |question, _| [octets(question), octets(&addressed(question, 1))].concat(),
            FOUND,
        ),
        (
            "an answer cut off",
            |question, _| vec![good(question, Transport::Udp).concat().split_last().unwrap().1.to_vec()],
            Err(DnsFailure::Malformed),
        ),
        (
            "a name that points at itself",
            |question, _| {
                // The answer's owner is a pointer (RFC 1035 §4.1.4) to its own place.
                let mut message = coded(question, ResponseCode::NoError).to_vec().unwrap();
                let [high, low] = u16::try_from(message.len()).unwrap().to_be_bytes();
                *message.get_mut(7).unwrap() = 1;
                message.extend([0xc0 | high, low, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
                vec![message]
            },
            Err(DnsFailure::Malformed),
        ),
        (
            "more records than the header says",
            |question, _| {
                let mut message = addressed(question, 1).to_vec().unwrap();
                message.extend([0xff; 20]);
                vec![message]
            },
            FOUND,
        ),
    ];
    for (case, reply, expected) in cases {
        let server = FakeServer::start(reply).await;
        assert_eq!(address_of(&impatient(&[server.address]), NAME).await, expected, "{case}");
    }
}

#[tokio::test]
async fn nobody_there_is_known_at_once() {
    let dns = Dns::network(&settings(&[nobody().await])).unwrap();
    assert_eq!(address_of(&dns, NAME).await, Err(DnsFailure::Unreachable));
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_fails() {
    for bad in [refused, servfail, |question: &Message, _| vec![question.metadata.id.to_be_bytes().to_vec()]] {
        let (bad, good) = (FakeServer::start(bad).await, FakeServer::start(good).await);
        let dns = dns(&[&bad, &good]);
        assert_eq!(address_of(&dns, NAME).await, FOUND);
        assert_eq!((bad.seen(), good.seen()), (1, 1));
        assert_eq!(dns.counters().failovers.load(std::sync::atomic::Ordering::Relaxed), 1);
        // Who says something, if only no, is asked first again.
        assert_eq!(address_of(&dns, "b.example").await, FOUND);
        assert_eq!((bad.seen(), good.seen()), (2, 2));
    }
}

#[tokio::test]
async fn a_server_that_says_no_is_believed() {
    let denying = |question: &Message, _| octets(&coded(question, ResponseCode::NXDomain));
    let (denying, good) = (FakeServer::start(denying).await, FakeServer::start(good).await);
    assert_eq!(address_of(&dns(&[&denying, &good]), NAME).await, Err(DnsFailure::NxDomain));
    assert_eq!(good.seen(), 0);
}

#[tokio::test]
async fn the_last_failure_is_the_answer() {
    let (servfail, refused) = (FakeServer::start(servfail).await, FakeServer::start(refused).await);
    assert_eq!(address_of(&dns(&[&servfail, &refused]), NAME).await, Err(DnsFailure::Refused));
    assert_eq!(address_of(&dns(&[&refused, &servfail]), NAME).await, Err(DnsFailure::ServFail));
}

#[tokio::test]
async fn a_silent_server_is_asked_after_the_others() {
    let (mute, good) = (FakeServer::start(silent).await, FakeServer::start(good).await);
    let dns = impatient(&[mute.address, good.address]);
    assert_eq!(address_of(&dns, NAME).await, FOUND);
    let tries = mute.seen();
    assert!(tries > 1, "a datagram may get lost: it is sent again");
    assert_eq!(address_of(&dns, "b.example").await, FOUND);
    assert_eq!((mute.seen(), good.seen()), (tries, 2));
}

#[tokio::test]
async fn what_does_not_fit_comes_over_tcp() {
    let truncated = |question: &Message| octets(&coded(question, ResponseCode::NoError).truncate());
    let server = FakeServer::start(move |question, transport| match transport {
        Transport::Udp => truncated(question),
        Transport::Tcp => octets(&addressed(question, 2000)),
    });
    let answer = dns(&[&server.await]).asker().lookup(NAME, RecordType::A).await;
    assert_eq!((answer.failure(), answer.records().len()), (None, 128));

    let server = FakeServer::start(move |question, _| truncated(question)).await;
    assert_eq!(address_of(&dns(&[&server]), NAME).await, Err(DnsFailure::Malformed));

    let server = FakeServer::start(move |question, transport| match transport {
        Transport::Udp => truncated(question),
        Transport::Tcp => vec![vec![0xff; 600]],
    });
    assert_eq!(address_of(&dns(&[&server.await]), NAME).await, Err(DnsFailure::Malformed));
}

#[tokio::test]
async fn an_answer_is_asked_for_once_and_shared() {
    let server = FakeServer::start(good).await;
    let dns = dns(&[&server]);
    let first = dns.asker();
    let answer = first.lookup("A.Example.", RecordType::A).await;
    assert_eq!((first.queries(), &*answer.name), (1, NAME));
    let second = dns.asker();
    let cached = second.lookup(NAME, RecordType::A).now_or_never().expect("a cached answer is ready at once");
    assert_eq!((second.queries(), server.seen()), (0, 1));
    assert!(std::sync::Arc::ptr_eq(&answer, &cached));
}

#[tokio::test]
async fn failures_are_shared_for_a_while() {
    let server = FakeServer::start(servfail).await;
    let dns = dns(&[&server]);
    for _ in 0..3 {
        assert_eq!(address_of(&dns, NAME).await, Err(DnsFailure::ServFail));
    }
    assert_eq!(server.seen(), 1);
    assert!(dns.counters().failures().any(|count| count == (DnsFailure::ServFail, 1)));
}

#[tokio::test]
async fn names_that_cannot_be_are_not_asked() {
    let server = FakeServer::start(good).await;
    let dns = dns(&[&server]);
    for name in ["", "a..b", "a b.example", &"x".repeat(64), "\u{fffd}.example"] {
        let asker = dns.asker();
        assert_eq!(asker.lookup(name, RecordType::A).await.failure(), Some(DnsFailure::NxDomain), "{name}");
        assert_eq!(asker.queries(), 0);
    }
    assert_eq!(address_of(&dns, "bücher.example").await, FOUND);
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn one_flight_for_all_who_ask() {
    let server = FakeServer::withholding(good).await;
    let dns = dns(&[&server]);
    let askers: Vec<_> = (0..20).map(|_| dns.asker()).collect();
    let mut lookups: Vec<_> = askers.iter().map(|asker| Box::pin(asker.lookup(NAME, RecordType::A))).collect();
    for lookup in &mut lookups {
        assert!(lookup.now_or_never().is_none());
    }
    // The one who had it sent goes away.
    drop(lookups.remove(0));
    server.has_seen(1).await;
    server.permits.add_permits(1);
    for lookup in lookups {
        assert_eq!(lookup.await.failure(), None);
    }
    let queries: Vec<_> = askers.iter().map(crate::Asker::queries).collect();
    assert_eq!((queries.iter().sum::<u32>(), queries.first(), server.seen()), (1, Some(&1), 1));
    assert_eq!(dns.counters().queries_in_flight.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn after_the_deadline_the_asker_goes_and_the_flight_goes_on() {
    let server = FakeServer::withholding(good).await;
    let dns = dns(&[&server]);
    let hasty = dns.asker().with_deadline(Duration::from_millis(20));
    let answer = hasty.lookup(NAME, RecordType::A).await;
    assert_eq!((answer.failure(), hasty.queries()), (Some(DnsFailure::Timeout), 1));
    // Too late to ask at all.
    assert_eq!(hasty.lookup("b.example", RecordType::A).await.failure(), Some(DnsFailure::Timeout));
    assert_eq!(hasty.queries(), 1);
    server.permits.add_permits(1);
    let patient = dns.asker();
    assert_eq!(patient.lookup(NAME, RecordType::A).await.failure(), None);
    assert_eq!((patient.queries(), server.seen()), (0, 1));
    assert_eq!(hasty.lookup(NAME, RecordType::A).await.failure(), None, "the cache takes no time");
}

#[tokio::test]
async fn questions_in_flight_are_limited() {
    let server = FakeServer::withholding(good).await;
    let few = Settings { queries_in_flight_max: NonZeroU16::new(4).unwrap(), ..settings(&[server.address]) };
    let dns = Dns::network(&few).unwrap();
    let asker = dns.asker();
    let names: Vec<_> = (0..5).map(|number| format!("{number}.example")).collect();
    let mut lookups = Vec::new();
    for (name, is_busy) in names.iter().zip([false, false, false, true, true]) {
        let mut lookup = Box::pin(asker.lookup(name, RecordType::A));
        assert!((&mut lookup).now_or_never().is_none());
        assert_eq!(asker.is_busy(), is_busy, "{name}");
        lookups.push(lookup);
    }
    server.has_seen(4).await;
    assert_eq!(asker.queries(), 4);
    server.permits.add_permits(5);
    for lookup in lookups {
        assert_eq!(lookup.await.failure(), None);
    }
    assert_eq!((asker.queries(), server.seen(), asker.is_busy()), (5, 5, false));
}

#[tokio::test]
async fn whoever_waits_too_long_for_a_place_hears_so() {
    let server = FakeServer::start(silent).await;
    let one = Settings {
        queries_in_flight_max: NonZeroU16::MIN,
        timeout: Duration::from_millis(300),
        ..settings(&[server.address])
    };
    let dns = Dns::network(&one).unwrap();
    let (first, second) = (dns.asker(), dns.asker().with_deadline(Duration::from_millis(100)));
    let mut lookup = Box::pin(first.lookup(NAME, RecordType::A));
    assert!((&mut lookup).now_or_never().is_none());
    assert_eq!(second.lookup("b.example", RecordType::A).await.failure(), Some(DnsFailure::Timeout));
    assert_eq!(second.queries(), 0);
    assert_eq!(lookup.await.failure(), Some(DnsFailure::Timeout));
}

#[tokio::test]
async fn a_recording_knows_what_it_holds() {
    let recorded = DnsAnswer { name: NAME.into(), record_type: RecordType::A, result: Err(DnsFailure::Timeout) };
    let asker = Dns::recorded([recorded]).asker();
    assert_eq!(asker.lookup("A.example.", RecordType::A).await.failure(), Some(DnsFailure::Timeout));
    assert_eq!(asker.lookup(NAME, RecordType::Mx).await.failure(), Some(DnsFailure::NotRecorded));
    assert_eq!(asker.queries(), 0);
}

#[tokio::test]
async fn a_zone_counts_its_questions() {
    let dns = Dns::zone(Zone::parse("a.example A 127.0.0.0", "zone").unwrap());
    assert_eq!(address_of(&dns, NAME).await, FOUND);
    let asker = dns.asker();
    asker.lookup("b.example", RecordType::A).await;
    asker.lookup("b.example", RecordType::A).await;
    assert_eq!((asker.queries(), asker.is_busy()), (2, false));
    assert!(dns.counters().failures().any(|count| count == (DnsFailure::NxDomain, 2)));
}
