use std::io::Write as _;

use super::*;

fn open(kind: &str, text: &str) -> Table {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Table::open(&format!("{kind}:{}", file.path().display())).unwrap()
}

fn value<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.find(key).map(|row| &*row.value)
}

#[test]
fn text_sources() {
    let table = open(
        "hash",
        "# comment\n\n  \nExample.COM\tREJECT no\n   more\n# inside\n  and more\n\"a b\"@x.example  OK\nb\\ c OK\nlast OK",
    );
    assert_eq!(value(&table, "example.com"), Some("REJECT no   more  and more"));
    assert_eq!(value(&table, "\"a b\"@x.example"), Some("OK"));
    assert_eq!(value(&table, "b\\ c"), Some("OK"));
    assert_eq!(table.find("last").unwrap().line, 10);
    assert_eq!(value(&table, "missing"), None);
}

#[test]
fn rows_with_mistakes_are_left_out_and_told() {
    let table = open("hash", "alone\n\"open OK\na OK\na REJECT\n");
    let warnings: Vec<String> = table.warnings().collect();
    let expected = ["line 1: \"alone\" has no value", "line 2: a quote", "line 4: \"a\" stands in line 3"];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.contains(expected), "{warning}");
    }
    assert_eq!(value(&table, "a"), Some("OK"));
}

#[test]
fn bytes_that_are_no_text() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\xff\xfe OK\ngood OK\n\0 OK\n").unwrap();
    let table = Table::open(&format!("hash:{}", file.path().display())).unwrap();
    assert_eq!(value(&table, "good"), Some("OK"));
    assert!(table.warnings().next().unwrap().contains("line 1: not valid UTF-8"));
}

#[test]
fn networks_first_match_counts() {
    let table = open(
        "cidr",
        "192.0.2.1 OK\n192.0.2.0/24 REJECT\n!10.0.0.0/8 DUNNO\nif 10.1.0.0/16\n10.1.2.0/24 HOLD\nif !10.1.3.0/24\n10.1.0.0/16 DEFER\nendif\nendif\n::/0 six\n10.0.0.0/8 ten\n",
    );
    for (address, expected) in [
        ("192.0.2.1", Some("OK")),
        ("192.0.2.2", Some("REJECT")),
        ("198.51.100.1", Some("DUNNO")),
        ("10.1.2.3", Some("HOLD")),
        ("10.1.3.3", Some("ten")),
        ("10.1.4.3", Some("DEFER")),
        ("10.2.0.1", Some("ten")),
        ("2001:db8::1", Some("six")),
        ("unknown", None),
        ("10.1", None),
    ] {
        assert_eq!(value(&table, address), expected, "{address}");
    }
    assert_eq!(table.find_part("192.0.2.1"), None);
}

#[test]
fn networks_with_mistakes() {
    let table = open("cidr", "10.0.0.1/8 OK\n10.0.0.0/8\nendif\nif 10.0.0.0/8\n10.0.0.0/8 OK\nif x\n");
    let warnings: Vec<String> = table.warnings().collect();
    let expected = [
        "line 1: 10.0.0.1/8 has bits set",
        "line 2: \"10.0.0.0/8\" has no value",
        "line 3: \"endif\" without",
        "line 6: \"x\" is not an address",
        "line 4: \"if\" without",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.contains(expected), "{warning}");
    }
    assert_eq!(value(&table, "10.9.9.9"), Some("OK"));
}

#[test]
fn inline_tables() {
    let table = Table::open("inline:{a.example=OK, {B.example = REJECT go away} c=DUNNO}").unwrap();
    assert_eq!(value(&table, "b.example"), Some("REJECT go away"));
    assert_eq!(value(&table, "c"), Some("DUNNO"));
    for bad in ["inline:", "inline:{}", "inline:{a}", "inline:a=b", "inline:{=b}"] {
        assert!(Table::open(bad).is_err(), "{bad}");
    }
}

#[test]
fn tables_that_cannot_be_opened() {
    for (name, complaint) in [
        ("hash:/does/not/exist", "cannot read /does/not/exist"),
        ("hash:/", "cannot read /"),
        ("hahs:/x", "did you mean \"hash\"?"),
        ("mysql:/x", "export it to a text file"),
        ("pcre:/x", "not built yet"),
        ("nothing", "is no table"),
        ("zzzzzz:/x", "unknown table type"),
    ] {
        let error = Table::open(name).unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
}
