//! The answers that everybody shares, for as long as they are good.

mod records;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use facts::{DnsAnswer, DnsFailure};

use crate::Settings;
use crate::question::Question;
use records::Records;

/// How long a negative answer is kept that came without a SOA record to say it.
const TTL_NEGATIVE: Duration = Duration::from_secs(60);
/// How many octets of records may be kept for each entry of the cache; most entries have none.
const OCTETS_PER_ENTRY: usize = 32;
/// Each shelf has its own lock, so that a lookup seldom waits for another.
const SHELVES: usize = 64;
/// In how many places an entry may stand.
const WINDOW: usize = 32;

/// A bounded cache. An entry stands where the hash of its question says, or close behind; where all those places are
/// taken, one that was not found of late gives way. Most entries are small and alone, so that a lookup fetches one line
/// of a memory too large to be near: that, not the searching, is what a lookup takes.
#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Vec<Mutex<Shelf>>,
    /// Nobody outside knows it, so nobody can aim many questions at one place.
    seed: RandomState,
    lifetimes: Lifetimes,
    started: Instant,
}

/// An answer with records, or why there are none: whoever asked has the name for such an answer.
pub(crate) type Cached = Result<Arc<DnsAnswer>, DnsFailure>;

#[derive(Debug)]
struct Shelf {
    /// As many as a power of two, or none. Behind an empty place of its window no entry stands.
    entries: Vec<Entry>,
    records: Records,
}

/// A time in seconds after the cache's start, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u32);

/// 16 octets, so that four make a line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The question's hash.
    key: u64,
    /// Zero where there is no entry.
    until: Second,
    /// Why there are no records. Most answers are that, and it needs no room of its own.
    failure: Option<DnsFailure>,
    was_found: bool,
    /// Where the records stand, if they still do. Without records the length of the question's name, which stands by for
    /// the hash, so that 80 bits tell questions apart.
    detail: u16,
}

const EMPTY: Entry = Entry { key: 0, until: Second(0), failure: None, was_found: false, detail: 0 };

impl Cache {
    pub(crate) fn new(settings: &Settings) -> Self {
        let entries = match (settings.cache_entries_max as usize).div_ceil(SHELVES) {
            0 => 0,
            some => some.next_power_of_two(),
        };
        let shelf = || Shelf { entries: vec![EMPTY; entries], records: Records::new(entries * OCTETS_PER_ENTRY) };
        Self {
            shelves: (0..SHELVES).map(|_| Mutex::new(shelf())).collect(),
            seed: RandomState::new(),
            lifetimes: Lifetimes::from(settings),
            started: Instant::now(),
        }
    }

    /// No derived hash: what that writes piece by piece takes longer than the name. The questions for one name are kept
    /// apart by turning its hash, each by another number of bits.
    fn key(&self, question: &Question<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(question.name.as_bytes());
        hasher.finish().rotate_left(question.record_type as u32)
    }

    /// The time as entries have it.
    pub(crate) fn second(&self, time: Instant) -> Second {
        let since = time.saturating_duration_since(self.started);
        Second(u32::try_from(since.as_secs() + u64::from(since.subsec_nanos() > 0)).unwrap_or(u32::MAX))
    }

    pub(crate) fn find(&self, question: &Question<'_>, now: Second) -> Option<Cached> {
        let key = self.key(question);
        let mut shelf = self.shelf(key);
        let Entry { failure, detail, .. } = shelf.find(key, now)?;
        let Some(failure) = failure else { return shelf.records.find(detail, question).map(Ok) };
        (usize::from(detail) == question.name.len()).then_some(Err(failure))
    }

    /// Keeps `answer`, whose records or SOA may be kept for `ttl`.
    pub(crate) fn insert(&self, answer: Arc<DnsAnswer>, ttl: Option<Duration>, now: Instant) {
        let (key, failure) = (self.key(&Question::of(&answer)), answer.failure());
        let until = self.second(now + self.lifetimes.of(failure, ttl));
        let now = self.second(now);
        let mut shelf = self.shelf(key);
        let detail = match failure {
            Some(_) => u16::try_from(answer.name.len()).ok(),
            None => shelf.records.insert(answer),
        };
        if let (Some(detail), Some(index)) = (detail, shelf.place(key, now)) {
            shelf.entries[index] = Entry { key, until, failure, was_found: false, detail };
        }
    }

    fn shelf(&self, key: u64) -> MutexGuard<'_, Shelf> {
        // By other bits than those that choose the place.
        self.shelves[(key >> 58) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Where the entry of `key` may stand.
    fn window(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let length = self.entries.len();
        (0..WINDOW.min(length)).map(move |step| (key as usize).wrapping_add(step) & (length - 1))
    }

    fn find(&mut self, key: u64, now: Second) -> Option<Entry> {
        for index in self.window(key) {
            let entry = &mut self.entries[index];
            if entry.key == key && entry.until > now {
                // Written once, or processors that find the same answer would take it from each other.
                if !entry.was_found {
                    entry.was_found = true;
                }
                return Some(*entry);
            }
            if entry.until == EMPTY.until {
                break;
            }
        }
        None
    }

    /// Where the entry of `key` stands or is to stand; nowhere in a cache without entries.
    fn place(&mut self, key: u64, now: Second) -> Option<usize> {
        let mut over = None;
        for index in self.window(key) {
            match &self.entries[index] {
                entry if entry.key == key => return Some(index),
                entry if entry.until == EMPTY.until => return over.or(Some(index)),
                entry if entry.until <= now => over = over.or(Some(index)),
                _ => {}
            }
        }
        over.or_else(|| self.unused(key))
    }

    /// A place in the full window of `key` whose entry was not found of late. What was gets another round.
    fn unused(&mut self, key: u64) -> Option<usize> {
        for index in self.window(key) {
            if !std::mem::take(&mut self.entries[index].was_found) {
                return Some(index);
            }
        }
        self.window(key).next()
    }
}

#[derive(Debug)]
struct Lifetimes {
    min: Duration,
    max: Duration,
    negative_max: Duration,
    failure: Duration,
}

impl From<&Settings> for Lifetimes {
    fn from(settings: &Settings) -> Self {
        Self {
            min: settings.ttl_min,
            max: settings.ttl_max,
            negative_max: settings.ttl_negative_max,
            failure: settings.ttl_failure,
        }
    }
}

impl Lifetimes {
    fn of(&self, failure: Option<DnsFailure>, ttl: Option<Duration>) -> Duration {
        match failure {
            None => ttl.unwrap_or_default().max(self.min).min(self.max),
            Some(failure) if failure.is_temporary() => self.failure,
            Some(_) => ttl.unwrap_or(TTL_NEGATIVE).max(self.min).min(self.negative_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use facts::{Record, RecordType};

    use super::*;

    fn answer(name: &str, result: Result<Box<[Record]>, DnsFailure>) -> Arc<DnsAnswer> {
        Arc::new(DnsAnswer { name: name.into(), record_type: RecordType::Txt, result })
    }

    fn text(length: usize) -> Result<Box<[Record]>, DnsFailure> {
        Ok([Record::Txt("x".repeat(length).into())].into())
    }

    #[test]
    fn lifetimes_have_floors_and_ceilings() {
        let lifetimes = Lifetimes::from(&Settings::default());
        let check = |failure, ttl: Option<u64>, seconds| {
            let lifetime = lifetimes.of(failure, ttl.map(Duration::from_secs));
            assert_eq!(lifetime.as_secs(), seconds, "{failure:?} {ttl:?}");
        };
        check(None, Some(300), 300);
        check(None, Some(0), 1);
        check(None, Some(10_000_000), 86_400);
        for negative in [DnsFailure::NxDomain, DnsFailure::NoData] {
            check(Some(negative), Some(300), 300);
            check(Some(negative), Some(0), 1);
            check(Some(negative), Some(86_400), 3_600);
            check(Some(negative), None, 60);
        }
        for failure in [DnsFailure::ServFail, DnsFailure::Timeout, DnsFailure::Malformed] {
            check(Some(failure), Some(300), 5);
            check(Some(failure), None, 5);
        }
    }

    #[test]
    fn an_answer_is_found_until_its_time_is_over() {
        let cache = Cache::new(&Settings::default());
        let start = Instant::now();
        cache.insert(answer("a.example", text(1)), Some(Duration::from_secs(10)), start);
        let found = |name, record_type, seconds| {
            cache
                .find(&Question::new(name, record_type).unwrap(), cache.second(start + Duration::from_secs(seconds)))
                .is_some()
        };
        assert!(found("a.example", RecordType::Txt, 9));
        assert!(!found("a.example", RecordType::Txt, 10));
        assert!(!found("a.example", RecordType::A, 0));
        assert!(!found("b.example", RecordType::Txt, 0));
    }

    fn small() -> Cache {
        Cache::new(&Settings { cache_entries_max: 4096, ..Settings::default() })
    }

    /// How many octets of records are kept, and in how many places.
    fn taken(cache: &Cache) -> (usize, usize) {
        let taken = cache.shelves.iter().map(|shelf| shelf.lock().unwrap().records.taken());
        taken.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    #[test]
    fn the_cache_is_bounded_and_the_newest_answer_stays() {
        let cache = small();
        let (start, ttl) = (Instant::now(), Some(Duration::from_secs(10)));
        for number in 0..100_000 {
            let name = format!("{number}.example");
            let result = if number % 2 == 0 { text(1) } else { Err(DnsFailure::NxDomain) };
            cache.insert(answer(&name, result), ttl, start);
            assert!(cache.find(&Question::new(&name, RecordType::Txt).unwrap(), cache.second(start)).is_some());
        }
        let (octets, places) = taken(&cache);
        let octets_max = 4096 * OCTETS_PER_ENTRY;
        assert!(octets > octets_max / 2 && octets <= octets_max && places <= 4096, "{octets} {places}");
    }

    #[test]
    fn an_answer_in_use_outlives_those_asked_once() {
        for used in [text(1), Err(DnsFailure::NxDomain)] {
            let cache = small();
            let start = Instant::now();
            let keep = |name: &str, result| cache.insert(answer(name, result), Some(Duration::from_secs(10)), start);
            keep("used.example", used);
            for number in 0..100_000 {
                keep(&format!("{number}.example"), text(1));
                let question = Question::new("used.example", RecordType::Txt).unwrap();
                assert!(cache.find(&question, cache.second(start)).is_some(), "{number}");
            }
        }
    }

    #[test]
    fn that_there_is_nothing_is_found_again() {
        let cache = Cache::new(&Settings::default());
        let start = Instant::now();
        for failure in [DnsFailure::NxDomain, DnsFailure::NoData, DnsFailure::Timeout] {
            let asked = answer("a.example", Err(failure));
            cache.insert(Arc::clone(&asked), None, start);
            assert_eq!(cache.find(&Question::of(&asked), cache.second(start)), Some(Err(failure)));
        }
        assert_eq!(cache.find(&Question::new("a.example", RecordType::A).unwrap(), cache.second(start)), None);
    }

    #[test]
    fn the_newer_answer_to_a_question_counts() {
        let (cache, now) = (small(), Instant::now());
        for result in [text(1), text(2), Err(DnsFailure::NxDomain), text(3)] {
            let asked = answer("a.example", result);
            cache.insert(Arc::clone(&asked), None, now);
            let expected = asked.failure().map_or(Ok(Arc::clone(&asked)), Err);
            assert_eq!(cache.find(&Question::of(&asked), cache.second(now)), Some(expected));
        }
    }

    #[test]
    fn large_answers_take_the_room_of_many() {
        let cache = small();
        let room = 4096 * OCTETS_PER_ENTRY / SHELVES;
        for number in 0..4096 {
            cache.insert(answer(&format!("{number}.example"), text(room / 3)), None, Instant::now());
        }
        assert!(taken(&cache).0 <= SHELVES * room);
        let too_large = answer("large.example", text(room));
        cache.insert(Arc::clone(&too_large), None, Instant::now());
        assert_eq!(cache.find(&Question::of(&too_large), cache.second(Instant::now())), None);
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = Cache::new(&Settings { cache_entries_max: 0, ..Settings::default() });
        for result in [text(1), Err(DnsFailure::NxDomain)] {
            let asked = answer("a.example", result);
            cache.insert(Arc::clone(&asked), None, Instant::now());
            assert_eq!(cache.find(&Question::of(&asked), cache.second(Instant::now())), None);
        }
    }
}
