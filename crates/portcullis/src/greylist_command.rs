//! `portcullis greylist`: what the server that runs remembers of strangers, told and forgotten.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use doors::ascii_json;
use facts::duration;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Allowed, AllowedName, Cursor, ListedClient, ListedTriplet, Page, Stats};

use crate::cli::{Answer, Global, GreylistCommand};
use crate::config;
use crate::control::{Client, Request};
use crate::story::{SECONDS, local};
use crate::visible::visible;

/// Asks the server that has the control socket of the configuration.
///
/// # Errors
/// A configuration that is refused, a server that does not answer or refuses, and output that cannot be written.
pub fn run(global: &Global, command: &GreylistCommand) -> anyhow::Result<Answer> {
    let loaded = config::load(global.config.as_deref())?;
    let server = Client::find(&loaded.config.control)?;
    let mut out = anstream::stdout().lock();
    match command {
        GreylistCommand::List { filter, json } => {
            let told: fn(&Entry, &mut dyn Write) -> anyhow::Result<()> =
                if *json { tell_json } else { Entry::tell_line };
            each(&server, filter.as_deref().unwrap_or_default(), |entry| told(&entry, &mut out))
        }
        GreylistCommand::Show { filter, json } => {
            let told: fn(&Entry, &mut dyn Write) -> anyhow::Result<()> =
                if *json { tell_json } else { Entry::tell_whole };
            each(&server, filter, |entry| told(&entry, &mut out))
        }
        GreylistCommand::Allow { name, remove, json } => allow(&server, name, *remove, *json, &mut out),
        GreylistCommand::Forget { name, json } => forget(&server, name, *json, &mut out),
        GreylistCommand::Stats { json } => {
            let stats: Stats = server.ask(&Request::Stats)?;
            if *json {
                tell_json(&Told::new(&stats), &mut out)?
            } else {
                tell_stats(&stats, &mut out)?
            }
            Ok(Answer::Yes)
        }
    }
}

fn allow(server: &Client, name: &AllowedName, remove: bool, json: bool, out: &mut dyn Write) -> anyhow::Result<Answer> {
    let changed: bool = server.ask(&Request::Allow { name: name.clone(), remove })?;
    let said = match (remove, changed) {
        (false, true) => "is never greylisted from now on",
        (false, false) => "was allowed already",
        (true, true) => "is no longer allowed",
        (true, false) => "was not allowed",
    };
    if json {
        writeln!(out, "{{\"changed\":{changed}}}")?;
    } else {
        writeln!(out, "{} {said}", visible(name.as_str()))?;
    }
    Ok(if remove && !changed { Answer::No } else { Answer::Yes })
}

fn forget(server: &Client, name: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<Answer> {
    let forgotten: u64 = server.ask(&Request::Forget { name: name.to_owned() })?;
    if json {
        writeln!(out, "{{\"forgotten\":{forgotten}}}")?;
    } else {
        let entries = if forgotten == 1 { "entry" } else { "entries" };
        writeln!(out, "forgot {forgotten} {entries} of {}", visible(name))?;
    }
    Ok(if forgotten == 0 { Answer::No } else { Answer::Yes })
}

/// Gives each name that is allowed, each triplet and each client that is meant to `tell`, as they come. Whether there was
/// one.
fn each(server: &Client, filter: &str, mut tell: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<Answer> {
    let mut answer = Answer::No;
    let mut found = |entry: anyhow::Result<Entry>| {
        answer = Answer::Yes;
        tell(entry?)
    };
    let allowed: Vec<Allowed> = server.ask(&Request::Allowed)?;
    let meant = allowed.into_iter().filter(|allowed| allowed.name.as_str().contains(&filter.to_ascii_lowercase()));
    meant.map(Entry::of_allowed).try_for_each(&mut found)?;
    let filter = || filter.to_owned();
    let triplets = |after| Request::Triplets { filter: filter(), after };
    pages(server, triplets, |triplet| found(Entry::of_triplet(triplet)))?;
    let clients = |after| Request::Clients { filter: filter(), after };
    pages(server, clients, |client| found(Entry::of_client(client)))?;
    Ok(answer)
}

fn pages<T: DeserializeOwned>(
    server: &Client,
    request: impl Fn(Option<Cursor>) -> Request,
    mut tell: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page: Page<T> = server.ask(&request(after))?;
        page.entries.into_iter().try_for_each(&mut tell)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// What `--json` prints for each. Where only a hash is kept, the names are empty.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    Triplet { network: String, sender: String, recipient: String, first: Timestamp, last: Timestamp, passed: bool },
    Client { address: String, count: u32, last: Timestamp },
    Allowed { name: String, since: Timestamp },
}

impl Entry {
    fn of_triplet(listed: ListedTriplet) -> anyhow::Result<Self> {
        let ListedTriplet { network, sender, recipient, first, last, passed } = listed;
        Ok(Self::Triplet { network, sender, recipient, first: first.try_into()?, last: last.try_into()?, passed })
    }

    fn of_client(ListedClient { address, count, last }: ListedClient) -> anyhow::Result<Self> {
        Ok(Self::Client { address, count, last: last.try_into()? })
    }

    fn of_allowed(Allowed { name, since }: Allowed) -> anyhow::Result<Self> {
        Ok(Self::Allowed { name: name.into(), since: since.try_into()? })
    }

    /// Who it is.
    fn who(&self) -> Cow<'_, str> {
        match self {
            Self::Triplet { network, .. } if network.is_empty() => "(only a hash is kept)".into(),
            Self::Client { address, .. } if address.is_empty() => "(only a hash is kept)".into(),
            Self::Triplet { network, sender, recipient, .. } => {
                let sender = if sender.is_empty() { "<>" } else { sender };
                format!("{}  {} -> {}", visible(network), visible(sender), visible(recipient)).into()
            }
            Self::Client { address: name, .. } | Self::Allowed { name, .. } => visible(name),
        }
    }

    fn tell_line(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let who = self.who();
        Ok(match self {
            Self::Triplet { first, passed: false, .. } => {
                writeln!(out, "waits since      {}  {who}", local(*first, SECONDS))
            }
            Self::Triplet { last, passed: true, .. } => {
                writeln!(out, "came back, last  {}  {who}", local(*last, SECONDS))
            }
            Self::Client { count, last, .. } => {
                writeln!(out, "client, last     {}  {who}  came back {}", local(*last, SECONDS), times(*count))
            }
            Self::Allowed { since, .. } => writeln!(out, "allowed since    {}  {who}", local(*since, SECONDS)),
        }?)
    }

    fn tell_whole(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "{}", self.who())?;
        Ok(match self {
            Self::Triplet { first, last, passed, .. } => {
                let state =
                    if *passed { "came back: its mail passes" } else { "waits: has not come back in time so far" };
                writeln!(
                    out,
                    "  {state}\n  first try  {}\n  last try   {}",
                    local(*first, SECONDS),
                    local(*last, SECONDS)
                )
            }
            Self::Client { count, last, .. } => {
                writeln!(out, "  client that came back {}\n  last       {}", times(*count), local(*last, SECONDS))
            }
            Self::Allowed { since, .. } => {
                writeln!(out, "  is never greylisted\n  since      {}", local(*since, SECONDS))
            }
        }?)
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// What `stats --json` prints.
#[derive(Debug, Serialize)]
struct Told {
    triplets_waiting: u64,
    triplets_passed: u64,
    clients: u64,
    allowed: u64,
    correspondents: u64,
    unwritten: u64,
    file_size: u64,
    waits: Vec<Wait>,
}

/// How many had waited less than this, and no less than the step before; the last has no bound.
#[derive(Debug, Serialize)]
struct Wait {
    below_seconds: Option<u64>,
    count: u64,
}

impl Told {
    fn new(stats: &Stats) -> Self {
        let &Stats {
            triplets_waiting,
            triplets_passed,
            clients,
            allowed,
            correspondents,
            unwritten,
            file_size,
            ref waits,
        } = stats;
        let wait =
            |&(below, count): &(Option<Duration>, u64)| Wait { below_seconds: below.map(|b| b.as_secs()), count };
        let waits = waits.iter().map(wait).collect();
        Self { triplets_waiting, triplets_passed, clients, allowed, correspondents, unwritten, file_size, waits }
    }
}

fn tell_stats(stats: &Stats, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{:>12}  triplets wait", stats.triplets_waiting)?;
    writeln!(out, "{:>12}  triplets came back", stats.triplets_passed)?;
    writeln!(out, "{:>12}  clients came back", stats.clients)?;
    writeln!(out, "{:>12}  names are allowed", stats.allowed)?;
    writeln!(out, "{:>12}  addresses were written to by our own users", stats.correspondents)?;
    if stats.unwritten > 0 {
        writeln!(out, "{:>12}  changes wait to be written, and are not counted here", stats.unwritten)?;
    }
    if stats.file_size > 0 {
        writeln!(out, "{:>12}  octets of the file", stats.file_size)?;
    }
    let all: u64 = stats.waits.iter().map(|(_, count)| count).sum();
    writeln!(out, "\nWhoever came back had waited")?;
    for (below, count) in &stats.waits {
        let step = below.map_or_else(|| "longer".into(), |below| format!("less than {}", duration::format(below)));
        let percent = (count * 100).checked_div(all).unwrap_or(0);
        writeln!(out, "  {step:<14}{count:>10}{percent:>5} %")?;
    }
    Ok(())
}

/// One object on a line, in ASCII, so that no stranger's octet reaches a terminal as it is.
fn tell_json<T: Serialize>(told: &T, out: &mut dyn Write) -> anyhow::Result<()> {
    Ok(writeln!(out, "{}", ascii_json(told)?)?)
}
