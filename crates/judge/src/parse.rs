//! Lists of restrictions, from the words that an administrator writes.

mod access;
mod policy_service;
mod words;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dns::lists::DnsList;
use facts::{closest, kept};
use toml::Spanned;

use crate::config::{Config, ListConfig, Texts};
use crate::macros::expand;
use crate::place::{Mistake, Place};
use crate::restriction::{Access, Build, Entry, Kind, RENAMED, RESTRICTIONS, RETIRED, Restriction, Subject};
use crate::restrictions::rbl_reply;
use crate::tables::{Table, WELCOME_TYPES};
use words::{Word, words};

/// The most restrictions of one list, those of its classes counted.
const RESTRICTIONS_MAX: usize = 1000;

/// Tables by their names.
pub(crate) type Tables = HashMap<String, Arc<Table>>;

/// Turns the lists of one configuration into restrictions; each table is loaded once.
pub(crate) struct Parser<'a> {
    config: &'a Config,
    known: Tables,
    /// The tables that are in use.
    pub(crate) tables: Tables,
    /// The restriction classes that are being parsed, each inside of the one before.
    open: Vec<&'a str>,
    accesses: HashMap<(String, Subject), Arc<Access>>,
    /// The access tables whose rows are being parsed, each inside of the one before.
    open_accesses: Vec<(String, Subject)>,
    /// What must be mended before the start.
    pub(crate) mistakes: Vec<Mistake>,
    /// What the administrator should know.
    pub(crate) warnings: Vec<Mistake>,
}

/// What a restriction does, its row in the table of restrictions, and how it was written.
type Parsed = (Kind, &'static Entry, String);

impl<'a> Parser<'a> {
    /// `known`: tables that need not be opened, by their names.
    pub(crate) fn new(config: &'a Config, known: Tables) -> Self {
        Self {
            config,
            known,
            tables: Tables::new(),
            open: Vec::new(),
            accesses: HashMap::new(),
            open_accesses: Vec::new(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The restrictions of one list. `subject` says what a bare table is looked up with (Postfix: an access map
    /// without `check_…_access` before it); `None` where that has no meaning.
    pub(crate) fn list(&mut self, texts: &Texts, subject: Option<Subject>) -> Vec<Restriction> {
        let mut restrictions = Vec::new();
        let words = self.words(texts);
        self.append(words, subject, false, &mut restrictions);
        restrictions
    }

    /// Appends the restrictions of a list or of a class, all as if after `warn_if_reject` if `warn`.
    fn append(&mut self, words: Vec<Word>, subject: Option<Subject>, warn: bool, out: &mut Vec<Restriction>) {
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let warns = word.text.eq_ignore_ascii_case("warn_if_reject");
            let Some(word) = (if warns { words.next() } else { Some(word.clone()) }) else {
                self.mistake(&word, "warn_if_reject needs a restriction after it".into());
                break;
            };
            let warn = warn || warns;
            if let Some((name, texts)) = self.config.restrictions.classes.get_key_value(&word.text) {
                self.append_class(name, texts, &word, subject, warn, out);
                continue;
            }
            let parsed =
                if word.text.contains(':') { self.bare_table(&word, subject) } else { self.named(&word, &mut words) };
            let Some((kind, entry, text)) = parsed else { continue };
            let early = self.is_early(&kind);
            let text = if warn { format!("warn_if_reject {text}") } else { text };
            out.push(Restriction { kind, entry, warn, text: kept(&text), early });
        }
    }

    /// A restriction class stands for its restrictions: what permits in it ends the list that names it.
    fn append_class(
        &mut self,
        name: &'a str,
        texts: &Texts,
        word: &Word,
        subject: Option<Subject>,
        warn: bool,
        out: &mut Vec<Restriction>,
    ) {
        if self.open.contains(&name) {
            return self.mistake(word, format!("the restriction class {name} leads back to itself"));
        }
        if out.len() > RESTRICTIONS_MAX {
            return self.mistake(word, format!("a list of more than {RESTRICTIONS_MAX} restrictions"));
        }
        self.open.push(name);
        let words = self.words(texts);
        self.append(words, subject, warn, out);
        self.open.pop();
    }

    /// The words of a list, with what `$name` stands for; none of them where that cannot be said of one.
    fn words(&mut self, texts: &Texts) -> Vec<Word> {
        let mut expanded = Vec::new();
        for word in texts.iter().flat_map(words) {
            if !word.text.contains('$') {
                expanded.push(word);
                continue;
            }
            match expand(&word.text, true, &|name| self.parameter(name)) {
                Ok(text) => {
                    let parts = words(&Spanned::new(0..0, text));
                    expanded.extend(parts.into_iter().map(|part| Word { place: word.place.clone(), ..part }));
                }
                Err(message) => {
                    let hint = "lists know their own names, those in [restrictions.classes], myhostname, mydomain, \
                                config_directory and default_database_type";
                    self.mistake(&word, format!("{message}: {hint}"));
                    return Vec::new();
                }
            }
        }
        expanded
    }

    /// The value of a parameter of main.cf, as far as lists of restrictions refer to such.
    fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let Config { hostname, restrictions, .. } = self.config;
        if let Some(texts) = restrictions.classes.get(name).or_else(|| restrictions.list_of_postfix(name)) {
            return Some(texts.joined().into());
        }
        Some(match name {
            "myhostname" => hostname.into(),
            "mydomain" => hostname.split_once('.').map_or("localdomain", |(_, domain)| domain).into(),
            "config_directory" => "/etc/postfix".into(),
            "default_database_type" => "hash".into(),
            _ => return None,
        })
    }

    fn named(&mut self, word: &Word, words: &mut impl Iterator<Item = Word>) -> Option<Parsed> {
        let Some(entry) = self.entry(word) else {
            self.mistake(word, self.unknown_restriction(&word.text));
            return None;
        };
        if let Build::Plain(build) = entry.build {
            let kind = build();
            if let Kind::Silent(why) = kind {
                self.warning(word, format!("{} never objects here: {why}", entry.name));
            }
            return Some((kind, entry, entry.name.to_owned()));
        }
        let Some(argument) = words.next() else {
            self.mistake(word, format!("{} needs {} after it", entry.name, entry.argument.described()));
            return None;
        };
        let kind = match entry.build {
            Build::Plain(build) => build(),
            Build::List(build) => build(self.dns_list(&argument)?),
            Build::Table(subject) => Kind::CheckAccess(subject, self.access(&argument, subject)?),
            Build::ServerTable(subject, servers) => {
                Kind::CheckServerAccess(subject, servers, self.access(&argument, subject)?)
            }
            Build::PolicyService => Kind::CheckPolicyService(self.policy_service(&argument)?),
            Build::Sleep => Kind::Sleep(self.seconds(&argument)?),
        };
        Some((kind, entry, format!("{} {}", entry.name, argument.text)))
    }

    fn seconds(&mut self, argument: &Word) -> Option<Duration> {
        let seconds = argument.text.parse().map(Duration::from_secs);
        let mistake = |_| self.mistake(argument, format!("sleep needs a number of seconds, not \"{}\"", argument.text));
        seconds.map_err(mistake).ok()
    }

    /// The row of the table of restrictions that `word` names, under its name of today or an older one.
    fn entry(&mut self, word: &Word) -> Option<&'static Entry> {
        let entry = |name: &str| RESTRICTIONS.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
        let renamed = || RENAMED.iter().find(|(old, _)| old.eq_ignore_ascii_case(&word.text));
        entry(&word.text).or_else(|| {
            let (old, name) = renamed()?;
            self.warning(word, format!("{old} is an old name: write {name}"));
            entry(name)
        })
    }

    fn bare_table(&mut self, word: &Word, subject: Option<Subject>) -> Option<Parsed> {
        let by_subject = |entry: &&Entry| matches!(entry.build, Build::Table(of) if Some(of) == subject);
        let (Some(subject), Some(entry)) = (subject, RESTRICTIONS.iter().find(by_subject)) else {
            let named = "check_client_access, check_helo_access, check_sender_access or check_recipient_access";
            self.mistake(word, format!("write {named} before a table here"));
            return None;
        };
        Some((Kind::CheckAccess(subject, self.access(word, subject)?), entry, word.text.clone()))
    }

    fn dns_list(&mut self, argument: &Word) -> Option<DnsList> {
        let mut list: DnsList = match argument.text.parse() {
            Ok(list) => list,
            Err(message) => {
                self.mistake(argument, message);
                return None;
            }
        };
        if let Some(since) = list.retired() {
            let message = format!("the DNS list {} was closed ({since}) and is not asked: remove it", list.zone);
            self.warning(argument, message);
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
            .map_err(|message| self.mistakes.push(Mistake { place: Place::of(codes.span()), message }))
            .ok()
    }

    /// The tables that `texts` name.
    pub(crate) fn maps(&mut self, texts: &Texts) -> Vec<Arc<Table>> {
        self.words(texts).iter().filter_map(|word| self.table(word)).collect()
    }

    /// The lists of greylisting in the files that `texts` name, `kind` being the type of such a table.
    pub(crate) fn welcome_lists(&mut self, kind: &str, texts: &Texts) -> Vec<Arc<Table>> {
        let words = self.words(texts).into_iter().map(|word| Word { text: format!("{kind}:{}", word.text), ..word });
        words.collect::<Vec<_>>().iter().filter_map(|word| self.opened(word)).collect()
    }

    /// The DNS lists that `texts` name.
    pub(crate) fn dns_lists(&mut self, texts: &Texts) -> Vec<DnsList> {
        self.words(texts).iter().filter_map(|word| self.dns_list(word)).collect()
    }

    /// Checks the reply for what a DNS list lists.
    pub(crate) fn rbl_reply(&mut self, template: &Spanned<String>) {
        if let Err(message) = rbl_reply::check(template.get_ref()) {
            self.mistakes.push(Mistake { place: Place::of(template.span()), message });
        }
    }

    /// A table that restrictions look things up in.
    fn table(&mut self, argument: &Word) -> Option<Arc<Table>> {
        if let Some(kind) = WELCOME_TYPES.iter().find(|kind| argument.text.starts_with(&format!("{kind}:"))) {
            self.mistake(argument, format!("{kind} is a key of [greylist], no type of table"));
            return None;
        }
        self.opened(argument)
    }

    /// A table or a list. What is wrong with its rows is told once.
    fn opened(&mut self, argument: &Word) -> Option<Arc<Table>> {
        if let Some(table) = self.tables.get(&argument.text) {
            return Some(Arc::clone(table));
        }
        let known = self.known.remove(&argument.text);
        match known.map_or_else(|| Table::open(&argument.text).map(Arc::new), Ok) {
            Ok(table) => {
                self.warnings
                    .extend(table.warnings().map(|message| Mistake { place: argument.place.clone(), message }));
                self.tables.insert(argument.text.clone(), Arc::clone(&table));
                Some(table)
            }
            Err(message) => {
                self.mistake(argument, message);
                None
            }
        }
    }

    fn list_config(&self, list: &DnsList) -> Option<&'a ListConfig> {
        self.config.lists.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(&list.zone)).map(|(_, config)| config)
    }

    fn is_early(&self, kind: &Kind) -> bool {
        match kind {
            Kind::RejectRblClient(list)
            | Kind::RejectRhsbl(_, list)
            | Kind::PermitDnswlClient(list)
            | Kind::PermitRhswlClient(list) => self.list_config(list).is_none_or(|config| config.early),
            Kind::CheckGreylist | Kind::CheckPolicyService(_) | Kind::Sleep(_) => false,
            _ => true,
        }
    }

    fn unknown_restriction(&self, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        if UNBUILT.contains(&&*lower) {
            return format!("{name} is not built yet in this version: leave it out");
        }
        if let Some((_, instead)) = RETIRED.iter().find(|(retired, _)| *retired == lower) {
            return format!("{name} is retired: write {instead}");
        }
        let classes = self.config.restrictions.classes.keys().map(String::as_str);
        match closest(name, RESTRICTIONS.iter().map(|entry| entry.name).chain(classes)) {
            Some(meant) => format!("unknown restriction \"{name}\": did you mean \"{meant}\"?"),
            None => format!("unknown restriction \"{name}\""),
        }
    }

    fn mistake(&mut self, word: &Word, message: String) {
        self.mistakes.push(Mistake { place: word.place.clone(), message });
    }

    fn warning(&mut self, word: &Word, message: String) {
        self.warnings.push(Mistake { place: word.place.clone(), message });
    }
}

/// Restrictions of the design that come with later versions.
const UNBUILT: &[&str] = &["check_spf"];
