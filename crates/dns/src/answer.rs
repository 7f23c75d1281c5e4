//! A message of a DNS server → the records that were asked for, or why there are none.

use std::time::Duration;

use facts::{DnsFailure, Record, RecordType};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{self, DNSClass, Name, RData};

use crate::name;

/// So many aliases are followed in one answer; BIND's limit too.
pub(crate) const ALIASES_MAX: usize = 16;
/// So many records are kept of one answer, the first ones. Nobody's honest answer has more, and some restrictions
/// ask a further question for each.
const RECORDS_MAX: usize = 128;

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) result: Result<Box<[Record]>, DnsFailure>,
    /// How long that may be kept: the least TTL of the records used, or of the SOA where there are none.
    pub(crate) ttl: Option<Duration>,
}

impl From<DnsFailure> for Answer {
    fn from(failure: DnsFailure) -> Self {
        Self { result: Err(failure), ttl: None }
    }
}

/// What `message` says to the question for `name` and `record_type`. Aliases are followed inside the answer section;
/// whatever else stands in the message is not believed.
pub(crate) fn read(message: &Message, name: &Name, record_type: RecordType) -> Answer {
    let none_means = match message.metadata.response_code {
        ResponseCode::NoError => DnsFailure::NoData,
        ResponseCode::NXDomain => DnsFailure::NxDomain,
        ResponseCode::Refused => return DnsFailure::Refused.into(),
        _ => return DnsFailure::ServFail.into(),
    };
    let mut ttl = None;
    let mut owner = name;
    for _ in 0..=ALIASES_MAX {
        let mut of_owner = message.answers.iter().filter(|record| record.name == *owner && is_internet(record));
        // RFC 6604 §3: the code tells of the last name of the chain, so after NXDOMAIN no record can follow.
        if none_means == DnsFailure::NoData {
            let records = of_owner.clone().filter_map(|record| Some((record.ttl, wanted(&record.data, record_type)?)));
            let (ttls, records): (Vec<u32>, Vec<Record>) = records.take(RECORDS_MAX).unzip();
            if !records.is_empty() {
                return Answer { result: Ok(records.into()), ttl: ttls.into_iter().map(seconds).chain(ttl).min() };
            }
        }
        let alias = of_owner.find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record.ttl, &target.0)),
            _ => None,
        });
        match alias {
            Some((alias_ttl, target)) => {
                ttl = ttl.into_iter().chain([seconds(alias_ttl)]).min();
                owner = target;
            }
            None => {
                let ttl = negative_ttl(message).map(|negative| ttl.into_iter().fold(negative, Duration::min));
                return Answer { result: Err(none_means), ttl };
            }
        }
    }
    // Postfix: "Name server loop", which counts as not found.
    DnsFailure::AliasLoop.into()
}

fn is_internet(record: &rr::Record) -> bool {
    record.dns_class == DNSClass::IN
}

/// RFC 2308 §5: the least of the SOA's own TTL and its MINIMUM field.
fn negative_ttl(message: &Message) -> Option<Duration> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(seconds(record.ttl).min(seconds(soa.minimum))),
        _ => None,
    })
}

/// RFC 2181 §8: a TTL whose highest bit is set counts as 0.
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl.leading_zeros() == 0 { 0 } else { ttl.into() })
}

fn wanted(rdata: &RData, record_type: RecordType) -> Option<Record> {
    Some(match (record_type, rdata) {
        (RecordType::A, RData::A(address)) => Record::A(address.0),
        (RecordType::Aaaa, RData::AAAA(address)) => Record::Aaaa(address.0),
        (RecordType::Mx, RData::MX(mx)) => Record::Mx { preference: mx.preference, exchange: text(&mx.exchange) },
        (RecordType::Ns, RData::NS(host)) => Record::Ns(text(&host.0)),
        (RecordType::Ptr, RData::PTR(host)) => Record::Ptr(text(&host.0)),
        (RecordType::Txt, RData::TXT(txt)) => {
            Record::Txt(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned().into())
        }
        _ => return None,
    })
}

fn text(name: &Name) -> Box<str> {
    name::joined(name.iter())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{A, CNAME, MX, PTR, SOA, TXT};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, ttl: u32, last: u8) -> rr::Record {
        rr::Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)))
    }

    fn cname(owner: &str, ttl: u32, target: &str) -> rr::Record {
        rr::Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn soa(ttl: u32, minimum: u32) -> rr::Record {
        let soa = SOA::new(name("ns.example."), name("hostmaster.example."), 1, 2, 3, 4, minimum);
        rr::Record::from_rdata(name("example."), ttl, RData::SOA(soa))
    }

    fn message(code: ResponseCode, answers: Vec<rr::Record>, authorities: Vec<rr::Record>) -> Message {
        let mut message = Message::error_msg(0, OpCode::Query, code);
        message.add_answers(answers);
        message.add_authorities(authorities);
        message
    }

    fn check(message: &Message, records: &[u8], seconds: Option<u64>) {
        let answer = read(message, &name("a.example."), RecordType::A);
        let expected: Box<[Record]> = records.iter().map(|last| Record::A(Ipv4Addr::new(192, 0, 2, *last))).collect();
        assert_eq!(answer, Answer { result: Ok(expected), ttl: seconds.map(Duration::from_secs) });
    }

    fn check_failure(message: &Message, failure: DnsFailure, seconds: Option<u64>) {
        let answer = read(message, &name("a.example."), RecordType::A);
        assert_eq!(answer, Answer { result: Err(failure), ttl: seconds.map(Duration::from_secs) });
    }

    #[test]
    fn records_of_the_name_and_type_asked() {
        let code = ResponseCode::NoError;
        let others = vec![a("b.example.", 5, 9), a("A.Example.", 300, 1), cname("c.example.", 1, "a.example.")];
        check(&message(code, others, vec![]), &[1], Some(300));
        check(&message(code, vec![a("a.example.", 30, 2), a("a.example.", 20, 1)], vec![]), &[2, 1], Some(20));
        check(&message(code, vec![a("a.example.", 1 << 31, 1)], vec![]), &[1], Some(0));
        let mut other_class = a("a.example.", 5, 9);
        other_class.dns_class = DNSClass::CH;
        check(&message(code, vec![other_class, a("a.example.", 30, 1)], vec![]), &[1], Some(30));
    }

    #[test]
    fn aliases_are_followed_in_any_order() {
        let code = ResponseCode::NoError;
        let chain =
            vec![a("c.example.", 60, 1), cname("b.example.", 50, "C.example."), cname("a.example.", 70, "b.example.")];
        check(&message(code, chain, vec![]), &[1], Some(50));
        let mut longest: Vec<_> =
            (0..15).map(|hop| cname(&format!("{hop}.example."), 9, &format!("{}.example.", hop + 1))).collect();
        longest.push(cname("a.example.", 9, "0.example."));
        longest.push(a("15.example.", 9, 1));
        check(&message(code, longest.clone(), vec![]), &[1], Some(9));
        longest.push(cname("15.example.", 9, "16.example."));
        longest.retain(|record| record.record_type() == rr::RecordType::CNAME);
        longest.push(a("16.example.", 9, 1));
        check_failure(&message(code, longest, vec![]), DnsFailure::AliasLoop, None);
    }

    #[test]
    fn nothing_is_told_apart_from_no_name() {
        let check_both = |answers: Vec<rr::Record>, authorities: Vec<rr::Record>, seconds| {
            let no_data = message(ResponseCode::NoError, answers.clone(), authorities.clone());
            check_failure(&no_data, DnsFailure::NoData, seconds);
            check_failure(&message(ResponseCode::NXDomain, answers, authorities), DnsFailure::NxDomain, seconds);
        };
        check_both(vec![], vec![], None);
        check_both(vec![], vec![soa(60, 300)], Some(60));
        check_both(vec![], vec![soa(300, 60)], Some(60));
        check_both(vec![cname("a.example.", 20, "b.example.")], vec![soa(60, 60)], Some(20));
        check_both(vec![cname("a.example.", 20, "b.example.")], vec![], None);
        // Records in the wrong section, and of the wrong owner.
        check_both(vec![a("b.example.", 9, 1)], vec![a("a.example.", 9, 1)], None);
    }

    #[test]
    fn an_answer_under_nxdomain_is_not_believed() {
        let contradiction = message(ResponseCode::NXDomain, vec![a("a.example.", 60, 1)], vec![]);
        check_failure(&contradiction, DnsFailure::NxDomain, None);
    }

    #[test]
    fn loops_end() {
        let code = ResponseCode::NoError;
        check_failure(&message(code, vec![cname("a.example.", 9, "a.example.")], vec![]), DnsFailure::AliasLoop, None);
        let circle = vec![cname("a.example.", 9, "b.example."), cname("b.example.", 9, "a.example.")];
        check_failure(&message(code, circle.clone(), vec![]), DnsFailure::AliasLoop, None);
        check_failure(&message(ResponseCode::NXDomain, circle, vec![]), DnsFailure::AliasLoop, None);
    }

    #[test]
    fn servers_that_do_not_answer_are_told_apart() {
        for (code, failure) in [
            (ResponseCode::ServFail, DnsFailure::ServFail),
            (ResponseCode::Refused, DnsFailure::Refused),
            (ResponseCode::FormErr, DnsFailure::ServFail),
            (ResponseCode::NotImp, DnsFailure::ServFail),
            (ResponseCode::NotAuth, DnsFailure::ServFail),
        ] {
            check_failure(&message(code, vec![a("a.example.", 60, 1)], vec![soa(9, 9)]), failure, None);
        }
    }

    #[test]
    fn thousands_of_records_are_cut() {
        let many = (0..5000).map(|number| a("a.example.", 60, u8::try_from(number % 256).unwrap())).collect();
        let answer = read(&message(ResponseCode::NoError, many, vec![]), &name("a.example."), RecordType::A);
        assert_eq!(answer.result.unwrap().len(), RECORDS_MAX);
    }

    #[test]
    fn names_and_texts_are_shown_safely() {
        let shown = |rdata: RData, record_type| {
            let record = rr::Record::from_rdata(name("a.example."), 9, rdata);
            let message = message(ResponseCode::NoError, vec![record], vec![]);
            read(&message, &name("a.example."), record_type).result.unwrap().first().unwrap().to_string()
        };
        let odd = Name::from_labels([&b"A\0 b"[..], b"c.d", b"\xffx"]).unwrap();
        assert_eq!(shown(RData::PTR(PTR(odd)), RecordType::Ptr), "A\\000\\032b.c\\046d.\\255x");
        assert_eq!(shown(RData::MX(MX::new(0, Name::root())), RecordType::Mx), "0 .");
        let txt = TXT::from_bytes(vec![b"v=spf1 ", b"-all\xff"]);
        assert_eq!(shown(RData::TXT(txt), RecordType::Txt), "\"v=spf1 -all\u{fffd}\"");
    }
}
