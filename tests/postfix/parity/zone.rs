//! What the DNS of the drawn sessions knows.

use crate::support::zone::Zone;

/// The names that clients' PTR records give; all but the last three lead back.
pub const NAMES: [(&str, &str); 11] = [
    ("10.1.0.1", "mail.good.test"),
    ("10.1.0.2", "Mixed.Case.Good.Test"),
    ("45.1.0.3", "under_score.good.test"),
    ("203.0.113.4", "two.good.test"),
    ("192.0.2.5", "mail.sub.good.test"),
    ("198.51.100.6", "alias.good.test"),
    ("2001:db8:1::1", "six.good.test"),
    ("2001:db8:1:2:3:4:5:6", "long.good.test"),
    ("10.3.0.1", "nowhere.good.test"),
    ("10.3.0.2", "elsewhere.good.test"),
    ("10.6.0.1", "down.good.test"),
];

/// The name that a client's PTR record gives, where it is one of [`NAMES`].
pub fn name_of(client: &str) -> Option<&'static str> {
    NAMES.iter().find(|(address, _)| *address == client).map(|(_, name)| *name)
}

/// What the DNS knows.
pub fn zone() -> Zone {
    let mut zone = Zone::parse(ZONE);
    for (address, name) in NAMES.iter().filter(|(address, _)| *address != "198.51.100.6") {
        zone.line(&format!("{address} PTR {name}"));
    }
    zone
}

const ZONE: &str = "
# Clients whose name leads back: by one of several addresses, through an alias, from an aliased PTR (RFC 2317).
mail.good.test A 10.1.0.1
mixed.case.good.test A 10.1.0.2
under_score.good.test A 45.1.0.3
two.good.test A 10.99.0.1
two.good.test A 203.0.113.4
mail.sub.good.test A 192.0.2.5
six.good.test AAAA 2001:db8:1::1
long.good.test AAAA 2001:db8:1:2:3:4:5:6
198.51.100.6 CNAME 6.0-63.100.51.198.in-addr.arpa
6.0-63.100.51.198.in-addr.arpa PTR alias.good.test
alias.good.test CNAME mail6.good.test
mail6.good.test A 198.51.100.6
10.9.0.1 PTR own.good.test
own.good.test A 10.9.0.1
# Clients without a name, and with one that does not lead back.
10.2.0.2 PTR !NODATA
elsewhere.good.test A 10.99.0.2
10.3.0.3 PTR six.good.test
2001:db8:3::1 PTR mail.good.test
# Clients whose names are no names.
10.4.0.1 PTR 1.2.3.4
10.4.0.2 PTR -bad-.good.test
-bad-.good.test A 10.4.0.2
10.4.0.3 PTR sp ace.good.test
10.4.0.4 PTR single
single A 10.4.0.4
10.4.0.5 PTR localhost
# Clients of whom nobody can say.
10.5.0.1 PTR !SERVFAIL
10.5.0.2 PTR !REFUSED
2001:db8:5::1 PTR !SERVFAIL
2001:db8:6::1 PTR down.good.test
down.good.test ANY !SERVFAIL
10.7.0.1 PTR !SILENCE
10.7.0.2 PTR silent.good.test
silent.good.test ANY !SILENCE
# Domains.
good.test MX 10 mail.good.test
good.test MX 20 mail2.good.test
sub.good.test MX 10 mail.good.test
a-only.test A 10.1.0.1
aaaa-only.test AAAA 2001:db8:1::1
mx-only.test MX 10 mail.good.test
under_score.test A 10.1.0.1
xn--4ca.test A 10.1.0.1
# Not even an A-label: names in ASCII are asked as they are.
xn--123456.test A 10.1.0.1
12345 A 10.1.0.1
nullmx.test MX 0 .
nullmx-a.test MX 0 .
nullmx-a.test A 10.1.0.1
nullmx-mx.test MX 0 .
nullmx-mx.test MX 10 mail.good.test
nodata.test TXT nothing here
cname.test CNAME good.test
cname-nowhere.test CNAME nowhere.test
cname-loop.test CNAME cname-loop.test
down.test ANY !SERVFAIL
refused.test ANY !REFUSED
silent.test ANY !SILENCE
mx-down.test MX !SERVFAIL
mx-down.test A 10.1.0.1
a-down.test A !SERVFAIL
a-down.test AAAA !NODATA
aaaa-down.test AAAA !SERVFAIL
mx-malformed.test MX 10 -bad-.good.test
mx-number.test MX 10 10.1.0.1
mx-underscore.test MX 10 under_score.good.test
mx-long.test MX 10 abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc.good.test
*.relayed.test MX 10 mail.good.test
# Where we are a backup, and where we are the first.
backup.test MX 10 mail.good.test
backup.test MX 20 mx.test
first.test MX 10 mx.test
first.test MX 20 mail.good.test
# Name servers.
test NS mail.good.test
good.test NS mail.good.test
good.test NS six.good.test
# DNS lists, and what their entries may be aliases of.
listed.test A 127.0.0.2
listed.test TXT an alias
*.full.list.test A 127.0.0.2
*.full.list.test TXT listed, see https://full.list.test/
*.plain.list.test A 127.0.0.4
*.plain.list.test A 127.0.1.2
*.mixed.list.test A 127.0.2.3
*.mixed.list.test TXT one text
*.mixed.list.test TXT and another
*.down.list.test ANY !SERVFAIL
";
