use super::*;

fn table(syntax: Syntax, text: &str) -> Parsed<Rules> {
    parse(syntax, text.as_bytes()).unwrap()
}

fn answer(rules: &Rules, key: &str) -> Option<String> {
    rules.find(key, &Work::new()).unwrap().map(|found| found.value.into_owned())
}

/// Whether a pattern with its flags is found in a key; `None` if the pattern is left out.
fn is_found(syntax: Syntax, pattern: &str, key: &str) -> Option<bool> {
    let parsed = table(syntax, &format!("{pattern} yes"));
    let rules = parsed.rows;
    (!rules.rules.is_empty()).then(|| answer(&rules, key).is_some())
}

fn check(syntax: Syntax, cases: &[(&str, &[&str], &[&str])]) {
    for (pattern, inside, outside) in cases {
        for key in *inside {
            assert_eq!(is_found(syntax, pattern, key), Some(true), "{pattern} in {key:?}");
        }
        for key in *outside {
            assert_eq!(is_found(syntax, pattern, key), Some(false), "{pattern} in {key:?}");
        }
    }
}

#[test]
fn extended_and_basic_expressions() {
    check(
        Syntax::Regexp,
        &[
            ("/^a.c$/", &["abc", "AxC", "a/c"], &["abcd", "ac"]),
            ("/^abc$/i", &["abc"], &["ABC"]),
            ("|^a/c$|", &["a/c"], &["abc"]),
            (r"/^a\/c$/", &["a/c"], &["a\\/c"]),
            ("/^[[:alpha:]_-]+[0-9]{2,3}$/", &["a-_12", "A123"], &["a1", "1234", "a1234"]),
            ("/^[]a]+$/", &["]a]"], &["b"]),
            ("/^[^]a]+$/", &["bc"], &["]", "a"]),
            (r"/^[\d]$/", &["\\", "d"], &["1"]),
            ("/^[a&&b~~]+$/", &["a&b~"], &["c"]),
            ("/^[[.-.]x[=y=]]$/", &["-", "x", "y"], &["z"]),
            ("/^(a|bc|)d$/", &["ad", "bcd", "d"], &["bd"]),
            ("/^a)$/", &["a)"], &["a"]),
            (r"/^(.)(.)\2\1$/", &["abba", "AbBa"], &["abab"]),
            (r"/\bdsl\b/", &["a.dsl.b"], &["adsl.b"]),
            (r"/\<dsl\>/", &["a.dsl.b"], &["adsl.b"]),
            (r"/^\w+\W\s?\S+$/", &["a. b"], &["ab"]),
            (r"/^\d$/", &["d"], &["1"]),
            ("/^a{,2}$/", &["", "a", "aa"], &["aaa"]),
            ("/a^b/", &[], &["a^b", "ab"]),
            ("/^a**$/", &["aaa"], &["b"]),
            (r"/^a\(b\)*c\{1,2\}d\+e\?f\|g$/x", &["abbccddf", "xg"], &["acccdf"]),
            ("/^*a$/x", &["*a"], &["a"]),
            (r"/a\b**b$/x", &["a**b", "a*b"], &["ab", "a.b"]),
            (r"/^a(b)|c$/x", &["a(b)|c"], &["ab", "c"]),
            (r"/a^b$c/x", &["a^b$c"], &[]),
            ("/ä$/", &["ä", "ää"], &["a"]),
            ("/^.$/", &["a"], &["ä"]),
        ],
    );
}

#[test]
fn perl_expressions() {
    check(
        Syntax::Pcre,
        &[
            ("/^abc$/", &["abc", "ABC"], &["abcd"]),
            ("/^abc$/i", &["abc"], &["ABC"]),
            ("/^a.c$/", &["a\nc"], &[]),
            ("/^a.c$/s", &["abc"], &["a\nc"]),
            ("/^b$/m", &["a\nb\nc"], &["ab"]),
            ("/^a b # c$/x", &["ab"], &["a b"]),
            ("/^[ ]a$/x", &[" a"], &["a"]),
            ("/b/A", &["b", "bc"], &["ab"]),
            ("/^a$/EX", &["a"], &["b"]),
            (r"/^\d{1,3}(?:[.-]\d{1,3}){3}\./", &["192-0-2-1.a", "1.2.3.4.b"], &["1.2.3.a"]),
            (r"/^(?!mail\.)[^.]+\.example\.com$/", &["dsl.example.com"], &["mail.example.com", "example.com"]),
            (r"/(?<!mail|mx)\d+\.example$/", &["host7.example", "mx17.example"], &["mail7.example", "mx7.example"]),
            (r"/(?<=dyn|dhcp)\d/", &["dyn1", "dhcp1"], &["1", "host1"]),
            (r"/(?=.*a)(?=.*b)^.{2}$/", &["ab", "ba"], &["aa", "abc"]),
            (r"/^(.)(?<x>.)\2\1\k<x>(?P=x)\g{-1}\g1$/", &["abbabbba"], &["abbabbbb"]),
            (r"/^(?:\k<x>c|(?<x>.)b)+$/", &["abac"], &["abbc", "ac"]),
            (r"/^(a+)+b$/", &["aab"], &["aac"]),
            ("/^a++ab/", &[], &["aaab"]),
            ("/^(?>a|ab)c$/", &["ac"], &["abc"]),
            ("/^(?:a|b)*+c/", &["ababc"], &["abd"]),
            (r"/^\Qa.b*\E+c$/", &["a.b**c"], &["axb*c"]),
            ("/^[[:^digit:]\\d]$/", &["1", "a"], &[]),
            (r"/^[\w.-]+$/", &["a_b.c-d"], &["a b"]),
            ("/^[]-a]+$/", &["]^_`a"], &["b"]),
            ("/^[[]a]$/", &["[a]"], &["a"]),
            ("/^[a&&b]+$/", &["a&b"], &["c"]),
            (r"/^\x41\x{42}\103\cA\e\0$/", &["abc\u{1}\u{1b}\0"], &[]),
            (r"/^a{,2}$/", &["a{,2}"], &["aa"]),
            ("/^a{b}$/", &["a{b}"], &[]),
            (r"/^\<a\>$/", &["<a>"], &["a"]),
            (r"/^a(?i)b(?-i)c(?i:d)e$/i", &["abcde", "aBcDe"], &["abCde", "abcdE"]),
            ("/^(a(?i)b|c)d$/i", &["aBd", "Cd"], &["aBD"]),
            ("/^(?#no)a(?^)b$/", &["Ab"], &["AB"]),
            (r"/^\h\H\R\N\v$/", &["\tx\r\ny\n"], &[]),
            (r"/^(a)?b\1$/", &["aba"], &["b"]),
            (r"/^(a?)*b$/", &["aab", "b"], &["c"]),
            (r"/^(?=(a))b|\1c$/", &[], &["c", "ac"]),
            (r"/^ä+$/", &["ä"], &["ää", "a"]),
            (r"/a\Kb\z/", &["ab"], &["abc"]),
        ],
    );
}

#[test]
fn patterns_that_are_none() {
    use Syntax::{Pcre, Regexp};
    for (syntax, pattern, complaint) in [
        (Regexp, "/(/", "unmatched ("),
        (Regexp, r"/a\)/x", "unmatched )"),
        (Regexp, "/[a/", "unmatched ["),
        (Regexp, "/[[:alfa:]]/", "no class [:alfa:]"),
        (Regexp, "/[b-a]/", "range ends"),
        (Regexp, "/*a/", "nothing before it"),
        (Regexp, "/^*/", "nothing before it"),
        (Regexp, "/a{2,1}/", "ends before it begins"),
        (Regexp, "/a{1/", "interval"),
        (Regexp, "/a{99999}/", "larger than 32767"),
        (Regexp, r"/(a\1)/", "no group before it"),
        (Regexp, r"/(a)|()\1/", "no group before it"),
        (Regexp, "/a**/x", "repetition of a repetition"),
        (Regexp, "/a/s", "unknown flag \"s\""),
        (Pcre, "/(/", "missing closing parenthesis"),
        (Pcre, "/a)/", "unmatched closing"),
        (Pcre, "/[a/", "missing terminating ]"),
        (Pcre, "/[b-a]/", "invalid range"),
        (Pcre, r"/[a-\d]/", "invalid range"),
        (Pcre, "/a**/", "does not follow"),
        (Pcre, "/{2}/", "does not follow"),
        (Pcre, "/a{2,1}/", "out of order"),
        (Pcre, "/(?<=a+)b/", "not fixed length"),
        (Pcre, r"/(a)\2/", "no group 2"),
        (Pcre, r"/\k<x>/", "no group x"),
        (Pcre, "/(?R)/", "not carried"),
        (Pcre, "/(*ACCEPT)/", "not carried"),
        (Pcre, r"/\p{L}/", "not carried"),
        (Pcre, "/(?<1>a)/", "name"),
        (Pcre, "/a/q", "unknown flag \"q\""),
        (Pcre, "/a/!/b/", "unknown flag \"!\""),
        (Pcre, "/a", "no closing"),
        (Pcre, r"/a\/", "no closing"),
        (Pcre, "a", "a row begins with"),
    ] {
        let parsed = table(syntax, &format!("{pattern}\tyes"));
        let complaints = parsed.complaints.of("pcre:/x").join("\n");
        assert!(parsed.rows.rules.is_empty(), "{pattern}");
        assert!(complaints.contains(complaint), "{pattern}: {complaints}");
    }
}

#[test]
fn rows_negations_and_conditions() {
    let rules = table(
        Syntax::Regexp,
        "/^(.*)@old\\.example$/ REDIRECT $1@new.example\n/a/!/b/ a without b\nif /^x/\nif !/y$/\n!/z/ x without y or z\nendif\n/^x(.)/ got $$(${1})\nENDIF\n",
    )
    .rows;
    for (key, expected) in [
        ("Me@old.example", Some("REDIRECT Me@new.example")),
        ("a", Some("a without b")),
        ("ab", None),
        ("x", Some("x without y or z")),
        ("xz", Some("got $(z)")),
        ("xy", Some("got $(y)")),
        ("y", None),
    ] {
        assert_eq!(answer(&rules, key).as_deref(), expected, "{key}");
    }
}

#[test]
fn sizes_have_limits() {
    for (pattern, complaint) in [
        ("/(((a{500}){500}){500}){500}/".to_owned(), "too large"),
        ("/(?=((a{500}){500}){500})/".to_owned(), "too large"),
        ("/(?:(?:(?=){65535}){65535}){65535}/".to_owned(), "too large"),
        ("/[ab]*a[ab]{1100}/".to_owned(), "too large: "),
        (format!("/{}a{}/", "(".repeat(101), ")".repeat(101)), "more than 100 groups"),
    ] {
        let parsed = table(Syntax::Pcre, &format!("{pattern} yes"));
        let complaints = parsed.complaints.of("pcre:/x").join("\n");
        assert!(parsed.rows.rules.is_empty() && complaints.contains(complaint), "{complaints}");
    }
    let deep = format!("/{}a{}/ yes", "(".repeat(100), ")**********".repeat(100));
    assert_eq!(answer(&table(Syntax::Regexp, &deep).rows, "a").as_deref(), Some("yes"));
    let many = "/a/ b\n".repeat(RULES_MAX + 1);
    assert!(parse(Syntax::Pcre, many.as_bytes()).is_err_and(|error| error.contains("more than 5000 patterns")));
}

#[test]
fn a_lookup_has_a_budget() {
    let long = "a".repeat(8192);
    for text in [
        // By backtracking, and one after another.
        "/^(?=(a+)+b)/ never\n".to_owned(),
        "/(?=a*a*a*a*b)/ never\n".to_owned(),
        // By simulation: too large for an automaton.
        "/a[ab]{300}c/ never\n".to_owned(),
        // By automata, one after another.
        "/b$/ never\n".repeat(1000),
    ] {
        let parsed = table(Syntax::Pcre, &text);
        assert!(!parsed.rows.rules.is_empty());
        let spent = parsed.rows.find(&long, &Work::new());
        assert!(matches!(spent, Err(Unavailable::Work(_))), "{}", &text[..20]);
        assert_eq!(parsed.rows.find("a.example", &Work::new()), Ok(None));
    }
}
