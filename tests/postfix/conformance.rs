//! The cases of Postfix's own test scripts (smtpd_check), where they lie beside this tree.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::peers::{Peer, beside, present};
use crate::support::{aloud, program};

const FOLDER: &str = "shared/conformance/postfix";

/// What a case is set aside for: what is left out, or cannot be asked here.
const LEFT_OUT: &[(&str, &str)] =
    &[("check_relay_domains", "left out"), ("permit_naked_ip_address", "left out"), ("reject_maps_rbl", "left out")];

/// The parameters that a case may have beside its lists.
const PARAMETERS: &[&str] = &[
    "recipient_delimiter",
    "rbl_reply_maps",
    "local_recipient_maps",
    "sender_canonical_maps",
    "recipient_canonical_maps",
    "virtual_alias_maps",
    "relay_clientcerts",
];

/// The certificate of the client wherever the scripts ask for one; the cases do not tell.
const FINGERPRINT: &str = "abcdef";

/// Which of a case's lists speaks at which command.
const LISTS: &[(&str, &str, &[&str])] = &[
    ("client", "client", &["client"]),
    ("helo", "helo", &["helo"]),
    ("mail", "sender", &["sender"]),
    ("rcpt", "recipient", &["relay", "recipient"]),
];

#[test]
fn smtpd_check_cases_give_postfix_replies() {
    if !present("smtpd_check_cases_give_postfix_replies", &[Peer::Data(FOLDER)]) {
        return;
    }
    let folder = beside(FOLDER);
    let directory = tempfile::tempdir().unwrap();
    let zone = directory.path().join("zone");
    fs::write(&zone, zone_file(&read_json(&folder.join("zone.json")))).unwrap();
    let cases = fs::read_to_string(folder.join("smtpd_check-cases.jsonl")).unwrap();
    let (mut ran, mut differences) = (0, Vec::new());
    for (number, line) in cases.lines().enumerate() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = format!("{}:{number} {} {}", text(&case, "suite"), text(&case, "cmd"), text(&case, "arg"));
        if let Some(why) = set_aside(&case) {
            aloud(&format!("set aside {name}: {why}"));
            continue;
        }
        let config = directory.path().join("portcullis.toml");
        fs::write(&config, config_file(&case, &folder)).unwrap();
        let (got, expected) = (answer(&case, &config, &zone), text(&case, "expect"));
        ran += 1;
        if got != expected {
            differences.push(format!("{name}\n  Postfix    {expected}\n  Portcullis {got}"));
        }
    }
    aloud(&format!("smtpd_check: {ran} cases ran"));
    assert!(ran > 120, "only {ran} cases ran");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// The restrictions that speak in this case: those of the list at its command.
fn spoken(case: &Value) -> Vec<(&'static str, &str)> {
    let (_, _, lists) =
        LISTS.iter().find(|(command, ..)| *command == text(case, "cmd")).copied().unwrap_or(("", "", &[]));
    lists
        .iter()
        .map(|list| (*list, text(&case["config"], &format!("{list}_restrictions"))))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn set_aside(case: &Value) -> Option<String> {
    let config = &case["config"];
    if !LISTS.iter().any(|(command, ..)| *command == text(case, "cmd")) {
        return Some(format!("\"{}\" asks for something else than a verdict", text(case, "cmd")));
    }
    let spoken = spoken(case);
    let used = |word: &str| spoken.iter().any(|(_, value)| value.contains(word));
    if let Some((word, why)) = LEFT_OUT.iter().find(|(word, _)| used(word)) {
        return Some(format!("{word}: {why}"));
    }
    // What is a list of names here, Postfix may read from tables (virtual_alias_domains is virtual_alias_maps there).
    let fails = |key: &str| text(config, key).starts_with("fail:");
    let lists = [
        ("permit_mynetworks", "mynetworks"),
        ("unauth_destination", "mydestination"),
        ("unauth_destination", "virtual_alias_maps"),
    ];
    let list = lists.iter().find(|(restriction, key)| used(restriction) && fails(key));
    list.map(|(_, key)| format!("{key} that fails: networks and domains do not stand in tables here"))
}

fn config_file(case: &Value, folder: &Path) -> String {
    let config = &case["config"];
    let names = |key: &str| {
        text(config, key)
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    // Cases that do not ask for it have a table there, too, that would be refused at the start.
    let is_unused = text(config, "mynetworks").contains("fail:");
    let networks = if is_unused { String::new() } else { names("mynetworks") };
    let mut toml = format!(
        "hostname = \"mail.test.invalid\"\nmynetworks = [{networks}]\ndomains = [{}]\nrelay_domains = [{}]\n[restrictions]\ndelay_reject = false\nhelo_required = false\n",
        names("mydestination"),
        names("relay_domains"),
    );
    let quoted = |value: &str| {
        let value = value.replace("hash:./", "hash:").replace("hash:", &format!("hash:{}/", folder.display()));
        format!("{value:?}")
    };
    for list in ["client", "helo", "sender", "relay", "recipient"] {
        let value = spoken(case).into_iter().find(|(name, _)| *name == list).map_or("", |(_, value)| value);
        let _ = writeln!(toml, "{list} = {}", quoted(value));
    }
    toml.push_str("[postfix]\n");
    for key in PARAMETERS {
        let value = text(config, key);
        if !value.is_empty() {
            let _ = writeln!(toml, "{key} = {}", quoted(value));
        }
    }
    toml
}

/// What `explain` says of the case: the reply, or OK.
fn answer(case: &Value, config: &Path, zone: &Path) -> String {
    let (state, argument) = (&case["state"], text(case, "arg"));
    let command = text(case, "cmd");
    let (name, address) = match argument.split_once(' ') {
        Some(pair) if command == "client" => pair,
        _ => (text(state, "client_name"), text(state, "client_addr")),
    };
    let zone = zone.display().to_string();
    let mut arguments = vec!["--dns-zone", &zone, "--client", if address.is_empty() { "127.0.0.1" } else { address }];
    let name = if name.is_empty() { "localhost" } else { name };
    arguments.extend(["--client-name", name, "--reverse-name", name]);
    let helo = if command == "helo" { argument } else { text(state, "helo") };
    let sender = if command == "mail" { argument } else { text(state, "sender") };
    if !helo.is_empty() {
        arguments.extend(["--helo", helo]);
    }
    if command == "mail" || command == "rcpt" {
        arguments.extend(["--sender", sender]);
    }
    if command == "rcpt" {
        arguments.extend(["--recipient", argument]);
    }
    if !text(&case["config"], "relay_clientcerts").is_empty() {
        arguments.extend(["--ccert-fingerprint", FINGERPRINT]);
    }
    let object = program::explain(config, &arguments);
    object["reply"].as_str().unwrap_or("OK").to_owned()
}

/// The zone in master format.
fn zone_file(zone: &Value) -> String {
    let mut lines = String::new();
    for (name, types) in zone.as_object().unwrap().iter().filter(|(name, _)| *name != "_comment") {
        for (record_type, records) in types.as_object().unwrap() {
            for record in records.as_array().into_iter().flatten() {
                let value = match (record_type.as_str(), record) {
                    ("MX", Value::Array(parts)) => format!("{} {}", parts[0], parts[1].as_str().unwrap()),
                    ("TXT", Value::String(text)) => format!("{text:?}"),
                    (_, value) => value.as_str().unwrap().to_owned(),
                };
                let _ = writeln!(lines, "{name}. 300 IN {record_type} {value}");
            }
        }
    }
    lines
}
