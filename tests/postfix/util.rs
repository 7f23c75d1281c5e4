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
fn tables_answer_as_the_references_say() {
    if !present("tables_answer_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    for kind in ["cidr", "pcre", "regexp"] {
        let name = format!("dict_{kind}");
        aloud(&format!("set aside {name}_file: values are read from tables, not from files that they name"));
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
        if name.contains('*') {
            aloud(&format!("set aside valid_hostname {name}: wildcards are for names in certificates"));
            continue;
        }
        let is_address = !["valid_ipv4_hostaddr:", "valid_ipv6_hostaddr:", "valid_hostaddr:"]
            .iter()
            .any(|function| block.contains(function));
        check("valid_hostname", name, &hostname::is_hostname(name), &!block.contains(" valid_hostname:"));
        check("valid_hostaddr", name, &hostname::is_address(name), &is_address);
    }
    aloud("set aside host_port: the only servers we are given by name and port are next hops, of a later step");
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
fn names_become_ascii_as_the_references_say() {
    if !present("names_become_ascii_as_the_references_say", &[Peer::Data(FOLDER)]) {
        return;
    }
    let text = reference("midna_domain_test.ref");
    for line in text.lines() {
        let Some((name, ascii)) = line.split_once("\" ->ascii \"") else { continue };
        let name = name.trim_start_matches("./midna_domain: \"");
        if name.is_ascii() || name.contains('"') {
            continue;
        }
        let Some(ascii) = ascii.strip_suffix('"').filter(|ascii| !ascii.contains('"')) else { continue };
        let expected = Some(ascii).filter(|ascii| *ascii != "(error)");
        check("midna_domain", name, &dns::to_ascii(name).as_deref(), &expected);
    }
    aloud("set aside midna_domain for names in ASCII: they are asked as they are, and the DNS says whether they exist");
}
