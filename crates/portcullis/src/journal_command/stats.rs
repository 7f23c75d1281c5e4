//! `portcullis journal stats`: the counts by the hour, as a table.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

use doors::ascii_json;
use facts::{Reason, Verdict};
use jiff::Timestamp;
use serde::Serialize;
use store::journal::{Count, VERDICTS};

use crate::cli::Answer;
use crate::story::local;
use crate::visible::visible;

/// A longer time is told by the day.
const HOURS_MAX: usize = 48;
const HOUR: Duration = Duration::from_secs(3_600);

/// What `--json` prints for each.
#[derive(Serialize)]
struct Told<'a> {
    hour: Timestamp,
    verdict: Verdict,
    shadow: bool,
    reason: Reason,
    restriction: Option<&'a str>,
    list: Option<&'a str>,
    count: u64,
}

/// Tells the counts of this time; the hour in which it begins counts whole.
pub(super) fn tell(
    counts: &[Count],
    since: SystemTime,
    until: Option<SystemTime>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<Answer> {
    let is_meant = |count: &&Count| count.hour + HOUR > since && until.is_none_or(|until| count.hour <= until);
    let counts: Vec<&Count> = counts.iter().filter(is_meant).collect();
    if counts.is_empty() {
        anstream::eprintln!("portcullis: nothing has been counted in this time: --since takes an earlier one");
        return Ok(Answer::No);
    }
    if json {
        for count in &counts {
            writeln!(out, "{}", ascii_json(&Told::new(count)?)?)?;
        }
    } else {
        tell_table(&counts, out)?;
        let in_shadow = |count: &Count| if count.shadow { count.verdict.to_string() } else { String::new() };
        for (title, of) in [
            ("in shadow, by verdict", in_shadow as fn(&Count) -> String),
            ("by reason", |count| count.reason.to_string()),
            ("by restriction", |count| visible(count.restriction).into_owned()),
            ("by DNS list", |count| visible(count.list).into_owned()),
        ] {
            tell_sums(title, &counts, of, out)?;
        }
    }
    Ok(Answer::Yes)
}

impl<'a> Told<'a> {
    fn new(count: &'a Count) -> anyhow::Result<Self> {
        let &Count { hour, verdict, shadow, reason, restriction, list, count } = count;
        let named = |name: &'a str| Some(name).filter(|name| !name.is_empty());
        let (restriction, list) = (named(restriction), named(list));
        Ok(Self { hour: hour.try_into()?, verdict, shadow, reason, restriction, list, count })
    }
}

/// A line for each hour, or for each day, and one for all.
fn tell_table(counts: &[&Count], out: &mut impl Write) -> anyhow::Result<()> {
    let hours = counts.chunk_by(|one, next| one.hour == next.hour).count();
    let format = if hours > HOURS_MAX { "%F" } else { "%F %H:00" };
    let mut lines: BTreeMap<String, BTreeMap<Verdict, u64>> = BTreeMap::new();
    for count in counts {
        for line in [local(count.hour.try_into()?, format).to_string(), "total".into()] {
            *lines.entry(line).or_default().entry(count.verdict).or_default() += count.count;
        }
    }
    let titles = VERDICTS.iter().map(|verdict| format!("{:>10}", verdict.as_str()));
    writeln!(out, "{:16}{}", "", titles.collect::<String>())?;
    for (line, sums) in lines {
        let sums = VERDICTS.iter().map(|verdict| format!("{:>10}", sums.get(verdict).copied().unwrap_or(0)));
        writeln!(out, "{line:16}{}", sums.collect::<String>())?;
    }
    Ok(())
}

/// How many there were of each, the most first; what has no name is left out.
fn tell_sums(title: &str, counts: &[&Count], of: fn(&Count) -> String, out: &mut impl Write) -> anyhow::Result<()> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    counts.iter().for_each(|count| *sums.entry(of(count)).or_default() += count.count);
    sums.remove("");
    let mut sums = Vec::from_iter(sums);
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    if !sums.is_empty() {
        writeln!(out, "\n{title}")?;
    }
    for (name, sum) in sums {
        writeln!(out, "{sum:>10}  {name}")?;
    }
    Ok(())
}
