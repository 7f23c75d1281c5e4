//! The world as the fake DNS tells it: names, records and failures, written as lines of text.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, MX, NS, PTR, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// How many CNAMEs one answer follows before it is sent as it stands.
const CNAMES_MAX: usize = 8;
/// The time to live of every record, in seconds.
pub const TTL: u32 = 300;

/// What a zone holds for one name and type.
#[derive(Clone)]
pub enum Answer {
    /// These records.
    Records(Vec<RData>),
    /// No record; the code says whether the name exists or what went wrong.
    Code(ResponseCode),
    /// The question is never answered.
    Silence,
    /// Bytes that the test makes out of the question's bytes.
    Raw(Raw),
}

/// Makes the bytes of an answer out of the bytes of a question.
pub type Raw = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Names and what is known of them; any other name does not exist.
#[derive(Clone, Default)]
pub struct Zone {
    nodes: HashMap<String, HashMap<RecordType, Answer>>,
}

impl Zone {
    /// A zone from lines as [`Zone::line`] takes them; empty lines and lines that start with `#` are skipped.
    pub fn parse(text: &str) -> Self {
        let mut zone = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            zone.line(line);
        }
        zone
    }

    /// Adds one line, `NAME TYPE VALUE`: `good.test MX 10 mx.good.test`. Lines of one name and type add up.
    ///
    /// An address as the name means its reverse name. `*.NAME` stands for every name below that is not named itself.
    /// A value of `!NODATA`, `!NXDOMAIN`, `!SERVFAIL`, `!REFUSED` or `!SILENCE` is a failure, and the type `ANY`
    /// stands for every type that is not named itself.
    pub fn line(&mut self, line: &str) {
        let mut fields = line.splitn(3, char::is_whitespace);
        let (Some(name), Some(record_type), Some(value)) = (fields.next(), fields.next(), fields.next()) else {
            panic!("a zone's line is NAME TYPE VALUE, not {line:?}");
        };
        let name = name.parse().map_or_else(|_| name.to_lowercase(), reverse_name);
        let record_type: RecordType = record_type.parse().unwrap_or_else(|_| panic!("no such type: {line:?}"));
        let answers = self.nodes.entry(name).or_default();
        match (failure(value), answers.get_mut(&record_type)) {
            (Some(failure), None) => drop(answers.insert(record_type, failure)),
            (None, None) => drop(answers.insert(record_type, Answer::Records(vec![record(record_type, value)]))),
            (None, Some(Answer::Records(records))) => records.push(record(record_type, value)),
            _ => panic!("both a failure and records: {line:?}"),
        }
    }

    /// Adds a host whose name leads to `address` and back.
    pub fn host(&mut self, name: &str, address: &str) {
        let record_type = if address.contains(':') { "AAAA" } else { "A" };
        self.line(&format!("{name} {record_type} {address}"));
        self.line(&format!("{address} PTR {name}"));
    }

    /// Answers questions for `name` with what `raw` makes of them.
    pub fn raw(&mut self, name: &str, record_type: RecordType, raw: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) {
        self.nodes.entry(name.to_lowercase()).or_default().insert(record_type, Answer::Raw(Arc::new(raw)));
    }

    /// The CNAMEs that lead from `asked` to the owner of the answer, that owner, and the answer.
    pub fn answer(&self, asked: &Name, record_type: RecordType) -> (Vec<Record>, Name, Answer) {
        let mut aliases = Vec::new();
        let mut owner = asked.clone();
        while let Some(target) = self.alias(&owner, record_type).filter(|_| aliases.len() < CNAMES_MAX) {
            aliases.push(Record::from_rdata(owner, TTL, RData::CNAME(target.clone())));
            owner = target.0;
        }
        let answer = match self.node(&text_of(&owner)) {
            None => Answer::Code(ResponseCode::NXDomain),
            Some(node) => node.get(&record_type).or_else(|| node.get(&RecordType::ANY)).cloned().unwrap_or(NODATA),
        };
        (aliases, owner, answer)
    }

    fn alias(&self, name: &Name, record_type: RecordType) -> Option<CNAME> {
        match self.node(&text_of(name))?.get(&RecordType::CNAME)? {
            Answer::Records(records) if record_type != RecordType::CNAME => match records.first()? {
                RData::CNAME(target) => Some(target.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    fn node(&self, name: &str) -> Option<&HashMap<RecordType, Answer>> {
        let parents = name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..]));
        self.nodes.get(name).or_else(|| parents.into_iter().find_map(|wildcard| self.nodes.get(&wildcard)))
    }
}

const NODATA: Answer = Answer::Code(ResponseCode::NoError);

/// The name under which the DNS knows an address: `1.2.0.192.in-addr.arpa`.
pub fn reverse_name(address: IpAddr) -> String {
    let zone = if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    listed_name(address, zone)
}

/// The name under which a DNS list knows an address (RFC 5782 §2.1, §2.4).
pub fn listed_name(address: IpAddr, zone: &str) -> String {
    let labels: Vec<String> = match address {
        IpAddr::V4(address) => address.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(address) => {
            address.octets().iter().rev().flat_map(|octet| [octet & 15, octet >> 4]).map(|n| format!("{n:x}")).collect()
        }
    };
    format!("{}.{zone}", labels.join("."))
}

/// The name in lower case without the trailing dot; octets that are not UTF-8 replaced.
pub fn text_of(name: &Name) -> String {
    let labels: Vec<_> = name.iter().map(|label| String::from_utf8_lossy(label).to_lowercase()).collect();
    labels.join(".")
}

/// A name of any octets: tests need names that no host may bear.
fn name_of(text: &str) -> Name {
    let labels = text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    Name::from_labels(labels).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn failure(value: &str) -> Option<Answer> {
    let code = match value.strip_prefix('!')? {
        "NODATA" => ResponseCode::NoError,
        "NXDOMAIN" => ResponseCode::NXDomain,
        "SERVFAIL" => ResponseCode::ServFail,
        "REFUSED" => ResponseCode::Refused,
        "SILENCE" => return Some(Answer::Silence),
        other => panic!("no such failure: {other}"),
    };
    Some(Answer::Code(code))
}

fn record(record_type: RecordType, value: &str) -> RData {
    let address = |what: &str| -> ! { panic!("{value:?} is no {what}") };
    match record_type {
        RecordType::A => RData::A(value.parse().unwrap_or_else(|_| address("IPv4 address"))),
        RecordType::AAAA => RData::AAAA(value.parse().unwrap_or_else(|_| address("IPv6 address"))),
        RecordType::CNAME => RData::CNAME(CNAME(name_of(value))),
        RecordType::NS => RData::NS(NS(name_of(value))),
        RecordType::PTR => RData::PTR(PTR(name_of(value))),
        RecordType::MX => {
            let (preference, exchange) = value.split_once(' ').expect("an MX is PREFERENCE NAME");
            RData::MX(MX::new(preference.parse().expect("a preference is a number"), name_of(exchange)))
        }
        // RFC 1035 §3.3.14: a string holds 255 octets, longer texts take several.
        RecordType::TXT => RData::TXT(TXT::from_bytes(value.as_bytes().chunks(255).collect())),
        other => panic!("the fake DNS has no records of type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &Zone, name: &str, record_type: RecordType) -> String {
        let (aliases, _, answer) = zone.answer(&name_of(name), record_type);
        let answer = match answer {
            Answer::Records(records) => records.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Answer::Code(code) => code.to_string(),
            Answer::Silence => "silence".into(),
            Answer::Raw(_) => "raw".into(),
        };
        format!("{}{answer}", "> ".repeat(aliases.len()))
    }

    #[test]
    fn names_wildcards_aliases_and_failures() {
        let zone = Zone::parse(
            "good.test A 192.0.2.1
             good.test A 192.0.2.2
             *.wild.test A 192.0.2.3
             named.wild.test MX 10 good.test
             alias.test CNAME good.test
             loop.test CNAME loop.test
             down.test ANY !SERVFAIL
             down.test A 192.0.2.4
             192.0.2.1 PTR good.test",
        );
        for (name, record_type, expected) in [
            ("good.test", RecordType::A, "192.0.2.1,192.0.2.2"),
            ("good.test", RecordType::MX, "No Error"),
            ("nx.test", RecordType::A, "Non-Existent Domain"),
            ("a.b.wild.test", RecordType::A, "192.0.2.3"),
            ("named.wild.test", RecordType::A, "No Error"),
            ("alias.test", RecordType::A, "> 192.0.2.1,192.0.2.2"),
            ("loop.test", RecordType::A, "> > > > > > > > No Error"),
            ("down.test", RecordType::A, "192.0.2.4"),
            ("down.test", RecordType::MX, "Server Failure"),
            ("1.2.0.192.in-addr.arpa", RecordType::PTR, "good.test."),
        ] {
            assert_eq!(shown(&zone, name, record_type), expected, "{name} {record_type}");
        }
    }
}
