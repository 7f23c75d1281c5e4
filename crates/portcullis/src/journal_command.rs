//! `portcullis journal`: what was decided, read from the files, whether a server writes them or not.

mod stats;

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

use doors::record::whole_json;
use facts::{DecisionId, EmailAddress, Enforced};
use store::journal::{Reader, Row};

use crate::chapters::chapters_found;
use crate::cli::{Answer, JournalCommand, Search};
use crate::state;
use crate::story::{self, SECONDS, local};
use crate::visible::visible;

/// How often it is looked for further rows.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Reads the journal.
///
/// # Errors
/// A journal that cannot be read, and output that cannot be written.
pub fn run(command: &JournalCommand) -> anyhow::Result<Answer> {
    let mut reader = open()?;
    let mut out = anstream::stdout().lock();
    let answer = match command {
        JournalCommand::Show { id, json } => show(&mut reader, *id, *json, &mut out),
        JournalCommand::Tail { lines, follow, json } => tail(&mut reader, *lines, *follow, *json, &mut out),
        JournalCommand::Search(search) => found(&mut reader, search, &mut out),
        JournalCommand::Stats { since, until, json } => {
            stats::tell(&reader.counts().map_err(advised)?, *since, *until, *json, &mut out)
        }
    };
    complain(&mut reader);
    answer
}

/// The first journal that is there.
fn open() -> anyhow::Result<Reader> {
    let mut tried = Vec::new();
    for directory in state::journals() {
        match Reader::open(&directory) {
            Ok(reader) => return Ok(reader),
            Err(error) => tried.push(format!("{}: {}", directory.display(), advised(error))),
        }
    }
    Err(anyhow::anyhow!("no journal can be read:\n  {}", tried.join("\n  ")))
}

/// What to do about files that cannot be read.
fn advised(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "there is no journal: start `portcullis serve`, or name the server's state directory by $STATE_DIRECTORY"
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("{error}: ask as root, as the server's user or from the group of the files")
        }
        _ => error.into(),
    }
}

/// What was wrong with the files is told, but is no reason to stop.
fn complain(reader: &mut Reader) {
    for complaint in reader.complaints() {
        anstream::eprintln!("portcullis: {complaint}");
    }
}

fn show(reader: &mut Reader, id: DecisionId, json: bool, out: &mut impl Write) -> anyhow::Result<Answer> {
    let Some(row) = reader.find(id).map_err(advised)? else {
        anstream::eprintln!("portcullis: the journal has no decision {id}: it is too old, or was made elsewhere");
        return Ok(Answer::No);
    };
    if json {
        writeln!(out, "{}", whole_json(&row)?)?;
        return Ok(Answer::Yes);
    }
    let Row { decision, door, stage, facts, elapsed, settings } = &row;
    let time = local(decision.time.try_into()?, "%F %T%.3f %Z");
    writeln!(
        out,
        "decision {id} of {time}, at the {door} door ({stage}) in {elapsed:?}, by settings {settings:08x}\n"
    )?;
    story::tell(out, facts, decision, &chapters_found(&decision.findings))?;
    Ok(Answer::Yes)
}

fn tail(reader: &mut Reader, lines: usize, follow: bool, json: bool, out: &mut impl Write) -> anyhow::Result<Answer> {
    let (rows, _) = reader.latest(lines, None, |_| true).map_err(advised)?;
    rows.iter().try_for_each(|row| tell(row, json, out))?;
    if !follow {
        return Ok(Answer::Yes);
    }
    loop {
        complain(reader);
        out.flush()?;
        thread::sleep(LOOK_INTERVAL);
        for row in reader.more().map_err(advised)? {
            tell(&row, json, out)?;
        }
    }
}

fn found(reader: &mut Reader, search: &Search, out: &mut impl Write) -> anyhow::Result<Answer> {
    let (rows, more) = reader.latest(search.limit, search.since, |row| is_meant(row, search)).map_err(advised)?;
    rows.iter().try_for_each(|row| tell(row, search.json, out))?;
    if more {
        out.flush()?;
        anstream::eprintln!("portcullis: these are the latest {}: --limit takes more", search.limit);
    }
    Ok(if rows.is_empty() { Answer::No } else { Answer::Yes })
}

fn is_meant(Row { decision, facts, .. }: &Row, search: &Search) -> bool {
    let has = |value: Option<&str>, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| value.is_some_and(|value| contains(value, wanted)))
    };
    let sender = facts.envelope.as_ref().map(|envelope| envelope.sender.as_ref().map_or("", EmailAddress::as_str));
    let has_sender = match search.sender.as_deref() {
        Some("<>" | "") => sender == Some(""),
        _ => has(sender, &search.sender),
    };
    search.client.is_none_or(|network| network.contains(facts.client.address))
        && (search.verdict.is_empty() || search.verdict.contains(&decision.verdict))
        && (search.reason.is_empty() || search.reason.contains(&decision.reason))
        && search.since.is_none_or(|since| decision.time >= since)
        && search.until.is_none_or(|until| decision.time <= until)
        && has_sender
        && has(facts.recipient.as_ref().map(|recipient| recipient.address.as_str()), &search.recipient)
        && has(facts.greeting.as_ref().map(|greeting| &*greeting.helo_name), &search.helo)
        && has(decision.restriction, &search.restriction)
}

fn contains(value: &str, wanted: &str) -> bool {
    value.to_lowercase().contains(&wanted.to_lowercase())
}

/// A row on a line.
fn tell(row: &Row, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        return Ok(writeln!(out, "{}", whole_json(row)?)?);
    }
    let Row { decision, facts, .. } = row;
    let style = story::style(decision.verdict);
    write!(
        out,
        "{}  {}  {style}{:<7}{style:#}",
        local(decision.time.try_into()?, SECONDS),
        decision.id,
        decision.verdict
    )?;
    let name = facts.client.name.as_ref().map_or("unknown", |name| name.as_str());
    write!(out, "  {}[{}]", visible(name), facts.client.address)?;
    if let Some(envelope) = &facts.envelope {
        write!(out, "  <{}>", visible(envelope.sender.as_ref().map_or("", EmailAddress::as_str)))?;
    }
    if let Some(recipient) = &facts.recipient {
        write!(out, " -> <{}>", visible(recipient.address.as_str()))?;
    }
    write!(out, "  {}", decision.reason)?;
    if let Some(restriction) = decision.restriction {
        write!(out, ": {}", visible(restriction))?;
    }
    match &decision.enforced {
        Enforced::Whole => {}
        Enforced::Nothing => write!(out, "  (in shadow: went on)")?,
        Enforced::RelayControl(_) => write!(out, "  (in shadow: refused by relay control)")?,
    }
    Ok(writeln!(out)?)
}
