//! What restrictions say that look at the servers of a domain.

use facts::{DnsAnswer, DnsFailure, Record, RecordType};

use super::restrictions::said;
use super::*;

const SERVERS: &str = "
good.example MX 10 mx1.host.example
good.example MX 20 mx2.host.example
good.example NS ns.host.example
good.example A 198.51.100.1
mx1.host.example A 198.51.100.10
mx2.host.example AAAA 2001:db8::20
ns.host.example A 198.51.100.53
sub.good.example A 198.51.100.2
null.example MX 0 .
mixed.example MX 0 .
mixed.example MX 10 mx1.host.example
literal.example MX 10 198.51.100.77
9.2.0.192.in-addr.arpa PTR good.example
";

fn check(restriction: &str, table: &str, facts: &Facts, expected: &str) {
    let dns = Dns::zone(Zone::parse(SERVERS, "zone").unwrap());
    let config = format!("[restrictions]\n\nrecipient = [\"{restriction} inline:{{{table}}}\"]\n");
    assert_eq!(said(&dns, &config, facts, Stage::Rcpt), expected, "{restriction} {table}");
}

#[test]
fn servers_by_name_and_address() {
    let from = |sender: &str| facts(sender, "c@ours.example");
    let refused = |name: &str| format!("554 5.7.1 <{name}>: Sender address rejected: no");
    for (kind, sender, key, is_hit) in [
        ("mx", "a@good.example", "mx2.host.example", true),
        ("mx", "a@good.example", "host.example", true),
        ("mx", "a@good.example", "198.51.100.10", true),
        ("mx", "a@good.example", "198.51.100", true),
        ("mx", "a@good.example", "2001:db8::20", true),
        // A table of mail servers is not asked for the domain that has some.
        ("mx", "a@good.example", "good.example", false),
        ("mx", "a@good.example", "198.51.100.1", false),
        // Without a mail exchanger a domain is its own.
        ("mx", "a@sub.good.example", "good.example", true),
        ("mx", "a@sub.good.example", "198.51.100.2", true),
        ("mx", "a@nowhere.example", "nowhere.example", true),
        ("mx", "a@null.example", "null.example", false),
        ("mx", "a@mixed.example", "host.example", false),
        ("mx", "a@literal.example", "198.51.100.77", true),
        ("mx", "a@[198.51.100.9]", "198.51.100.9", true),
        ("mx", "a@[IPv6:2001:db8::1]", "2001:db8::1", true),
        ("mx", "a@[198.51.100.9", "198.51.100.9", false),
        // As the client writes it.
        ("mx", "a@[198.051.100.009]", "198.051.100", true),
        ("mx", "a@[198.051.100.009]", "198.51.100.9", false),
        ("mx", "198.51.100.9", "198.51.100.9", true),
        ("mx", "a@", "good.example", false),
        ("ns", "a@good.example", "ns.host.example", true),
        ("ns", "a@good.example", "198.51.100.53", true),
        // Without name servers of its own it has those of its parent.
        ("ns", "a@sub.good.example", "ns.host.example", true),
        ("ns", "a@deep.nowhere.good.example", "ns.host.example", true),
        ("ns", "a@elsewhere.test", "test", false),
        ("ns", "a@[198.51.100.9]", "198.51.100.9", false),
        ("a", "a@good.example", "198.51.100.1", true),
        ("a", "a@good.example", "good.example", false),
        ("a", "a@good.example", "198.51.100.10", false),
        ("a", "a@[198.51.100.9]", "198.51.100.9", true),
        ("a", "198.51.100.9", "198.51.100", true),
    ] {
        let expected = if is_hit { refused(sender) } else { "permit".into() };
        check(&format!("check_sender_{kind}_access"), &format!("{{{key}=554 no}}"), &from(sender), &expected);
    }
    check("check_sender_mx_access", "{host.example=554 no}", &from(""), "permit");
}

#[test]
fn servers_of_all_that_a_session_names() {
    let mut session = facts("a@good.example", "c@good.example");
    session.greeting = Some(Greeting { helo_name: "good.example".into() });
    let hit = "{198.51.100=554 no}";
    for (restriction, name) in [
        ("check_client_mx_access", "permit"),
        ("check_reverse_client_hostname_mx_access", "554 5.7.1 <good.example>: Unverified Client host rejected: no"),
        ("check_reverse_client_hostname_ns_access", "554 5.7.1 <good.example>: Unverified Client host rejected: no"),
        ("check_reverse_client_hostname_a_access", "554 5.7.1 <good.example>: Unverified Client host rejected: no"),
        ("check_helo_mx_access", "554 5.7.1 <good.example>: Helo command rejected: no"),
        ("check_helo_ns_access", "554 5.7.1 <good.example>: Helo command rejected: no"),
        ("check_helo_a_access", "554 5.7.1 <good.example>: Helo command rejected: no"),
        ("check_recipient_mx_access", "554 5.7.1 <c@good.example>: Recipient address rejected: no"),
        ("check_recipient_ns_access", "554 5.7.1 <c@good.example>: Recipient address rejected: no"),
        ("check_recipient_a_access", "554 5.7.1 <c@good.example>: Recipient address rejected: no"),
    ] {
        check(restriction, hit, &session, name);
    }
    // The verified name.
    Arc::make_mut(&mut session.client).name = Some(facts::ClientName::Known("good.example".into()));
    for restriction in ["check_client_mx_access", "check_client_ns_access", "check_client_a_access"] {
        check(restriction, hit, &session, "554 5.7.1 <good.example[192.0.2.9]>: Client host rejected: no");
    }
}

#[test]
fn a_row_of_a_server_table_never_permits() {
    let session = facts("a@good.example", "c@ours.example");
    check("check_sender_mx_access", "host.example=OK", &session, "451 4.3.5 Server configuration error");
    // Nor does what a row names.
    check("check_sender_mx_access", "host.example=permit", &session, "451 4.3.5 Server configuration error");
    check("check_sender_mx_access", "{host.example=permit_mynetworks}", &session, "permit");
    // The first row that is found counts, even if it says nothing.
    check("check_sender_mx_access", "mx1.host.example=DUNNO,{mx2.host.example=554 no}", &session, "permit");
}

#[test]
fn a_server_table_is_silent_where_the_dns_fails() {
    let config = "[restrictions]\n\nrecipient = [\"check_sender_mx_access inline:{{good.example=554 no}}\"]\n";
    let session = facts("a@good.example", "c@ours.example");
    assert_eq!(said(&Dns::recorded([]), config, &session, Stage::Rcpt), "permit");
}

#[test]
fn hosts_of_a_strangers_domain_are_limited() {
    let zone: String = (0..200).map(|number| format!("many.example MX {number} mx{number}.many.example\n")).collect();
    let config = settings(
        "[restrictions]\nclient = []\nhelo = []\nsender = [\"check_sender_mx_access inline:{x=OK}\"]\nrecipient = []\n",
    );
    let dns = Dns::zone(Zone::parse(&zone, "zone").unwrap());
    let decision = decided_by(&dns, &config, &facts("a@many.example", "c@ours.example"), Stage::Rcpt);
    assert_eq!(decision.dns_queries, 1 + 2 * 32);
}

#[test]
fn addresses_of_a_strangers_domain_are_limited() {
    let zone: String = (1..200).map(|number| format!("many.example A 198.51.100.{number}\n")).collect();
    let dns = Dns::zone(Zone::parse(&zone, "zone").unwrap());
    for (address, expected) in
        [("198.51.100.100", "554 5.7.1 <a@many.example>: Sender address rejected: no"), ("198.51.100.101", "permit")]
    {
        let config =
            format!("[restrictions]\n\nrecipient = [\"check_sender_a_access inline:{{{{{address}=554 no}}}}\"]\n");
        assert_eq!(said(&dns, &config, &facts("a@many.example", "c@ours.example"), Stage::Rcpt), expected);
    }
}

const BACKUP: &str = "
backup.example MX 10 primary.example
backup.example MX 20 us.example
byname.example MX 10 primary.example
byname.example MX 20 mx.ours.example
first.example MX 10 us.example
first.example MX 10 primary.example
first.example MX 20 us.example
alone.example MX 10 primary.example
proxied.example MX 10 primary.example
proxied.example MX 20 proxy.example
lost.example MX 10 gone.example
lost.example MX 20 elsewhere.example
lostbackup.example MX 10 gone.example
lostbackup.example MX 20 us.example
empty.example MX 10 noaddress.example
noaddress.example TXT x
primary.example A 198.51.100.1
elsewhere.example A 198.51.100.2
us.example A 192.0.2.1
proxy.example AAAA 2001:db8::1
";

fn backup(dns: &Dns, recipient: &str, networks: &str) -> String {
    let config = format!(
        "hostname = \"mx.ours.example\"\ndomains = [\"ours.example\"]\n[restrictions]\n\n\
         recipient = [\"permit_mx_backup\", \"reject\"]\n[postfix]\ninet_interfaces = [\"192.0.2.1\"]\n\
         proxy_interfaces = [\"2001:db8::1\"]\npermit_mx_backup_networks = [{networks}]\n"
    );
    said(dns, &config, &facts("a@good.example", recipient), Stage::Rcpt)
}

#[test]
fn backups() {
    let dns = Dns::zone(Zone::parse(BACKUP, "zone").unwrap());
    let rejected =
        |recipient: &str, code: &str, why: &str| format!("{code} <{recipient}>: Recipient address rejected: {why}");
    let denied = |recipient: &str| rejected(recipient, "554 5.7.1", "Access denied");
    for (recipient, networks, expected) in [
        ("c@ours.example", "", "permit".into()),
        ("c@backup.example", "", "permit".into()),
        ("c@BYNAME.example", "", "permit".into()),
        ("c@proxied.example", "", "permit".into()),
        ("c@first.example", "", denied("c@first.example")),
        ("c@alone.example", "", denied("c@alone.example")),
        ("c@none.example", "", denied("c@none.example")),
        ("c%d@backup.example", "", denied("c%d@backup.example")),
        ("c@[192.0.2.1]", "", denied("c@[192.0.2.1]")),
        ("c@backup.example", "\"198.51.100.0/24\"", "permit".into()),
        ("c@backup.example", "\"203.0.113.0/24\"", denied("c@backup.example")),
        // Exceptions alone let nobody in.
        ("c@backup.example", "\"!203.0.113.0/24\"", denied("c@backup.example")),
        // Bits after the prefix, for whoever comes to it, and is of its family.
        ("c@backup.example", "\"198.51.100.0/24\", \"203.0.113.1/24\"", "permit".into()),
        ("c@backup.example", "\"[2001:db8::1]/32\"", denied("c@backup.example")),
        (
            "c@backup.example",
            "\"198.51.100.1/24\"",
            rejected("c@backup.example", "450 4.4.4", "Unable to verify host primary.example as mail exchanger"),
        ),
        ("c@lostbackup.example", "", "permit".into()),
        (
            "c@lost.example",
            "",
            rejected(
                "c@lost.example",
                "450 4.4.4",
                "Unable to look up mail exchanger host gone.example: Name or service not known",
            ),
        ),
        (
            "c@empty.example",
            "",
            rejected(
                "c@empty.example",
                "450 4.4.4",
                "Unable to look up mail exchanger host noaddress.example: No address associated with hostname",
            ),
        ),
    ] {
        assert_eq!(backup(&dns, recipient, networks), expected, "{recipient} {networks}");
    }
}

#[test]
fn backups_where_the_dns_fails() {
    let answer = |name: &str, record_type, result| DnsAnswer { name: name.into(), record_type, result };
    let mx = |preference, exchange: &str| Record::Mx { preference, exchange: exchange.into() };
    let exchanges = || answer("b.example", RecordType::Mx, Ok([mx(10, "p.example"), mx(20, "mx.ours.example")].into()));
    let absent = |name: &str, record_type| answer(name, record_type, Err(DnsFailure::NxDomain));
    let all_fail = Dns::recorded([]);
    let only_other = answer("b.example", RecordType::Mx, Ok([mx(10, "p.example")].into()));
    let host_fails = Dns::recorded([only_other]);
    let permitted = Dns::recorded([exchanges()]);
    let gone = Dns::recorded([exchanges(), absent("p.example", RecordType::A), absent("p.example", RecordType::Aaaa)]);
    for (dns, networks, expected) in [
        (
            &all_fail,
            "",
            "450 4.4.4 <c@b.example>: Recipient address rejected: Unable to look up mail exchanger information: Host not found, try again",
        ),
        (
            &host_fails,
            "",
            "450 4.4.4 <c@b.example>: Recipient address rejected: Unable to look up mail exchanger host p.example: Temporary failure in name resolution",
        ),
        // Who might be first is unclear, that we are a backup is not.
        (&permitted, "", "permit"),
        (
            &gone,
            "\"198.51.100.0/24\"",
            "450 4.4.4 <c@b.example>: Recipient address rejected: Unable to look up mail exchanger host p.example: Name or service not known",
        ),
    ] {
        assert_eq!(backup(dns, "c@b.example", networks), expected);
    }
}
