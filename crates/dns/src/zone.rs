//! A zone file as a fake DNS: every name that it does not hold does not exist.

use std::collections::HashMap;
use std::path::Path;

use facts::{DnsFailure, Record, RecordType};

use crate::Error;
use crate::answer::ALIASES_MAX;
use crate::master_file::{self, Data};
use crate::question::Question;

/// What a master file (RFC 1035 §5) holds: records of any names, in one file.
#[derive(Debug, Default)]
pub struct Zone {
    /// By the text of the owner's name. A name with something below it is here too, without records.
    nodes: HashMap<Box<str>, Node>,
}

#[derive(Debug, Default)]
struct Node {
    records: Vec<Record>,
    cname: Option<Box<str>>,
}

impl Zone {
    /// The zone in `file`.
    ///
    /// # Errors
    /// The file cannot be read, or breaks the rules of the format.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, Error> {
        let file_name = file.as_ref().display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text, &file_name),
            Err(source) => Err(Error::ZoneUnreadable { file: file_name, source }),
        }
    }

    /// The zone that `text` describes; `file_name` is for the errors. Names are below the root until `$ORIGIN` says
    /// otherwise. A, AAAA, MX, NS, PTR, TXT and CNAME are answered; of other types only the owner counts.
    ///
    /// # Errors
    /// The first line that breaks the rules of the format.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Error> {
        let mut zone = Self::default();
        for (owner, data) in master_file::parse(text, file_name)? {
            for name in ancestors(&owner) {
                zone.nodes.entry(name.into()).or_default();
            }
            let node = zone.nodes.entry(owner).or_default();
            match data {
                Data::Record(record) => node.records.push(record),
                Data::Cname(target) => node.cname = Some(target),
                Data::Other => {}
            }
        }
        Ok(zone)
    }

    pub(crate) fn answer(&self, question: &Question<'_>) -> Result<Box<[Record]>, DnsFailure> {
        let mut name = &*question.name;
        for _ in 0..=ALIASES_MAX {
            let node = self.node(name).ok_or(DnsFailure::NxDomain)?;
            let records: Box<[Record]> =
                node.records.iter().filter(|record| type_of(record) == question.record_type).cloned().collect();
            match &node.cname {
                _ if !records.is_empty() => return Ok(records),
                Some(target) => name = target,
                None => return Err(DnsFailure::NoData),
            }
        }
        Err(DnsFailure::AliasLoop)
    }

    /// RFC 4592 §3.3.1: the wildcard that answers for a name is the one below the nearest name that exists.
    fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).or_else(|| {
            let encloser = ancestors(name).find(|ancestor| self.nodes.contains_key(*ancestor))?;
            let wildcard = if encloser.is_empty() { "*".to_owned() } else { format!("*.{encloser}") };
            self.nodes.get(wildcard.as_str())
        })
    }
}

/// What stands above `name`, nearest first, down to the root. A dot that belongs to a label is written `\046`.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(name), |name| parent(name))
}

fn parent(name: &str) -> Option<&str> {
    (!name.is_empty()).then(|| name.split_once('.').map_or("", |(_, parent)| parent))
}

fn type_of(record: &Record) -> RecordType {
    match record {
        Record::A(_) => RecordType::A,
        Record::Aaaa(_) => RecordType::Aaaa,
        Record::Mx { .. } => RecordType::Mx,
        Record::Ns(_) => RecordType::Ns,
        Record::Ptr(_) => RecordType::Ptr,
        Record::Txt(_) => RecordType::Txt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = r#"
$ORIGIN example.com.
$TTL 1h
@   IN SOA ns hostmaster (
        2026010101 ; serial
        1h 15m 1w 300 )
    IN NS ns
    IN MX 10 mail
       MX 5 @
    600 IN TXT "v=spf1 " ( "a\"b" ; a comment
        mx\046 "-\097ll;" )
ns  IN 60 A 192.0.2.1
    AAAA 2001:db8::1
Alias     CNAME   ns
outside   CNAME   www.example.net.
nowhere   CNAME   nothing
loop      CNAME   loop2.example.com.
loop2     CNAME   loop
*.wild    A       192.0.2.2
deep.in.wild A    192.0.2.3
_srv._tcp SRV     0 5 389 ldap
odd\.dot\032name PTR \000odd.x.
*.aliased CNAME   ns
$ORIGIN net.
www.example A     192.0.2.4
www.example A     192.0.2.5
1.2.0.192.in-addr.arpa. 3600 PTR ns.example.com.
$ORIGIN .
null.example MX   0 .
"#;

    fn check(zone: &Zone, name: &str, record_type: RecordType, expected: &str) {
        let question = Question::new(name, record_type).unwrap();
        let result = zone.answer(&question);
        let shown = question.answered(result).to_string();
        assert_eq!(shown, format!("{name} {record_type}: {expected}"));
    }

    #[test]
    fn answers_of_a_zone() {
        use RecordType::{A, Aaaa, Mx, Ns, Ptr, Txt};
        let zone = Zone::parse(ZONE, "zone").unwrap();
        for (name, record_type, expected) in [
            ("example.com", Mx, "10 mail.example.com., 5 example.com."),
            ("example.com", Ns, "ns.example.com"),
            ("example.com", Txt, r#""v=spf1 a\"bmx.-all;""#),
            ("example.com", A, "no record of this type"),
            ("ns.example.com", A, "192.0.2.1"),
            ("ns.example.com", Aaaa, "2001:db8::1"),
            ("mail.example.com", A, "no such name"),
            ("alias.example.com", A, "192.0.2.1"),
            ("alias.example.com", Mx, "no record of this type"),
            ("outside.example.com", A, "192.0.2.4, 192.0.2.5"),
            ("nowhere.example.com", A, "no such name"),
            ("loop.example.com", A, "aliases without end"),
            ("x.wild.example.com", A, "192.0.2.2"),
            ("x.y.wild.example.com", A, "192.0.2.2"),
            ("x.wild.example.com", Mx, "no record of this type"),
            ("wild.example.com", A, "no record of this type"),
            ("in.wild.example.com", A, "no record of this type"),
            ("x.in.wild.example.com", A, "no such name"),
            ("x.aliased.example.com", A, "192.0.2.1"),
            ("*.wild.example.com", A, "192.0.2.2"),
            ("_srv._tcp.example.com", A, "no record of this type"),
            ("_tcp.example.com", A, "no record of this type"),
            ("1.2.0.192.in-addr.arpa", Ptr, "ns.example.com"),
            ("0.192.in-addr.arpa", Ptr, "no record of this type"),
            ("null.example", Mx, "0 ."),
            ("com", A, "no record of this type"),
            ("org", A, "no such name"),
        ] {
            check(&zone, name, record_type, expected);
        }
    }

    #[test]
    fn the_root_may_hold_a_wildcard() {
        let zone = Zone::parse("* A 192.0.2.1\nknown TXT x", "zone").unwrap();
        check(&zone, "a.b.c", RecordType::A, "192.0.2.1");
        check(&zone, "known", RecordType::A, "no record of this type");
        check(&zone, "below.known", RecordType::A, "no such name");
    }

    #[test]
    fn a_zone_may_be_empty() {
        for text in ["", "\n\n", "; nothing\r\n", "$TTL 5\n$ORIGIN example."] {
            check(&Zone::parse(text, "zone").unwrap(), "a.example", RecordType::A, "no such name");
        }
    }

    #[test]
    fn errors_name_file_and_line() {
        let long_label = format!("{} A 192.0.2.1", "a".repeat(64));
        let long_name = format!("{}b A 192.0.2.1", "a.".repeat(127));
        let long_text = format!("a TXT {}", "x".repeat(256));
        for (text, expected) in [
            ("\n\na A 192.0.2.256", "zone:3: \"192.0.2.256\" is not an IPv4 address"),
            ("a AAAA 192.0.2.1", "zone:1: \"192.0.2.1\" is not an IPv6 address"),
            ("a MX 65536 b", "zone:1: \"65536\" is not a preference from 0 to 65535"),
            ("a MX b", "zone:1: 1 fields after MX: that is too few or too many"),
            ("a TXT", "zone:1: 0 fields after TXT: that is too few or too many"),
            ("a", "zone:1: a record type is missing"),
            ("a 60x A 192.0.2.1", "zone:1: \"60X\" is not a TTL"),
            ("a CH A 192.0.2.1", "zone:1: class CH is not known: only IN is"),
            ("a BOGUS x", "zone:1: \"BOGUS\" is not a record type"),
            ("  A 192.0.2.1", "zone:1: the first record has no owner"),
            ("a..b A 192.0.2.1", "zone:1: \"a..b\" is not a name"),
            (&long_label, &format!("zone:1: \"{}\" is not a name", "a".repeat(64))),
            (&long_name, &format!("zone:1: \"{}b\" is not a name", "a.".repeat(127))),
            (&long_text, "zone:1: a string of TXT holds 255 octets at most: cut it into several"),
            ("a TXT ( x\n y\n", "zone:1: \")\" is missing"),
            ("a TXT x )", "zone:1: \"(\" is missing"),
            (
                "ok A 192.0.2.1\na TXT (\n \"x )",
                "zone:3: a closing quote is missing: a text ends in the line in which it starts",
            ),
            ("a TXT \\256", "zone:1: \"\\DDD\" means three digits, 255 at most"),
            ("a TXT x\\", "zone:1: nothing follows the backslash"),
            ("$INCLUDE other", "zone:1: $INCLUDE is not understood: only $ORIGIN and $TTL are"),
        ] {
            assert_eq!(Zone::parse(text, "zone").unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zone");
        std::fs::write(&file, "a A 192.0.2.1").unwrap();
        check(&Zone::read(&file).unwrap(), "a", RecordType::A, "192.0.2.1");
        let missing = folder.path().join("missing");
        assert!(Zone::read(&missing).unwrap_err().to_string().starts_with(&format!("{}: ", missing.display())));
    }
}
