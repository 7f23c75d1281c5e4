//! Tables: how long large ones take, and whether any table and any key hold up a lookup.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use judge::tables::Table;
use tempfile::TempDir;

use super::figures::{Times, millis, table, target, title};

const ROWS: u32 = 1_000_000;
/// A CIDR table of so many rows answers in about a microsecond.
const CIDR_LOOKUP_MAX: Duration = Duration::from_nanos(1_500);
const HASH_LOAD_MAX: Duration = Duration::from_secs(2);
/// No lookup takes longer, whatever the table and the key.
const LOOKUP_MAX: Duration = Duration::from_millis(10);
/// How often each lookup of patterns is repeated; a machine that does something else in between is not our fault.
const REPEATS: usize = 21;

/// Tables that cost as much as they can: a row, how often it stands there (`#` is its number), and a key (`#` is the
/// number of the octet).
const PATTERNS: [(&str, &str, usize, &str); 11] = [
    ("a name at the end", r"/\.name#\.example$/ REJECT", 5_000, "mail.some.where.example"),
    ("an octet at the end", "/b$/ REJECT", 5_000, "a"),
    ("upper and lower case", "/(b#|cß)$/ REJECT", 5_000, "cb"),
    ("automata full of states", "/[ab]*a[ab]{6}(c#|d)$/ REJECT", 5_000, "ab"),
    ("automata that miss the cache", "/(a|b|ab|ba)*x{2,9}(y#|z)/ REJECT", 2_000, "abba"),
    ("too large for an automaton", "/a[ab]{300}(c#|d)/ REJECT", 50, "ab"),
    ("groups of a long key", "/^(.)*(.)*(.)*(.)*(.)*(.)*b?$/ $1$2$3$4$5$6", 1, "a"),
    ("a key put together", "/^(.+)$/ $1$1$1$1$1$1", 1, "a"),
    ("stars within one another", "/^(?=(a+)+b)/ REJECT", 1, "a"),
    ("looks ahead one after another", "/(?=a*a*a*a*b)/ REJECT", 5_000, "a"),
    ("what was matched once more", r"/^(a*)(a*)(a*)\1\2\3b/ REJECT", 5_000, "a"),
];
/// More than the caches of a processor hold of one thread's things.
const CACHE_SIZE: usize = 64 << 20;
const CACHE_LINE: usize = 64;
/// Names as they are, addresses that forwarders have rewritten, the longest name, and as much as our doors take.
const KEY_LENGTHS: [usize; 4] = [40, 120, 255, 8_192];

/// Runs the scenario.
pub fn run(quick: bool) -> bool {
    title(
        "tables",
        "as the restrictions ask them, in one thread; patterns: the median of\nrepeated lookups, each with nothing of the table in the processor's caches",
    );
    let folder = TempDir::new().expect("a folder for tables");
    let large = large_tables(&folder, if quick { ROWS / 10 } else { ROWS });
    large & patterns(&folder)
}

/// Tables of a million rows, read and asked.
fn large_tables(folder: &TempDir, rows: u32) -> bool {
    let address = |row: u32| Ipv4Addr::from(row.wrapping_mul(0x9e37_79b1));
    let (networks, _) = loaded(folder, "cidr", rows, |row| format!("{}/{} REJECT {row}", network(address(row)), 24));
    let (names, hash_load) = loaded(folder, "hash", rows, |row| format!("host{row}.example REJECT {row}"));
    let cidr_lookup = lookup_time(&networks, rows, |number| address(number.wrapping_mul(7)).to_string());
    let hash_lookup = lookup_time(&names, rows, |number| format!("host{}.example", number.wrapping_mul(7) % rows));
    let what = |kind: &str, time: Duration| format!("{kind}, {rows} rows: {} ns a lookup", time.as_nanos());
    println!("  {}", what("hash", hash_lookup));
    let cidr_met = target(cidr_lookup <= CIDR_LOOKUP_MAX, &what("cidr", cidr_lookup));
    let load = format!("hash, {rows} rows: loaded in {} ms, less than {}", millis(hash_load), millis(HASH_LOAD_MAX));
    cidr_met & target(hash_load < HASH_LOAD_MAX, &load)
}

fn network(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) & !0xff)
}

/// A table of so many rows, and how long it took to be read.
fn loaded(folder: &TempDir, kind: &str, rows: u32, row: impl Fn(u32) -> String) -> (Table, Duration) {
    let mut text = String::new();
    (0..rows).for_each(|number| writeln!(text, "{}", row(number)).expect("a string takes all"));
    let path = folder.path().join(kind);
    fs::write(&path, text).expect("the table is written");
    let started = Instant::now();
    let table = Table::open(&format!("{kind}:{}", path.display())).expect("the table is read");
    (table, started.elapsed())
}

fn lookup_time(table: &Table, lookups: u32, key: impl Fn(u32) -> String) -> Duration {
    let keys: Vec<String> = (0..lookups).map(key).collect();
    let started = Instant::now();
    for key in &keys {
        let _ = black_box(table.find(black_box(key)));
    }
    started.elapsed() / lookups
}

fn patterns(folder: &TempDir) -> bool {
    let mut rows = vec![["patterns", "rows", "octets", "median ms", "slowest", "answer"].map(str::to_owned)];
    let (mut worst, mut elsewhere) = (Duration::ZERO, vec![0; CACHE_SIZE]);
    for (what, row, count, sign) in PATTERNS {
        let text: String = (0..count).map(|number| format!("{}\n", row.replace('#', &number.to_string()))).collect();
        let path = folder.path().join("patterns");
        fs::write(&path, text).expect("the table is written");
        let table = Table::open(&format!("pcre:{}", path.display())).expect("the table is read");
        let taken = count - table.warnings().count();
        for length in KEY_LENGTHS {
            let key: String = sign.chars().cycle().take(length).collect();
            let answer = match table.find(&key) {
                Ok(Some(_)) => "found",
                Ok(None) => "not found",
                Err(_) => "451",
            };
            let times: Times = (0..REPEATS).map(|_| timed(&table, &key, &mut elsewhere)).collect();
            let (median, slowest) = (times.percentile(50), times.percentile(100));
            worst = worst.max(median);
            rows.push(
                [what, &taken.to_string(), &length.to_string(), &millis(median), &millis(slowest), answer]
                    .map(str::to_owned),
            );
        }
    }
    self::table(&rows);
    let what = format!("the slowest lookup takes {} ms, at most {}", millis(worst), millis(LOOKUP_MAX));
    target(worst <= LOOKUP_MAX, &what)
}

/// The time of one lookup; before it the caches of the processor are filled with other things.
fn timed(table: &Table, key: &str, elsewhere: &mut [u8]) -> Duration {
    elsewhere.iter_mut().step_by(CACHE_LINE).for_each(|octet| *octet = octet.wrapping_add(1));
    let started = Instant::now();
    let _ = black_box(table.find(black_box(key)));
    started.elapsed()
}
