//! The command line: what may be typed, and the help that says so.

mod journal;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use dns::{Dns, Server, Zone};
use facts::{EmailAddress, Stage};
use store::AllowedName;

pub use journal::{JournalCommand, Search};

const EXAMPLES: &str = "\
Examples:
  portcullis serve
      Serve every configured door with the configuration that is found, or the built-in defaults.
  portcullis explain --client 203.0.113.9 --helo localhost \\
      --sender a@b.example --recipient c@example.com
      Decide one session and say why.
  portcullis config check
      Say what is wrong with the configuration, without touching the server that runs.

Exit status:
  0  done, and the answer is yes
  1  the answer is no: refused, for good or for now
  2  a mistake on the command line or in the configuration

The configuration is the file given by --config, else the one named by $PORTCULLIS_CONFIG, else \
/etc/portcullis/portcullis.toml, else the built-in defaults.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  portcullis explain --client 203.0.113.9 --helo localhost \\
      --sender a@b.example --recipient c@example.com
  portcullis explain --client 2001:db8::25 --sender '<>' --recipient postmaster@example.com --json
  portcullis explain --client 192.0.2.1 --client-name mx.example.net --dns-zone zone.db

Decided is what would be decided at RCPT, unless --stage or --etrn says otherwise. What is not given counts as not said yet: restrictions that look at it do \
not object. Names of the client that are not given are looked up. Explaining changes nothing; a server that runs is asked by its control socket what greylisting would say.

With --json, one object is printed for each recipient, each on a line of its own.

Exit status: 0 where every recipient is accepted, 1 where one is refused, for good or for now, 2 for a mistake.";

const GREYLIST_HELP: &str = "\
Examples:
  portcullis greylist list
      Everybody who waits, and who came back, those first that were not heard of for longest.
  portcullis greylist show a@b.example
      All that is known of whoever has this text in one of its names.
  portcullis greylist allow partner.example
      Never greylist clients and senders of a domain; with --remove no longer so.
  portcullis greylist forget a@b.example
      Let a sender wait anew, as if it had never come.

The server is reached by its control socket: control.socket in the configuration, else `control` in \
$RUNTIME_DIRECTORY or in the state directory, else /run/portcullis/control. Only root and the server's own user may make it forget and allow.

With --json, list and show print one object on a line for each entry.

Exit status: 0 done, 1 where nothing was found, 2 for a mistake, and where no server answers.";

/// The heading under which the help shows what every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Keeps spam and abuse out of a mail server, before a message is accepted.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// How a command ended, as its exit status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, and the answer is yes.
    Yes,
    /// The answer is no.
    No,
    /// A mistake on the command line or in the configuration.
    Mistake,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::SUCCESS,
            Answer::No => Self::from(1),
            Answer::Mistake => Self::from(2),
        }
    }
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The configuration to read
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Ask this DNS server instead of the configured ones
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "ADDR:PORT", value_parser = dns_server)]
    pub dns_server: Option<SocketAddr>,
    /// Answer DNS questions from this zone file (RFC 1035 master format) instead of asking anybody
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "dns_server")]
    pub dns_zone: Option<PathBuf>,
}

impl Global {
    /// The DNS to ask: the one named on the command line, else that of the configuration. To be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// A zone file that cannot be read, and settings that make no sense.
    pub fn dns(&self, settings: &dns::Settings) -> Result<Dns, dns::Error> {
        if let Some(file) = &self.dns_zone {
            return Ok(Dns::zone(Zone::read(file)?));
        }
        match self.dns_server {
            Some(server) => Dns::network(&dns::Settings { servers: vec![Server::Address(server)], ..settings.clone() }),
            None => Dns::network(settings),
        }
    }
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve every configured door until SIGTERM; SIGHUP reads the configuration anew
    Serve,
    /// Decide once, offline from any door, and show every finding with its evidence
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<Explain>),
    /// See what greylisting remembers in the server that runs, and make it forget
    #[command(subcommand, after_help = GREYLIST_HELP)]
    Greylist(GreylistCommand),
    /// See what was decided, and why: one decision by its id, the latest, those that are meant, how many
    #[command(subcommand, after_help = journal::HELP)]
    Journal(JournalCommand),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes this command line
    Completions {
        /// The shell it is for
        shell: Shell,
    },
    /// Print the manual page, or write one page for every command
    Man {
        /// Write the pages into this directory
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

/// What there is to do with what greylisting remembers.
#[derive(Debug, Subcommand)]
pub enum GreylistCommand {
    /// A line for each who waits, and for each who came back
    List {
        /// Only those with this text in their network, sender or recipient
        filter: Option<String>,
        /// Print one JSON object on a line for each
        #[arg(long)]
        json: bool,
    },
    /// Everything that is known of some
    Show {
        /// Those with this text in their network, sender or recipient
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        filter: String,
        /// Print one JSON object on a line for each
        #[arg(long)]
        json: bool,
    },
    /// Never greylist an address or a network of clients, a sender, or a domain of clients or senders with all below it
    ///
    /// It holds at once, on all hosts that share a store, until it is taken back. Longer lists belong into a file:
    /// `whitelist_clients` in the section [greylist].
    Allow {
        /// An address, a network, a domain, or user@domain
        name: AllowedName,
        /// Take it back
        #[arg(long)]
        remove: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Forget who has exactly this network, sender or recipient, and the client of this address, as `list` writes them
    Forget {
        /// The whole network, sender, recipient or address
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// How many wait, how many came back, and how long they took
    Stats {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What there is to do with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration would start, and what is odd about it
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of the configuration file: for editors, and for whoever writes one by program
    Schema {
        /// Print the manual's page of all keys instead
        #[arg(long)]
        markdown: bool,
    },
    /// Print the configuration in effect: every key with its value, as TOML that can be loaded again
    Show {
        /// Print it as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The session to explain.
#[derive(Debug, Args)]
pub struct Explain {
    /// The address of the client
    #[arg(long, value_name = "IP")]
    pub client: IpAddr,
    /// The client's verified name, or "unknown"; looked up where it is not given
    #[arg(long, value_name = "NAME")]
    pub client_name: Option<String>,
    /// The name that the client's PTR record gives, or "unknown"; looked up where it is not given
    #[arg(long, value_name = "NAME")]
    pub reverse_name: Option<String>,
    /// What the client says after HELO or EHLO
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    /// The sender; '<>' or '' is the null sender
    #[arg(long, value_name = "ADDRESS", value_parser = sender)]
    pub sender: Option<Sender>,
    /// A recipient; may be given several times, and each is decided
    #[arg(long, value_name = "ADDRESS", value_parser = recipient)]
    pub recipient: Vec<EmailAddress>,
    /// The user as whom the client has logged in
    #[arg(long, value_name = "USER")]
    pub sasl_user: Option<String>,
    /// Whether the session is encrypted; where it is not given, nobody objects to either
    #[arg(long, value_name = "HOW")]
    pub encryption: Option<Encryption>,
    /// The digest of the client's certificate, as Postfix writes it: AB:CD:...
    #[arg(long, value_name = "DIGEST")]
    pub ccert_fingerprint: Option<String>,
    /// The digest of the public key in that certificate
    #[arg(long, value_name = "DIGEST")]
    pub ccert_pubkey_fingerprint: Option<String>,
    /// The common name in that certificate; given only where Postfix trusts its issuer
    #[arg(long, value_name = "NAME", requires = "ccert_fingerprint")]
    pub ccert_subject: Option<String>,
    /// What the client says after ETRN; the etrn list speaks then
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["sender", "recipient", "stage"])]
    pub etrn: Option<String>,
    /// The command at which to decide. At DATA and after it there is one decision for all recipients
    #[arg(long, value_name = "STAGE", value_parser = stage(), default_value = "rcpt")]
    pub stage: Stage,
    /// Decide as if it were this time: 2026-03-01T12:00:00Z, or local time without the Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<SystemTime>,
    /// Print one JSON object for each recipient
    #[arg(long)]
    pub json: bool,
}

/// Whether a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encryption {
    /// Everybody on the way can read it.
    Plaintext,
    /// TLS.
    Tls,
}

/// A reverse path: `None` inside is the null sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub Option<EmailAddress>);

/// The stages of a mail, by their names in logs.
fn stage() -> impl TypedValueParser<Value = Stage> {
    const STAGES: [Stage; 6] = [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfData];
    let named = |name: String| STAGES.into_iter().find(|stage| stage.as_str() == name).unwrap_or(Stage::Rcpt);
    PossibleValuesParser::new(STAGES.map(Stage::as_str)).map(named)
}

fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let default_port = |address: IpAddr| SocketAddr::new(address, 53);
    text.parse()
        .or_else(|_| text.parse().map(default_port))
        .map_err(|_| "write an address and a port, like 127.0.0.1:53 or [::1]:53".into())
}

fn sender(text: &str) -> Result<Sender, String> {
    Ok(Sender(EmailAddress::new(bare(text))))
}

fn recipient(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::new(bare(text)).ok_or_else(|| "a recipient is an address, never empty".into())
}

/// An address as people copy it out of a log or a dialogue: `<a@b.example>`.
fn bare(text: &str) -> &str {
    text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text)
}

fn time(text: &str) -> anyhow::Result<SystemTime> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Ok(timestamp.into());
    }
    let local = |text: &str| text.parse::<jiff::civil::DateTime>()?.to_zoned(jiff::tz::TimeZone::system());
    Ok(local(text).context("write a time like 2026-03-01T12:00:00Z or 2026-03-01T12:00")?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn senders() {
        let given = |text| sender(text).unwrap().0.map(|address| address.to_string());
        assert_eq!(given(""), None);
        assert_eq!(given("<>"), None);
        assert_eq!(given("<a@b.example>"), Some("a@b.example".into()));
        assert_eq!(given("a@b.example"), Some("a@b.example".into()));
        assert!(recipient("<>").is_err());
    }

    #[test]
    fn servers_and_times() {
        assert_eq!(dns_server("127.0.0.1").unwrap().to_string(), "127.0.0.1:53");
        assert_eq!(dns_server("[::1]:5353").unwrap().to_string(), "[::1]:5353");
        assert!(dns_server("localhost:53").is_err());
        let noon = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
        assert_eq!(time("2026-03-01T12:00:00Z").unwrap(), noon);
        assert_eq!(time("2026-03-01T13:00:00+01:00").unwrap(), noon);
        assert!(time("2026-03-01T12:00").is_ok());
        assert!(time("yesterday").is_err());
    }
}
