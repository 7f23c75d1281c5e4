//! Drawn tables of every kind, and what the real postmap(1) answers from them.
//!
//! `PORTCULLIS_TABLES_SEED` draws other tables and keys.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use judge::tables::Table;

use crate::support::aloud;
use crate::support::peers::{Peer, present, program, skip};
use crate::support::postfix::Postfix;
use crate::support::random::Random;

/// The seed that is the same in every run.
const SEED: u64 = 1;

/// What stands on the right of a row in every kind of table.
const VALUES: [&str; 5] = ["OK", "REJECT no $$5 here", "450 later", "DUNNO", "text,  with   blanks"];
const NAMES: [&str; 9] =
    ["a.example", "B.Example", "user@a.example", "User@", "\"a b\"@c", "192.0.2.1", "192.0", "ä.example", "<>"];
const NETWORKS: [&str; 13] = [
    "192.0.2.0/24",
    "192.0.2.1",
    "192.0.0.0/16",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.2.0/23",
    "2001:db8::/32",
    "2001:db8::1",
    "::/0",
    "[2001:db8:1::]/48",
    "[10.0.0.0/9]",
    "10.0.0.1/8",
    "2001:db8::1/32",
];
const ADDRESSES: [&str; 11] = [
    "192.0.2.1",
    "192.0.2.255",
    "192.0.3.0",
    "10.0.0.1",
    "10.1.2.3",
    "10.200.0.0",
    "2001:db8::1",
    "2001:db8:1:2::3",
    "2001:db9::",
    "::ffff:10.0.0.1",
    "no.address",
];
/// Parts of expressions that both syntaxes read alike, or each in its own way.
const PARTS: [&str; 38] = [
    "a",
    "b",
    "A",
    "\\.",
    ".",
    "[ab]",
    "[^ab]",
    "[[:digit:]]",
    "[]a-]",
    "[a&&b]",
    "(a|b)",
    "(ab)",
    "(a)?",
    "()",
    "a*",
    "b+",
    "a?",
    "(ab)*",
    "a{2}",
    "b{1,2}",
    "[0-9]{1,3}",
    "^",
    "$",
    "|",
    "\\b",
    "\\w",
    "\\-",
    "1",
    "-",
    "@",
    "\\1",
    "{",
    "a{,2}",
    "**",
    "\\<",
    "(",
    ")",
    "ä",
];
const PERL_PARTS: [&str; 30] = [
    "\\d+",
    "\\s",
    "\\S",
    "\\D",
    "(?:a|b)",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<!b)",
    "(?>a*)",
    "a*?",
    "1++",
    "(?i)",
    "(?-i)",
    "(?i:a)",
    "(?<n>a)",
    "\\k<n>",
    "\\2",
    "\\Qa.b\\E",
    "\\h",
    "[\\d-]",
    "[\\w.]",
    "\\x61",
    "\\A",
    "\\z",
    "\\K",
    "(?#c)",
    "[[:^alpha:]]",
    "\\N",
    "\\G",
];

#[test]
fn tables_answer_as_postmap_does() {
    if !present("tables_answer_as_postmap_does", &[Peer::Program("postmap")]) {
        return;
    }
    let mut postmap = Postmap::new();
    if !postmap.has("pcre") && !skip("tables_answer_as_postmap_does", "the package postfix-pcre") {
        return;
    }
    let given = std::env::var("PORTCULLIS_TABLES_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(SEED);
    aloud(&format!("tables_answer_as_postmap_does: PORTCULLIS_TABLES_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut differences = Vec::new();
    for kind in ["hash", "texthash", "cidr", "regexp", "pcre"] {
        for number in 0..30 {
            let path = postmap.directory.path().join(format!("{kind}{number}"));
            let text = table(kind, &mut random);
            write(&path, &text);
            if kind == "hash" {
                postmap.run(&[&format!("hash:{}", path.display())], &[]);
            }
            let name = format!("{kind}:{}", path.display());
            differences.extend(postmap.difference(&name, &keys(kind, &mut random), &text));
        }
    }
    for name in combinations(postmap.directory.path()) {
        differences.extend(postmap.difference(&name, &keys("combined", &mut random), ""));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(postmap.answers > 1_000, "only {} answers to compare", postmap.answers);
}

/// Tables of tables, and those that stand in the configuration alone.
fn combinations(directory: &Path) -> Vec<String> {
    let of = |kind: &str, number: usize| format!("{kind}:{}/{kind}{number}", directory.display());
    let mut names: Vec<String> = (0..10)
        .flat_map(|number| {
            let [hash, pcre, regexp] = ["texthash", "pcre", "regexp"].map(|kind| of(kind, number));
            [
                format!("unionmap:{{{hash}, {regexp}}}"),
                format!("unionmap:{{{pcre},{hash}}}"),
                format!("pipemap:{{{hash} {pcre}}}"),
                format!("pipemap:{{{regexp}, inline:{{OK=found, {{DUNNO = {{ not }} found}}}}}}"),
            ]
        })
        .collect();
    names.extend(
        ["static:OK", "static:{ REJECT  it }", "inline:{ a.example=1, {B.Example = 2  3}, a.example=4 }"]
            .map(String::from),
    );
    names.extend(["unionmap:{static:a, inline:{User@=b}, static:c}", "randmap:{one}"].map(String::from));
    names
}

/// The text of a table of a kind, and mistakes in it.
fn table(kind: &str, random: &mut Random) -> String {
    let mut text = String::from("# a table\n\n");
    for _ in 0..=random.below(8) {
        let value = random.pick(&VALUES);
        match kind {
            "hash" | "texthash" => {
                let value = value.replace("$$", "");
                let _ = writeln!(text, "{}\t{value}", random.pick(&NAMES));
            }
            "cidr" => row(&mut text, random.pick(&NETWORKS), &value.replace("$$", ""), random),
            kind => row(&mut text, &pattern(kind, random), value, random),
        }
        if random.one_in(9) {
            text.push_str(random.pick(&["# comment\n", "  continued\n", "\n", "alone\n", "endif\n"]));
        }
    }
    text
}

/// A row, negated or inside of an `if` now and then.
fn row(text: &mut String, pattern: &str, value: &str, random: &mut Random) {
    let not = if random.one_in(5) { "!" } else { "" };
    let _ = match random.below(8) {
        0 => writeln!(text, "if {not}{pattern}\n{pattern} inside {value}\nendif"),
        1 => writeln!(text, "if {not}{pattern}"),
        2 => writeln!(text, "endif"),
        3 => writeln!(text, "{not}{pattern}"),
        _ => writeln!(text, "{not}{pattern} {value}"),
    };
}

fn pattern(kind: &str, random: &mut Random) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(5) {
        pattern += if kind == "pcre" && random.one_in(2) { random.pick(&PERL_PARTS) } else { random.pick(&PARTS) };
    }
    let flags = match kind {
        "pcre" => random.pick(&["", "", "", "i", "x", "A", "U", "m", "s", "E", "q"]),
        _ => random.pick(&["", "", "", "i", "m", "x", "q", "!/b/"]),
    };
    let group = random.pick(&["", "", "got <$1> "]);
    // Which of several matches a group stands for, POSIX and we see differently.
    let group = if kind == "pcre" && !pattern.contains('ä') && !pattern.contains('.') { group } else { "" };
    format!("/{pattern}/{flags} {group}")
}

fn keys(kind: &str, random: &mut Random) -> Vec<String> {
    const SIGNS: [char; 14] = ['a', 'a', 'a', 'b', 'b', 'A', 'B', '1', '2', '.', '-', '@', '_', 'ä'];
    let fixed: &[&str] = if kind == "cidr" { &ADDRESSES } else { &NAMES };
    let mut keys: Vec<String> = fixed.iter().map(|key| (*key).to_owned()).collect();
    keys.extend((0..30).map(|_| (0..=random.below(8)).map(|_| random.pick(&SIGNS)).collect()));
    keys
}

/// The real one, with a main.cf of its own.
struct Postmap {
    directory: tempfile::TempDir,
    config: PathBuf,
    /// How often it has found a key.
    answers: usize,
}

impl Postmap {
    fn new() -> Self {
        let directory = Postfix::directory();
        let config = directory.path().join("etc");
        fs::create_dir(&config).unwrap();
        write(&config.join("main.cf"), "compatibility_level = 3.6\n");
        for name in ["dynamicmaps.cf", "dynamicmaps.cf.d"] {
            Command::new("cp").arg("-r").arg(Path::new("/etc/postfix").join(name)).arg(&config).status().unwrap();
        }
        Self { directory, config, answers: 0 }
    }

    /// Whether this Postfix knows tables of a kind: some come in packages of their own.
    fn has(&self, kind: &str) -> bool {
        let complaints = self.run(&["-q", "key", &format!("{kind}:/dev/null")], &[]).stderr;
        !String::from_utf8_lossy(&complaints).contains("unsupported dictionary type")
    }

    /// Where our table answers otherwise than its own, if anywhere.
    fn difference(&mut self, name: &str, keys: &[String], text: &str) -> Option<String> {
        let (answers, complaints) = self.ask(name, keys);
        self.answers += answers.len();
        let table = Table::open(name).unwrap();
        keys.iter().find_map(|key| {
            let found = table.find(key);
            let found = found.as_ref().map(|found| found.as_ref().map(|found| &*found.value));
            let expected = answers.iter().find(|(asked, _)| asked == key).map(|(_, answer)| answer.as_str());
            let warnings: Vec<String> = table.warnings().collect();
            (found != Ok(expected)).then(|| {
                format!(
                    "{name}\n{text}of {key:?} we say {found:?}, postmap {expected:?}\n{complaints}{}\n",
                    warnings.join("\n")
                )
            })
        })
    }

    /// What the table `name` says of each key that it knows.
    fn ask(&self, name: &str, keys: &[String]) -> (Vec<(String, String)>, String) {
        let output = self.run(&["-q", "-", name], keys);
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !complaints.contains("fatal: ") && !complaints.contains("unsupported dictionary"),
            "{name}: {complaints}"
        );
        let answers = String::from_utf8(output.stdout).unwrap();
        let pair = |line: &str| line.split_once('\t').map(|(key, value)| (key.to_owned(), value.to_owned()));
        (answers.lines().filter_map(pair).collect(), complaints)
    }

    fn run(&self, arguments: &[&str], input: &[String]) -> Output {
        let mut postmap = Command::new(program("postmap").expect("it is present"));
        postmap.arg("-c").arg(&self.config).args(arguments);
        let piped = postmap.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it is present");
        let mut stdin = child.stdin.take().unwrap();
        for line in input {
            writeln!(stdin, "{line}").unwrap();
        }
        drop(stdin);
        child.wait_with_output().unwrap()
    }
}

/// Writes a file that looks old: Postfix waits for one that has only just been written.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let before = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
}
