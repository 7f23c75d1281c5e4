use std::io::Write as _;

use super::lookup::Lookup;
use super::*;

fn open(kind: &str, text: &str) -> Table {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Table::open(&format!("{kind}:{}", file.path().display())).unwrap()
}

fn part(table: Table, key: &str) -> Option<String> {
    Lookup::new(&[table.into()]).find_part(key).map(|hit| hit.unwrap().value.into_owned())
}

fn value<'a>(table: &'a Table, key: &str) -> Option<Cow<'a, str>> {
    table.find(key).unwrap().map(|found| found.value)
}

#[test]
fn text_sources() {
    let table = open(
        "hash",
        "# comment\n\n  \nExample.COM\tREJECT no\n   more\n# inside\n  and more\n\"a b\"@x.example  OK\nb\\ c OK\nlast OK",
    );
    assert_eq!(value(&table, "example.com").as_deref(), Some("REJECT no   more  and more"));
    assert_eq!(value(&table, "\"a b\"@x.example").as_deref(), Some("OK"));
    assert_eq!(value(&table, "b\\ c").as_deref(), Some("OK"));
    assert_eq!(table.find("last").unwrap().unwrap().line, 10);
    assert_eq!(value(&table, "missing").as_deref(), None);
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
    assert_eq!(value(&table, "a").as_deref(), Some("OK"));
}

#[test]
fn bytes_that_are_no_text() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\xff\xfe OK\ngood OK\n\0 OK\n").unwrap();
    let table = Table::open(&format!("hash:{}", file.path().display())).unwrap();
    assert_eq!(value(&table, "good").as_deref(), Some("OK"));
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
        assert_eq!(value(&table, address).as_deref(), expected, "{address}");
    }
    assert_eq!(part(table, "192.0.2.1"), None);
}

#[test]
fn networks_with_mistakes() {
    let table = open("cidr", "10.0.0.1/8 OK\n10.0.0.0/8\nendif\nif 10.0.0.0/8\n10.0.0.0/8 OK\nif x\n");
    let warnings: Vec<String> = table.warnings().collect();
    let expected = [
        "line 1: 10.0.0.1/8 has bits set",
        "line 2: \"10.0.0.0/8\" has no value",
        "line 3: \"endif\" without",
        "line 6: \"x\" is neither an address nor a network",
        "line 4: \"if\" without",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.contains(expected), "{warning}");
    }
    assert_eq!(value(&table, "10.9.9.9").as_deref(), Some("OK"));
}

#[test]
fn inline_tables() {
    let table = Table::open("inline:{a.example=OK, {B.example = REJECT go away} c=DUNNO}").unwrap();
    assert_eq!(value(&table, "b.example").as_deref(), Some("REJECT go away"));
    assert_eq!(value(&table, "c").as_deref(), Some("DUNNO"));
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
        ("pcre:/x", "cannot read /x"),
        ("unionmap:{hash:/does/not/exist}", "cannot read /does/not/exist"),
        ("unionmap:hash:/x", "write unionmap:{type:name"),
        ("pipemap:{}", "write pipemap:{type:name"),
        ("randmap:{}", "write randmap:{text, text}"),
        ("static:{a", "write static:{text}"),
        ("inline:{a=b}{c=d}", "write inline:{key=value"),
        ("pcer:/x", "did you mean \"pcre\"?"),
        ("nothing", "is no table"),
        ("zzzzzz:/x", "unknown table type"),
    ] {
        let error = Table::open(name).unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn tables_of_the_configuration_alone() {
    for (name, key, whole, of_part) in [
        ("static:OK", "any", Some("OK"), Some("OK")),
        ("static:{ REJECT go away }", "any", Some("REJECT go away"), Some("REJECT go away")),
        ("randmap:{OK}", "any", Some("OK"), None),
        ("unionmap:{static:a, static:b}", "any", Some("a,b"), Some("a,b")),
        ("unionmap:{inline:{x=1}, inline:{X=2, y=3}}", "X", Some("1,2"), Some("1,2")),
        ("unionmap:{inline:{x=1},inline:{y=3}}", "z", None, None),
        ("unionmap:{randmap:{a} inline:{x=1}}", "x", Some("a,1"), None),
        ("pipemap:{inline:{x=Y},inline:{y=z}}", "x", Some("z"), Some("z")),
        ("pipemap:{inline:{x=y},inline:{a=b}}", "x", None, None),
    ] {
        let table = Table::open(name).unwrap();
        assert_eq!(value(&table, key).as_deref(), whole, "{name}");
        assert_eq!(part(table, key).as_deref(), of_part, "{name}");
    }
    let random = Table::open("randmap:{a, b, c}").unwrap();
    let drawn: Vec<_> = (0..100).filter_map(|number| value(&random, &number.to_string())).collect();
    assert!(["a", "b", "c"].iter().all(|value| drawn.iter().any(|drawn| drawn == value)));
}

#[test]
fn tables_that_fail() {
    for name in ["fail:", "fail:any", "unionmap:{static:a, fail:}", "pipemap:{static:a, fail:b}"] {
        let table = Table::open(name).unwrap();
        assert_eq!(table.find("x"), Err(Unavailable::Fail), "{name}");
    }
    assert_eq!(part(Table::open("fail:").unwrap(), "x"), None);
    let table = Table::of_text("pcre:/x", "/^(.)/ $1\n".as_bytes()).unwrap();
    assert_eq!(table.find("ä"), Err(Unavailable::NotText(1)));
    let long = "x".repeat(VALUE_SIZE_MAX / 2);
    let union = Table::open(&format!("unionmap:{{static:{long}, static:{long}}}")).unwrap();
    assert_eq!(union.find("x"), Err(Unavailable::Size));
    let nested = format!("{}static:a{}", "unionmap:{".repeat(11), "}".repeat(11));
    assert!(Table::open(&nested).unwrap_err().contains("more than 10 tables within one another"));
}

#[test]
fn all_keys_of_a_lookup_share_its_budget() {
    let mut patterns = tempfile::NamedTempFile::new().unwrap();
    patterns.write_all("/b$/ never\n".repeat(1000).as_bytes()).unwrap();
    let name = format!("unionmap:{{inline:{{a=OK}}, pcre:{}}}", patterns.path().display());
    let tables = [Table::open(&name).unwrap().into()];
    let lookup = Lookup::new(&tables);
    assert!((0..3).all(|_| lookup.find_part("parent.example").is_none()));
    let spent = (0..100).find_map(|_| lookup.find_part("parent.example")).unwrap().unwrap_err();
    assert!(spent.contains("too long for this key"), "{spent}");
}

#[test]
fn files_and_their_mistakes_are_known_from_outside() {
    let mut first = tempfile::NamedTempFile::new().unwrap();
    let mut second = tempfile::NamedTempFile::new().unwrap();
    first.write_all(b" a OK\nb\n").unwrap();
    second.write_all(b"/a/ whatever\n/(b)/ $1\n/c/ OK\n/d/\n").unwrap();
    let (first, second) = (first.path(), second.path());
    let table = Table::open(&format!("unionmap:{{hash:{}, pcre:{}}}", first.display(), second.display())).unwrap();
    assert_eq!(table.sources(), [first, second]);
    let warnings: Vec<String> = table.warnings().collect();
    let place = |path: &std::path::Path, line: usize| format!("{}, line {line}: ", path.display());
    let expected = [place(first, 1), place(first, 2), place(second, 4)];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, place) in warnings.iter().zip(expected) {
        assert!(warning.contains(&place), "{warning}");
    }
}
