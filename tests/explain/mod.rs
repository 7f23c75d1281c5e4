//! `portcullis explain`, word for word: each case holds the arguments and what is printed.
//!
//! With `PORTCULLIS_TEST_WRITE` set the cases are written anew: read the difference before keeping it.

use std::fs;
use std::path::Path;

use crate::support::{program, project};

#[test]
fn every_case_is_told_as_it_stands() {
    let mut count = 0;
    for entry in fs::read_dir(project("tests/explain/cases")).unwrap() {
        check(&entry.unwrap().path());
        count += 1;
    }
    assert!(count > 5, "the cases are gone");
}

/// A case: `$ arguments`, what is printed, and `=> exit status`.
fn check(path: &Path) {
    let case = fs::read_to_string(path).unwrap();
    let arguments = case.lines().next().and_then(|line| line.strip_prefix("$ ")).unwrap();
    let (status, printed) = explain(arguments);
    let found = format!("$ {arguments}\n\n{printed}\n=> {status}\n");
    if std::env::var_os("PORTCULLIS_TEST_WRITE").is_some() {
        fs::write(path, &found).unwrap();
    } else {
        assert_eq!(found, case, "{}", path.display());
    }
}

fn explain(arguments: &str) -> (i32, String) {
    let (config, zone) = (project("tests/explain/portcullis.toml"), project("tests/explain/zone.db"));
    let mut all = vec!["explain", "--config", config.to_str().unwrap(), "--dns-zone", zone.to_str().unwrap()];
    all.extend(arguments.split(' ').map(|argument| argument.trim_matches('\'')));
    let output = program::run(&all);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed = if all.contains(&"--json") { json_for_reading(&printed) } else { without_times(&printed) };
    (output.status.code().unwrap(), printed)
}

/// Each object on many lines, its durations as 0.
fn json_for_reading(printed: &str) -> String {
    let object = |line: &str| {
        let mut object: serde_json::Value = serde_json::from_str(line).unwrap();
        for finding in object["findings"].as_array_mut().unwrap() {
            finding["micros"] = 0.into();
        }
        serde_json::to_string_pretty(&object).unwrap() + "\n"
    };
    printed.lines().map(object).collect()
}

/// A slow machine shows how long a finding took.
fn without_times(printed: &str) -> String {
    let cut = |line: &str| match line.strip_suffix(" ms").and_then(|line| line.rsplit_once("  ")) {
        Some((line, _)) => format!("{line}\n"),
        None => format!("{line}\n"),
    };
    printed.lines().map(cut).collect()
}

#[test]
fn the_object_has_its_fields_in_order() {
    let zone = project("tests/explain/zone.db");
    let output = program::run(&["explain", "--client", "192.0.2.25", "--json", "--dns-zone", zone.to_str().unwrap()]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let fields = ["verdict", "reply", "stage", "restriction", "reason", "findings", "authentication", "dns_queries"];
    let places: Vec<_> = fields.map(|field| printed.find(&format!("\"{field}\":"))).into();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?} in {printed}");
}
