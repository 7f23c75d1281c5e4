//! The command line of the journal.

use std::time::SystemTime;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use facts::{DecisionId, Network, Reason, Verdict, duration};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned, civil};
use store::journal::{REASONS, VERDICTS};

pub const HELP: &str = "\
Examples:
  portcullis journal show 6GSD39SFC0007
      The decision whose id a sender read out of the reply, with every finding.
  portcullis journal search --client 203.0.113.0/24 --since yesterday
      What became of a network's mail.
  portcullis journal search --recipient user@example.com --verdict reject --verdict defer --since 2h
      Whose mail a user did not get.
  portcullis journal tail -n 5 --follow
      Decisions as they fall.
  portcullis journal stats --since 7d
      How many, by day, reason, restriction and DNS list.

The files are read in `journal` in the state directory ($STATE_DIRECTORY, else $XDG_STATE_HOME/portcullis, else \
~/.local/state/portcullis), else in /var/lib/portcullis, whether a server runs or not. Times are like 2026-03-01T12:00, \
2026-03-01, today, yesterday, or as long ago as 90m, 2h, 7d.

With --json, one object is printed on a line for each, with the fields of `explain --json` and of the JSON log.

Exit status: 0 done, 1 where nothing was found, 2 for a mistake, and where no journal can be read.";

/// What there is to do with the journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// The decision with this id, told as `explain` tells one
    Show {
        /// The id, as it stands in the reply and in the log
        id: DecisionId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// The latest decisions, a line for each
    Tail {
        /// How many
        #[arg(short = 'n', long, value_name = "COUNT", default_value = "20", value_parser = limit())]
        lines: usize,
        /// Go on with those that come
        #[arg(short, long)]
        follow: bool,
        /// Print one JSON object on a line for each
        #[arg(long)]
        json: bool,
    },
    /// The latest decisions that are meant, a line for each
    Search(Box<Search>),
    /// How many decisions there were, by the hour or by the day
    Stats {
        /// From when on
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = moment)]
        since: SystemTime,
        /// Until when
        #[arg(long, value_name = "TIME", value_parser = moment)]
        until: Option<SystemTime>,
        /// Print one JSON object on a line for each hour, verdict, mode, reason, restriction and list
        #[arg(long)]
        json: bool,
    },
}

/// Which decisions are meant: those of which all of this is true. Texts are found anywhere, in any case.
#[derive(Debug, Args)]
pub struct Search {
    /// Of this client, or of this network
    #[arg(long, value_name = "IP[/LENGTH]")]
    pub client: Option<Network>,
    /// With this text in the sender; '<>' is the null sender
    #[arg(long, value_name = "TEXT")]
    pub sender: Option<String>,
    /// With this text in the recipient
    #[arg(long, value_name = "TEXT")]
    pub recipient: Option<String>,
    /// With this text in the name after HELO
    #[arg(long, value_name = "TEXT")]
    pub helo: Option<String>,
    /// With this verdict, or one of these
    #[arg(long, value_parser = verdict())]
    pub verdict: Vec<Verdict>,
    /// For this reason, or one of these
    #[arg(long, value_parser = reason(), hide_possible_values = true)]
    pub reason: Vec<Reason>,
    /// Settled by a restriction with this text
    #[arg(long, value_name = "TEXT")]
    pub restriction: Option<String>,
    /// From when on
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<SystemTime>,
    /// Until when
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<SystemTime>,
    /// How many at most: the latest
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = limit())]
    pub limit: usize,
    /// Print one JSON object on a line for each
    #[arg(long)]
    pub json: bool,
}

/// So many rows are held in memory.
fn limit() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32).range(0..=100_000).map(|count| count as usize)
}

fn verdict() -> impl TypedValueParser<Value = Verdict> {
    named(VERDICTS)
}

fn reason() -> impl TypedValueParser<Value = Reason> {
    named(REASONS)
}

/// One of these by its name in JSON.
fn named<T: Copy + ToString + Send + Sync + 'static>(all: &'static [T]) -> impl TypedValueParser<Value = T> {
    let names = all.iter().map(|one| &*one.to_string().leak());
    PossibleValuesParser::new(names)
        .try_map(|name| all.iter().copied().find(|one| one.to_string() == name).ok_or("no such name"))
}

/// A time, a day from its beginning, or how long ago.
fn moment(text: &str) -> anyhow::Result<SystemTime> {
    if let Ok(time) = super::time(text) {
        return Ok(time);
    }
    let day = match text {
        "today" => Some(Zoned::now().date()),
        "yesterday" => Some(Zoned::now().date().checked_sub(1.day())?),
        _ => text.parse::<civil::Date>().ok(),
    };
    if let Some(day) = day {
        return Ok(day.to_zoned(TimeZone::system())?.timestamp().into());
    }
    let ago = duration::parse(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    ago.context("write a time like 2026-03-01T12:00, 2026-03-01, today, yesterday, or as long ago as 90m, 2h, 7d")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments() {
        for (text, hours) in [("2h", 2), ("1d12h", 36)] {
            let ago = Duration::from_secs(hours * 3_600);
            let (earliest, found, latest) = (SystemTime::now() - ago, moment(text).unwrap(), SystemTime::now() - ago);
            assert!(earliest <= found && found <= latest, "{text}");
        }
        assert!(moment("yesterday").unwrap() < moment("today").unwrap());
        assert!(moment("today").unwrap() <= SystemTime::now());
        assert_eq!(moment("2026-03-01").unwrap(), moment("2026-03-01T00:00").unwrap());
        assert!(moment("2026-03-01T12:00:00Z").is_ok());
        for bad in ["", "soon", "5x", "2026-13-01", "9999999999999999y"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
