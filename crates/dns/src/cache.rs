//! The answers that everybody shares, for as long as they are good.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use facts::{DnsAnswer, DnsFailure, Record, RecordType};
use rustc_hash::FxHashMap;

use crate::Settings;
use crate::question::Question;

/// How long a negative answer is kept that came without a SOA record to say it.
const TTL_NEGATIVE: Duration = Duration::from_secs(60);
/// An answer counts as one entry for each so many octets, so that a stranger's huge TXT records do not fill the memory.
const ENTRY_OCTETS: usize = 512;
/// Each shelf has its own lock, so that a lookup seldom waits for another.
const SHELVES: u32 = 64;

/// A bounded cache. A lookup takes one lock for the time of one table access; whatever was not found again since it
/// came, or whose time is over, gives way to what comes.
#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Vec<Mutex<Shelf>>,
    /// Nobody outside knows it, so nobody can aim many questions at one place.
    seed: RandomState,
    shelf_weight_max: u32,
    lifetimes: Lifetimes,
    started: Instant,
}

#[derive(Debug, Default)]
struct Shelf {
    /// By the question's hash under a seed that nobody outside knows.
    answers: FxHashMap<u64, Kept>,
    /// Each key in `answers` once, the next to be looked at first.
    order: VecDeque<u64>,
    weight: u32,
}

/// Small, as there are many, and what is looked for is seldom near what was found before.
#[derive(Debug)]
struct Kept {
    what: What,
    /// In seconds after the cache's start, rounded up.
    until: u32,
    was_found: bool,
}

#[derive(Debug)]
enum What {
    /// That there are no records. Most answers are that, and it needs no room of its own; the length of the name and the
    /// type stand by for the hash, so that 80 bits tell questions apart.
    Nothing { failure: DnsFailure, name_length: u8, record_type: RecordType },
    /// Records, with their question.
    Records(Arc<DnsAnswer>),
}

impl Kept {
    fn weight(&self) -> u32 {
        match &self.what {
            What::Nothing { .. } => 1,
            What::Records(answer) => weight(answer),
        }
    }
}

impl Cache {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            shelves: (0..SHELVES).map(|_| Mutex::default()).collect(),
            seed: RandomState::new(),
            shelf_weight_max: settings.cache_entries_max.div_ceil(SHELVES),
            lifetimes: Lifetimes::from(settings),
            started: Instant::now(),
        }
    }

    fn seconds(&self, time: Instant) -> u32 {
        u32::try_from(time.saturating_duration_since(self.started).as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }

    pub(crate) fn find(&self, question: &Question<'_>, now: Instant) -> Option<Arc<DnsAnswer>> {
        let (key, now) = (self.seed.hash_one(question), self.seconds(now));
        let mut shelf = self.shelf(key);
        let kept = shelf.answers.get_mut(&key)?;
        if kept.until <= now {
            return None;
        }
        let found = match &kept.what {
            What::Nothing { failure, name_length, record_type } => {
                let is_it = usize::from(*name_length) == question.name.len() && *record_type == question.record_type;
                is_it.then_some(Err(*failure))?
            }
            What::Records(answer) => (Question::of(answer) == *question).then(|| Ok(Arc::clone(answer)))?,
        };
        // Written once, or processors that find the same answer would take it from each other.
        if !kept.was_found {
            kept.was_found = true;
        }
        drop(shelf);
        Some(found.unwrap_or_else(|failure| question.answered(Err(failure))))
    }

    /// Keeps `answer`, whose records or SOA may be kept for `ttl`.
    pub(crate) fn insert(&self, answer: Arc<DnsAnswer>, ttl: Option<Duration>, now: Instant) {
        let key = self.seed.hash_one(Question::of(&answer));
        let until = self.seconds(now + self.lifetimes.of(answer.failure(), ttl));
        let now = self.seconds(now);
        let name_length = u8::try_from(answer.name.len()).expect("a name that was asked has 253 octets at most");
        let what = match answer.failure() {
            Some(failure) => What::Nothing { failure, name_length, record_type: answer.record_type },
            None => What::Records(answer),
        };
        let kept = Kept { what, until, was_found: false };
        let Some(room_for_others) = self.shelf_weight_max.checked_sub(kept.weight()) else { return };
        let mut shelf = self.shelf(key);
        shelf.shrink_to(room_for_others, now);
        shelf.insert(key, kept);
    }

    fn shelf(&self, key: u64) -> MutexGuard<'_, Shelf> {
        let index = usize::try_from(key % u64::from(SHELVES)).expect("a remainder of 64 fits");
        self.shelves[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn insert(&mut self, key: u64, kept: Kept) {
        self.weight += kept.weight();
        match self.answers.insert(key, kept) {
            Some(replaced) => self.weight -= replaced.weight(),
            None => self.order.push_back(key),
        }
    }

    /// The clock algorithm: what was found since it was last looked at gets another round.
    fn shrink_to(&mut self, weight_max: u32, now: u32) {
        while self.weight > weight_max {
            let Some(key) = self.order.pop_front() else { return };
            match self.answers.get_mut(&key) {
                Some(kept) if kept.was_found && kept.until > now => {
                    kept.was_found = false;
                    self.order.push_back(key);
                }
                _ => self.weight -= self.answers.remove(&key).map_or(0, |kept| kept.weight()),
            }
        }
    }
}

fn weight(answer: &DnsAnswer) -> u32 {
    let text = |record: &Record| match record {
        Record::A(_) | Record::Aaaa(_) => 0,
        Record::Mx { exchange: text, .. } | Record::Ns(text) | Record::Ptr(text) | Record::Txt(text) => text.len(),
    };
    let octets: usize = answer.records().iter().map(|record| size_of::<Record>() + text(record)).sum();
    u32::try_from(octets / ENTRY_OCTETS + 1).unwrap_or(u32::MAX)
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
            cache.find(&Question::new(name, record_type).unwrap(), start + Duration::from_secs(seconds)).is_some()
        };
        assert!(found("a.example", RecordType::Txt, 9));
        assert!(!found("a.example", RecordType::Txt, 10));
        assert!(!found("a.example", RecordType::A, 0));
        assert!(!found("b.example", RecordType::Txt, 0));
    }

    fn filled(cache: &Cache) -> usize {
        cache.shelves.iter().map(|shelf| shelf.lock().unwrap().answers.len()).sum()
    }

    #[test]
    fn the_cache_is_bounded_and_the_newest_answer_stays() {
        let cache = Cache::new(&Settings { cache_entries_max: 640, ..Settings::default() });
        let start = Instant::now();
        for number in 0..100_000 {
            let name = format!("{number}.example");
            cache.insert(answer(&name, text(1)), Some(Duration::from_secs(10)), start);
            assert!(cache.find(&Question::new(&name, RecordType::Txt).unwrap(), start).is_some());
        }
        assert_eq!(filled(&cache), 640);
    }

    #[test]
    fn an_answer_in_use_outlives_those_asked_once() {
        let cache = Cache::new(&Settings { cache_entries_max: 640, ..Settings::default() });
        let start = Instant::now();
        let keep = |name: &str, ttl| cache.insert(answer(name, text(1)), Some(Duration::from_secs(ttl)), start);
        let is_found = |name: &str| cache.find(&Question::new(name, RecordType::Txt).unwrap(), start).is_some();
        keep("used.example", 10);
        for number in 0..100_000 {
            keep(&format!("{number}.example"), 10);
            assert!(is_found("used.example"), "{number}");
        }
    }

    #[test]
    fn that_there_is_nothing_is_found_again() {
        let cache = Cache::new(&Settings::default());
        let start = Instant::now();
        for failure in [DnsFailure::NxDomain, DnsFailure::NoData, DnsFailure::Timeout] {
            let asked = answer("a.example", Err(failure));
            cache.insert(Arc::clone(&asked), None, start);
            assert_eq!(cache.find(&Question::of(&asked), start), Some(asked));
        }
        assert_eq!(cache.find(&Question::new("a.example", RecordType::A).unwrap(), start), None);
    }

    #[test]
    fn an_answer_replaced_leaves_no_weight() {
        let cache = Cache::new(&Settings { cache_entries_max: 640, ..Settings::default() });
        for length in [1, 4000, 1, 4000, 1] {
            cache.insert(answer("a.example", text(length)), None, Instant::now());
        }
        assert_eq!(cache.shelves.iter().map(|shelf| shelf.lock().unwrap().weight).sum::<u32>(), 1);
        assert_eq!(cache.shelves.iter().map(|shelf| shelf.lock().unwrap().order.len()).sum::<usize>(), 1);
    }

    #[test]
    fn a_large_answer_takes_the_room_of_many() {
        let cache = Cache::new(&Settings { cache_entries_max: 6400, ..Settings::default() });
        for number in 0..6400 {
            cache.insert(answer(&format!("{number}.example"), text(25_000)), None, Instant::now());
        }
        assert_eq!(filled(&cache), 64 * 2);
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = Cache::new(&Settings { cache_entries_max: 0, ..Settings::default() });
        cache.insert(answer("a.example", text(1)), None, Instant::now());
        assert_eq!(filled(&cache), 0);
    }
}
