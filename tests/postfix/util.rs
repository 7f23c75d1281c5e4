//! The references of Postfix's own library (src/util), where they lie beside this tree: tables, host names,
//! addresses and their patterns.

mod postmap;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;

use dns::lists::AddressPattern;
use facts::hostname;
use judge::tables::Table;

use crate::support::aloud;
use crate::support::peers::{Peer, beside, present};

const FOLDER: &str = "shared/conformance/postfix/util";

/// The references that are compared here.
const COMPARED: [&str; 8] = [
    "dict_cidr",
    "dict_pcre",
    "dict_regexp",
    "dict_thash",
    "host_port",
    "ip_match",
    "midna_domain_test",
    "valid_hostname",
];

fn reference(name: &str) -> String {
    fs::read_to_string(beside(FOLDER).join(name)).unwrap()
}

fn check<T: PartialEq + Debug>(name: &str, of: &str, ours: &T, postfix: &T) {
    assert_eq!(ours, postfix, "{name}: {of}: ours is on the left");
}

/// The lines that warnings speak of.
fn lines_warned_of<'a>(warnings: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
    warnings.filter_map(|warning| warning.split_once(", line ")?.1.split(':').next()?.parse().ok()).collect()
}

#[test]
fn no_reference_is_forgotten() {
    if !present("no_reference_is_forgotten", &[Peer::Data(FOLDER)]) {
        return;
    }
    let mut compared = BTreeSet::new();
    for entry in fs::read_dir(beside(FOLDER)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".ref") else { continue };
        if name.ends_with("_file") {
            aloud(&format!("set aside {name}: made with postmap -F; smtpd(8) reads no files that values name"));
        } else {
            compared.insert(name.to_owned());
        }
    }
    assert_eq!(compared, COMPARED.map(str::to_owned).into());
}

#[test]
fn tables_answer_as_the_references_say() {
    if !present("tables_answer_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    for kind in ["cidr", "pcre", "regexp"] {
        let name = format!("dict_{kind}");
        let table = Table::open(&format!("{kind}:{}", beside(FOLDER).join(format!("{name}.map")).display())).unwrap();
        let text = reference(&format!("{name}.ref"));
        let (warnings, answers) = text.split_once("owner=").unwrap();
        let ours: Vec<String> = table.warnings().collect();
        let ours = lines_warned_of(ours.iter().map(String::as_str));
        check(&name, "lines warned of", &ours, &lines_warned_of(warnings.lines()));
        let mut lines = answers.lines();
        while let Some(line) = lines.next() {
            let Some(key) = line.strip_prefix("> get ") else { continue };
            let answer = lines.next().unwrap();
            let expected = answer.strip_prefix(key).unwrap().strip_prefix('=');
            let found = table.find(key).unwrap();
            check(&name, key, &found.as_ref().map(|found| &*found.value), &expected);
        }
    }
}

#[test]
fn text_sources_are_read_as_the_references_say() {
    if !present("text_sources_are_read_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    for (file, expected) in [("dict_thash.in", "dict_thash.ref"), ("dict_thash.map", "dict_thash.map")] {
        let table = Table::open(&format!("texthash:{}", beside(FOLDER).join(file).display())).unwrap();
        let text = reference(expected);
        let (warnings, rows): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("postmap: "));
        let ours: Vec<String> = table.warnings().collect();
        let ours = lines_warned_of(ours.iter().map(String::as_str));
        check(file, "lines warned of", &ours, &lines_warned_of(warnings.into_iter()));
        for row in rows {
            let (key, value) = row.split_once('\t').unwrap();
            let found = table.find(key).unwrap();
            check(file, key, &found.as_ref().map(|found| &*found.value), &Some(value));
        }
    }
}

#[test]
fn names_and_addresses_are_judged_as_the_references_say() {
    if !present("names_and_addresses_are_judged_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    let text = reference("valid_hostname.ref");
    for block in text.split("./valid_hostname: testing: ").skip(1) {
        let name = block.lines().next().unwrap().trim_matches('"');
        if name.starts_with("*.") {
            let why =
                "asked as for certificates (DO_WILDCARD); smtpd(8) refuses it, and drawn sessions hold us to that";
            aloud(&format!("set aside valid_hostname {name}: {why}"));
            continue;
        }
        let is_address = !["valid_ipv4_hostaddr:", "valid_ipv6_hostaddr:", "valid_hostaddr:"]
            .iter()
            .any(|function| block.contains(function));
        check("valid_hostname", name, &hostname::is_hostname(name), &!block.contains(" valid_hostname:"));
        // The reference does not ask whether a wildcard is an address.
        check("valid_hostaddr", name, &hostname::is_address(name), &(is_address && !name.contains('*')));
    }
}

#[test]
fn hosts_and_ports_are_parted_as_the_references_say() {
    if !present("hosts_and_ports_are_parted_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    let text = reference("host_port.ref");
    for block in text.split(">> ").skip(1).filter(|block| !block.starts_with('#')) {
        let (spelt, answer) = block.split_once('\n').unwrap();
        let ours = facts::host_port(spelt).ok().map(|(host, port)| {
            format!("host {host} port {}\n", if port.is_empty() { "default-service" } else { port })
        });
        check("host_port", spelt, &ours.as_deref(), &Some(answer).filter(|answer| answer.starts_with("host ")));
    }
}

#[test]
fn address_patterns_match_as_the_references_say() {
    if !present("address_patterns_match_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    let text = reference("ip_match.ref");
    for block in text.split("> ").filter(|block| block.contains("Code:") || block.contains("Error:")) {
        let spelt = block.split_ascii_whitespace().next().unwrap();
        let pattern = spelt.parse::<AddressPattern>();
        check("ip_match", spelt, &pattern.is_ok(), &block.contains("Code:"));
        for line in block.lines().filter_map(|line| line.strip_prefix("Match ")) {
            let (address, matches) = line.split_once(": ").unwrap();
            let ours = pattern.as_ref().unwrap().matches(address.parse().unwrap());
            check("ip_match", line, &ours, &(matches == "yes"));
        }
    }
}

#[test]
fn names_become_ascii_and_unicode_as_the_references_say() {
    if !present("names_become_ascii_and_unicode_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    let text = reference("midna_domain_test.ref");
    // A line has a name, and what becomes of it in one step or in two: "NAME" ->ascii "NAME" ->utf8 "NAME"
    for line in text.lines().filter_map(|line| line.strip_prefix("./midna_domain: \"")) {
        let mut steps = line.trim_end_matches('"').split("\" ->");
        let mut name = steps.next().unwrap();
        for step in steps {
            let (form, expected) = step.split_once(" \"").unwrap();
            if form == "ascii" && name.starts_with("xn--") && expected == "(error)" {
                let why = "smtpd(8) asks the DNS for names in ASCII as they are, and drawn sessions hold us to that";
                aloud(&format!("set aside midna_domain {name} ->ascii: {why}"));
                continue;
            }
            let ours = match form {
                // A name in ASCII keeps its case: the DNS does not care.
                "ascii" => dns::ascii_hostname(name).map(|ascii| ascii.to_ascii_lowercase()),
                _ => dns::unicode_hostname(name),
            };
            check(
                &format!("midna_domain ->{form}"),
                name,
                &ours.as_deref(),
                &Some(expected).filter(|it| *it != "(error)"),
            );
            name = expected;
        }
    }
}
