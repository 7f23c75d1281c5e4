//! Lists of restrictions, from the words that an administrator writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use dns::lists::DnsList;
use facts::closest;
use toml::Spanned;

use crate::Mistake;
use crate::config::ListConfig;
use crate::restriction::{Build, Entry, Kind, RESTRICTIONS, Restriction, Subject};
use crate::tables::Table;

/// Turns the lists of one configuration into restrictions; each table is loaded once.
pub(crate) struct Parser<'a> {
    lists: &'a BTreeMap<String, ListConfig>,
    tables: HashMap<String, Arc<Table>>,
    /// What must be mended before the start.
    pub(crate) mistakes: Vec<Mistake>,
    /// What the administrator should know.
    pub(crate) warnings: Vec<Mistake>,
}

/// What a restriction does, its row in the table of restrictions, and how it was written.
type Parsed = (Kind, &'static Entry, String);

/// One word of a list, and where it stands in the file.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
    quoted: &'a Spanned<String>,
}

impl Word<'_> {
    /// Where the word stands in the file; the whole string where escapes make that hard to say.
    fn span(&self) -> Option<Range<usize>> {
        let whole = self.quoted.span();
        let plain = whole.len() == self.quoted.get_ref().len() + 2;
        let start = whole.start + 1 + self.at;
        (!whole.is_empty()).then(|| if plain { start..start + self.text.len() } else { whole })
    }
}

impl<'a> Parser<'a> {
    pub(crate) fn new(lists: &'a BTreeMap<String, ListConfig>) -> Self {
        Self { lists, tables: HashMap::new(), mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// The restrictions of one list. `subject` says what a bare table is looked up with (Postfix: an access map
    /// without `check_…_access` before it); `None` where that has no meaning.
    pub(crate) fn list(&mut self, texts: &[Spanned<String>], subject: Option<Subject>) -> Vec<Restriction> {
        let mut words = texts.iter().flat_map(words).peekable();
        let mut restrictions = Vec::new();
        while let Some(word) = words.next() {
            let warn = word.text.eq_ignore_ascii_case("warn_if_reject");
            let Some(word) = (if warn { words.next() } else { Some(word) }) else {
                self.mistake(word, "warn_if_reject needs a restriction after it".into());
                break;
            };
            let parsed =
                if word.text.contains(':') { self.bare_table(word, subject) } else { self.named(word, &mut words) };
            let Some((kind, entry, text)) = parsed else { continue };
            let early = self.is_early(&kind);
            let text = if warn { format!("warn_if_reject {text}") } else { text };
            restrictions.push(Restriction { kind, entry, warn, text: kept(text), early });
        }
        restrictions
    }

    fn named<'w>(&mut self, word: Word<'_>, words: &mut impl Iterator<Item = Word<'w>>) -> Option<Parsed> {
        let Some(entry) = entry(word.text) else {
            self.mistake(word, unknown_restriction(word.text));
            return None;
        };
        if let Build::Plain(build) = entry.build {
            return Some((build(), entry, entry.name.to_owned()));
        }
        let Some(argument) = words.next() else {
            self.mistake(word, format!("{} needs {} after it", entry.name, entry.argument.described()));
            return None;
        };
        let kind = match entry.build {
            Build::Plain(build) => build(),
            Build::List(build) => build(self.dns_list(argument)?),
            Build::Table(subject) => Kind::CheckAccess(subject, self.table(argument)?),
        };
        Some((kind, entry, format!("{} {}", entry.name, argument.text)))
    }

    fn bare_table(&mut self, word: Word<'_>, subject: Option<Subject>) -> Option<Parsed> {
        let by_subject = |entry: &&Entry| matches!(entry.build, Build::Table(of) if Some(of) == subject);
        let (Some(subject), Some(entry)) = (subject, RESTRICTIONS.iter().find(by_subject)) else {
            let named = "check_client_access, check_helo_access, check_sender_access or check_recipient_access";
            self.mistake(word, format!("write {named} before a table here"));
            return None;
        };
        Some((Kind::CheckAccess(subject, self.table(word)?), entry, word.text.to_owned()))
    }

    fn dns_list(&mut self, argument: Word<'_>) -> Option<DnsList> {
        let mut list: DnsList = match argument.text.parse() {
            Ok(list) => list,
            Err(message) => {
                self.mistake(argument, message);
                return None;
            }
        };
        if let Some(since) = list.retired() {
            let message = format!("the DNS list {} was closed ({since}) and is not asked: remove it", list.zone);
            self.warnings.push(Mistake { span: argument.span(), message });
        }
        let configured = self.list_config(&list).and_then(|config| config.codes.as_ref());
        if let (None, Some(codes)) = (&list.codes, configured) {
            list.codes = self.codes(codes);
        }
        Some(list)
    }

    /// The codes of a `[lists]` section. A mistake in them is told once, where they stand.
    fn codes(&mut self, codes: &Spanned<String>) -> Option<dns::lists::AddressPattern> {
        codes
            .get_ref()
            .parse()
            .map_err(|message| self.mistakes.push(Mistake { span: Some(codes.span()), message }))
            .ok()
    }

    fn table(&mut self, argument: Word<'_>) -> Option<Arc<Table>> {
        if let Some(table) = self.tables.get(argument.text) {
            return Some(Arc::clone(table));
        }
        match Table::open(argument.text) {
            Ok(table) => {
                let warnings = table.warnings().chain(table.action_warnings());
                self.warnings.extend(warnings.map(|message| Mistake { span: argument.span(), message }));
                let table = Arc::new(table);
                self.tables.insert(argument.text.to_owned(), Arc::clone(&table));
                Some(table)
            }
            Err(message) => {
                self.mistake(argument, message);
                None
            }
        }
    }

    fn list_config(&self, list: &DnsList) -> Option<&'a ListConfig> {
        self.lists.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(&list.zone)).map(|(_, config)| config)
    }

    fn is_early(&self, kind: &Kind) -> bool {
        match kind {
            Kind::RejectRblClient(list) | Kind::RejectRhsbl(_, list) | Kind::PermitDnswlClient(list) => {
                self.list_config(list).is_none_or(|config| config.early)
            }
            _ => true,
        }
    }

    fn mistake(&mut self, word: Word<'_>, message: String) {
        self.mistakes.push(Mistake { span: word.span(), message });
    }
}

/// The one copy of `text` that lives as long as the program.
fn kept(text: String) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = texts.get(&*text) {
        return text;
    }
    let text: &'static str = text.leak();
    texts.insert(text);
    text
}

fn entry(name: &str) -> Option<&'static Entry> {
    RESTRICTIONS.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// Restrictions of Postfix and of the design that come with later versions.
const UNBUILT: &[&str] = &[
    "check_ccert_access",
    "check_etrn_access",
    "check_greylist",
    "check_policy_service",
    "check_reverse_client_hostname_access",
    "check_sasl_access",
    "check_spf",
    "defer_if_permit",
    "defer_if_reject",
    "permit_auth_destination",
    "permit_inet_interfaces",
    "permit_mx_backup",
    "permit_rhswl_client",
    "permit_tls_all_clientcerts",
    "permit_tls_clientcerts",
    "reject_authenticated_sender_login_mismatch",
    "reject_known_sender_login_mismatch",
    "reject_multi_recipient_bounce",
    "reject_plaintext_session",
    "reject_sender_login_mismatch",
    "reject_unauth_pipelining",
    "reject_unauthenticated_sender_login_mismatch",
    "reject_unknown_forward_client_hostname",
    "reject_unlisted_recipient",
    "reject_unlisted_sender",
    "reject_unverified_recipient",
    "reject_unverified_sender",
    "sleep",
];

fn unknown_restriction(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let by_server = ["_a_access", "_mx_access", "_ns_access"].iter().any(|end| lower.ends_with(end));
    if UNBUILT.contains(&&*lower) || lower.starts_with("check_") && by_server {
        return format!("{name} is not built yet in this version: leave it out");
    }
    match closest(name, RESTRICTIONS.iter().map(|entry| entry.name)) {
        Some(meant) => format!("unknown restriction \"{name}\": did you mean \"{meant}\"?"),
        None => format!("unknown restriction \"{name}\""),
    }
}

/// Words are parted by white space and commas outside of braces, as in main.cf.
fn words(quoted: &Spanned<String>) -> impl Iterator<Item = Word<'_>> {
    let mut rest = quoted.get_ref().as_str();
    let whole = rest.len();
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_separator);
        let mut depth = 0_usize;
        let end = rest.find(|c| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0 && is_separator(c)
        });
        let at = whole - rest.len();
        let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!text.is_empty()).then_some(Word { text, at, quoted })
    })
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}
