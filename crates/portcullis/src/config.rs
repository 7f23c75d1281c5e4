//! The configuration: found, read, and put together from the sections of every crate.

mod error;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use doors::matrix::{self, Door};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, ValueDeserializer};

pub use error::{Mistake, Refused};

/// Read where neither the command line nor the environment names a file.
pub const DEFAULT_PATH: &str = "/etc/portcullis/portcullis.toml";

/// Bytes of a configuration file; no administrator writes more by hand.
const SIZE_MAX: u64 = 1 << 20;

/// Every key of the configuration: the judge's at the top, the other crates' each in its section.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Config {
    /// Who we are, the restrictions, the DNS lists.
    #[serde(flatten)]
    pub judge: judge::Config,
    /// How the DNS is asked.
    pub dns: dns::Settings,
    /// Where mail servers ask us.
    pub doors: Doors,
    /// What is remembered.
    pub store: store::Config,
    /// What was decided.
    pub journal: store::journal::Config,
    /// How the command line reaches the server that runs.
    pub control: crate::control::Config,
    /// What is told.
    pub log: crate::log::Config,
}

/// The section `[doors]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Doors {
    /// Postfix's `check_policy_service`.
    pub policy: doors::policy::Config,
    /// Postfix's and Sendmail's mail filters.
    pub milter: doors::milter::Config,
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file; `None` for the built-in defaults.
    pub path: Option<PathBuf>,
    /// The text of the file.
    pub text: String,
    /// What it says.
    pub config: Config,
}

/// Finds and reads the configuration: `given`, else `$PORTCULLIS_CONFIG`, else [`DEFAULT_PATH`], else the defaults.
///
/// # Errors
/// Everything that is wrong with the file. Only the file at [`DEFAULT_PATH`] may be missing.
pub fn load(given: Option<&Path>) -> Result<Loaded, Refused> {
    let named = || std::env::var_os("PORTCULLIS_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    let (path, must_exist) = match given.map(Path::to_owned).or_else(named) {
        Some(path) => (path, true),
        None => (DEFAULT_PATH.into(), false),
    };
    let refused = |text: String, mistakes| Refused { name: path.display().to_string(), text, mistakes };
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
            return Ok(Loaded { path: None, text: String::new(), config: Config::default().completed() });
        }
        Err(error) => {
            let mistake = Mistake::nowhere(format!("the configuration cannot be read: {error}"));
            return Err(refused(String::new(), vec![mistake]));
        }
    };
    match parse(&text) {
        Ok(config) => Ok(Loaded { path: Some(path), text, config: config.completed() }),
        Err(mistakes) => Err(refused(text, mistakes)),
    }
}

impl Config {
    /// With what the system knows in place of what nobody configured.
    fn completed(mut self) -> Self {
        if self.judge.hostname.is_empty() {
            let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname");
            self.judge.hostname = hostname.map_or_else(|_| "localhost".into(), |name| name.trim().to_owned());
        }
        self
    }

    /// Tells this configuration from others by what `config show` prints: the same everywhere, and for good.
    fn fingerprint(&self) -> u32 {
        store::journal::fingerprint(&toml::to_string(self).expect("a configuration is TOML"))
    }
}

impl Loaded {
    /// What it came from, for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "built-in defaults".into(), |path| path.display().to_string())
    }

    /// The same configuration, refused for `mistakes`.
    #[must_use]
    pub fn refused(&self, mistakes: Vec<Mistake>) -> Refused {
        Refused { name: self.name(), text: self.text.clone(), mistakes }
    }

    /// What the judge makes of it.
    ///
    /// # Errors
    /// Restrictions and tables that cannot be used, and a configuration that would relay for strangers.
    pub fn compile(&self) -> Result<judge::Settings, Refused> {
        let settings = judge::Settings::compile(&self.config.judge);
        let judged = settings.as_ref().err().into_iter().flatten();
        let judged = judged.map(|mistake| Mistake::of_judge(mistake, &self.text));
        let relay = settings.as_ref().ok().and_then(|settings| self.relay_mistake(settings));
        let others = [self.dns_mistake(), self.store_mistake(), self.journal_mistake(), relay];
        let mistakes: Vec<Mistake> = judged.chain(others.into_iter().flatten()).collect();
        let settings = settings.ok().filter(|_| mistakes.is_empty()).ok_or_else(|| self.refused(mistakes))?;
        Ok(settings.with_fingerprint(self.config.fingerprint()))
    }

    /// What is questionable in it, but no mistake: of `settings` compiled from it, and of what its doors cannot carry.
    #[must_use]
    pub fn warnings(&self, settings: &judge::Settings) -> Vec<Mistake> {
        let Doors { policy, milter } = &self.config.doors;
        let loops = matrix::loops(settings, &policy.listen);
        let of_doors = [
            ("policy", policy.listen.is_empty(), Door::Policy, loops),
            ("milter", milter.listen.is_empty(), Door::Milter, Vec::new()),
        ];
        let of_doors = of_doors.into_iter().flat_map(|(name, is_closed, door, loops)| {
            let warnings = if is_closed { Vec::new() } else { matrix::warnings(settings, door) };
            warnings.into_iter().chain(loops).map(move |warning| Mistake::nowhere(format!("{name} door: {warning}")))
        });
        let judged = settings.warnings().iter().map(|warning| Mistake::of_judge(warning, &self.text));
        judged.chain(of_doors).collect()
    }

    /// `OK` ends Postfix's list, and with it a relay control that stands after us there.
    fn relay_mistake(&self, settings: &judge::Settings) -> Option<Mistake> {
        let is_open = self.config.doors.policy.permit == doors::policy::Permit::Ok && !settings.controls_relay();
        let message = "strangers could relay mail through this host: permit = \"OK\" makes Postfix skip its own later \
                       restrictions, so that our relay or recipient list needs reject_unauth_destination";
        let span = error::span_of(&self.text, &["doors", "policy", "permit"]);
        is_open.then(|| Mistake { span, ..Mistake::nowhere(message) })
    }

    fn store_mistake(&self) -> Option<Mistake> {
        let error = self.config.store.check().err()?;
        let span = match error {
            store::Error::Setting { key, .. } => error::span_of(&self.text, &["store", key]),
            _ => None,
        };
        Some(Mistake { span, ..Mistake::nowhere(error.to_string()) })
    }

    fn journal_mistake(&self) -> Option<Mistake> {
        let error = self.config.journal.check().err()?;
        let span = match error {
            store::journal::Error::Setting { key, .. } => error::span_of(&self.text, &["journal", key]),
            _ => None,
        };
        Some(Mistake { span, ..Mistake::nowhere(error.to_string()) })
    }

    fn dns_mistake(&self) -> Option<Mistake> {
        let error = self.config.dns.check().err()?;
        let span = match error {
            dns::Error::Setting { key, .. } => error::span_of(&self.text, &["dns", key]),
            _ => None,
        };
        Some(Mistake { span, ..Mistake::nowhere(error.to_string()) })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {SIZE_MAX} bytes")));
    }
    Ok(text)
}

/// The configuration that `text` spells. Each section is read by itself, so that one mistake does not hide another's.
///
/// # Errors
/// All mistakes that can be told apart.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let defaults = toml::Table::try_from(Config::default()).expect("the default configuration is TOML");
    let top = DeTable::parse(text).map_err(|error| vec![Mistake::of_toml(&error, text, &defaults)])?;
    let mut reading = Reading { text, top, defaults, mistakes: Vec::new() };
    reading.refuse_unknown_keys();
    let config = Config {
        dns: reading.section("dns"),
        doors: reading.section("doors"),
        store: reading.section("store"),
        journal: reading.section("journal"),
        control: reading.section("control"),
        log: reading.section("log"),
        judge: reading.rest(),
    };
    reading.mistakes.sort_by_key(|mistake| mistake.span.as_ref().map(|span| span.start));
    if reading.mistakes.is_empty() { Ok(config) } else { Err(reading.mistakes) }
}

/// The keys at the top of a file that nobody has read yet, and what is wrong so far.
struct Reading<'a> {
    text: &'a str,
    top: Spanned<DeTable<'a>>,
    defaults: toml::Table,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    /// Takes out what no crate reads.
    fn refuse_unknown_keys(&mut self) {
        let Self { top, defaults, mistakes, .. } = self;
        let known: Vec<&str> = defaults.keys().map(String::as_str).collect();
        for (key, value) in std::mem::take(top.get_mut()) {
            if known.contains(&&**key.get_ref()) {
                top.get_mut().insert(key, value);
            } else {
                mistakes.push(Mistake::unknown_key(key.get_ref(), key.span(), &known, defaults));
            }
        }
    }

    /// What stands under `[name]`.
    fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let section = self.top.get_mut().remove(name);
        section.map_or_else(T::default, |section| self.read(T::deserialize(ValueDeserializer::from(section))))
    }

    /// What stands at the top, once the sections of the others are out.
    fn rest<T: DeserializeOwned + Default>(&mut self) -> T {
        let rest = std::mem::replace(&mut self.top, Spanned::new(0..0, DeTable::new()));
        self.read(T::deserialize(toml::Deserializer::from(rest)))
    }

    fn read<T: Default>(&mut self, result: Result<T, toml::de::Error>) -> T {
        result.unwrap_or_else(|error| {
            self.mistakes.push(Mistake::of_toml(&error, self.text, &self.defaults));
            T::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let shown = |config: &Config| toml::to_string(config).unwrap();
        assert_eq!(shown(&parse("").unwrap()), shown(&Config::default()));
    }

    #[test]
    fn no_text_breaks_the_complaint() {
        for text in [
            "\u{fffd}",
            "ä = \"ö\" é",
            "[ä]\n",
            "hostname = 'x\u{1b}[2J'\nhostname = 1",
            "[dns]\r\nserver = 1\r\n",
            "a = [",
        ] {
            let mistakes = parse(text).unwrap_err();
            let refused = Refused { name: "test.toml".into(), text: text.into(), mistakes };
            let told = refused.to_string();
            assert!(told.contains("test.toml:") && !told.contains('\u{1b}'), "{told}");
        }
    }
}
