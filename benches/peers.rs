//! Portcullis and its peers side by side in one run: `cargo bench -p portcullis -- [waves] [throughput] [memory] [tables] [greylist] [crowd]
//! [outage] [messages] [sessions] [quick]`.
//!
//! A target that is missed makes the run fail, unless `PORTCULLIS_BENCH_REPORT_ONLY=1`. With `quick` everything is
//! done with a tenth of the requests, to see that it works; its figures prove nothing, and no target counts.

mod accepting;
mod chain;
mod crowd;
mod figures;
mod frames;
mod greylist;
mod inside;
mod load;
mod memory;
mod messages;
mod outage;
mod server;
mod sessions;
mod tables;
mod thoughtless;
mod throughput;
mod waves;
// It asserts, as tests do; and the tests in it run with the others, not here.
#[allow(clippy::unwrap_used, unused_imports)]
#[path = "../tests/support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::process::{Command, ExitCode};
use std::thread::available_parallelism;

use support::peers::program;

/// Measures one thing, prints it, and says whether all targets were met. It is told whether to be quick.
type Scenario = fn(bool) -> bool;

const SCENARIOS: [(&str, Scenario); 9] = [
    ("waves", waves::run),
    ("throughput", throughput::run),
    ("memory", memory::run),
    ("tables", tables::run),
    ("greylist", greylist::run),
    ("crowd", crowd::run),
    ("outage", outage::run),
    ("messages", messages::run),
    ("sessions", sessions::run),
];
const QUICK: &str = "quick";

fn main() -> ExitCode {
    // cargo adds "--bench".
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let has = |name: &str| words.iter().any(|word| word == name);
    // This program is its own helper too, in processes of their own.
    if has(thoughtless::NAME) {
        thoughtless::serve();
    }
    if let [accepting::NAME, endpoint] = *words.iter().map(String::as_str).collect::<Vec<_>>() {
        accepting::serve(endpoint);
    }
    let insides: [(&str, Scenario); 2] = [(waves::INSIDE, waves::run_inside), (messages::INSIDE, messages::run_inside)];
    if let Some((_, run)) = insides.iter().find(|(argument, _)| has(argument)) {
        return exit_code(run(has(QUICK)));
    }
    let is_known = |word: &String| word == QUICK || SCENARIOS.iter().any(|(name, _)| name == word);
    if let Some(word) = words.iter().find(|word| !is_known(word)) {
        let names: Vec<_> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        eprintln!("no scenario \"{word}\": there are {}, and the word quick", names.join(", "));
        return ExitCode::from(2);
    }
    print_machine();
    let all = SCENARIOS.iter().all(|(name, _)| !has(name));
    // Every scenario runs, whatever became of the one before.
    let missed = SCENARIOS.iter().filter(|(name, _)| all || has(name)).filter(|(_, run)| !run(has(QUICK))).count();
    let report_only = env::var("PORTCULLIS_BENCH_REPORT_ONLY").is_ok_and(|value| value == "1");
    exit_code(missed == 0 || report_only || has(QUICK))
}

fn exit_code(met: bool) -> ExitCode {
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Figures mean little without the machine they come from.
fn print_machine() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    println!("date        {}", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z"));
    println!(
        "machine     {} cores ({}), Linux {}, load before {}",
        available_parallelism().map_or(0, usize::from),
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split_whitespace().next().unwrap_or_default(),
    );
    println!("portcullis  {}", env!("CARGO_PKG_VERSION"));
    println!("postfix     {}", postfix_version().unwrap_or_else(|| "not installed".into()));
}

fn postfix_version() -> Option<String> {
    let output = Command::new(program("postconf")?).args(["-dh", "mail_version"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
