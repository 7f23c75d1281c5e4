//! Configurations with mistakes: each file ends with what must be said of it, a line `#! LINE:COLUMN: MESSAGE: HELP`
//! for each complaint, in order. With `#?` in place of `#!` it is only warned of, and the configuration is good.

use std::fs;

use crate::support::{program, project};

#[test]
fn each_mistake_is_shown_with_its_place_and_what_was_meant() {
    let mut count = 0;
    for entry in fs::read_dir(project("tests/bad_configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            check(path.to_str().unwrap());
            count += 1;
        }
    }
    assert!(count > 20, "the cases are gone");
}

fn check(path: &str) {
    let text = fs::read_to_string(path).unwrap();
    let is_good = text.contains("\n#? ");
    let (marker, status, kind) = if is_good { ("#? ", 0, "warning") } else { ("#! ", 2, "error") };
    let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(marker)).collect();
    let output = program::run(&["config", "check", "--config", path, "--json"]);
    assert_eq!(output.status.code(), Some(status), "{path}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let remarks = report[format!("{kind}s")].as_array().unwrap();
    let found: Vec<String> = remarks.iter().map(one_line).collect();
    assert_eq!(found.len(), expected.len(), "{path}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{path}: {found:?} does not begin with {expected:?}");
    }
    let output = program::run(&["config", "check", "--config", path]);
    assert_eq!(output.status.code(), Some(status), "{path}");
    assert_eq!(output.stdout.is_empty(), !is_good, "{path}");
    check_for_people(path, &text, kind, remarks, &String::from_utf8(output.stderr).unwrap());
}

fn one_line(error: &serde_json::Value) -> String {
    let place = error["line"].as_u64().map(|line| format!("{line}:{}: ", error["column"])).unwrap_or_default();
    let help = error["help"].as_str().map(|help| format!(": {help}")).unwrap_or_default();
    format!("{place}{}{help}", error["message"].as_str().unwrap())
}

/// The same complaints, with the file, the place and the line itself, and without colours in a pipe.
fn check_for_people(path: &str, text: &str, kind: &str, remarks: &[serde_json::Value], told: &str) {
    assert!(!told.contains('\u{1b}'), "{told}");
    for remark in remarks {
        let place = match remark["line"].as_u64() {
            Some(line) => {
                let shown = text.lines().nth(line as usize - 1).unwrap();
                assert!(told.contains(&format!("{line} | {shown}\n")), "{told}");
                format!("--> {path}:{line}:{}\n", remark["column"])
            }
            None => format!("--> {path}\n"),
        };
        assert!(told.contains(&place), "{told}");
        assert!(told.contains(&format!("{kind}: {}", remark["message"].as_str().unwrap())), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, content: Option<&[u8]>, complaint: &str| {
        let path = directory.path().join(name);
        content.inspect(|content| fs::write(&path, content).unwrap());
        for command in [["config", "check"], ["config", "show"]] {
            let output = program::run(&[command[0], command[1], "--config", path.to_str().unwrap()]);
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(&format!("--> {}", path.display())) && told.contains(complaint), "{told}");
        }
    };
    check("missing.toml", None, "No such file");
    check("large.toml", Some(&[b'#'; (1 << 20) + 1]), "larger than 1048576 bytes");
    check("latin1.toml", Some(b"hostname = \"m\xfcller.example\"\n"), "UTF-8");
    check("", None, "directory");
}
