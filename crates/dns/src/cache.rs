//! The answers that everybody shares, for as long as they are good.

mod records;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
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
/// The records of each shelf have their own lock, so that a lookup seldom waits for another.
const SHELVES: usize = 64;
/// In how many places an entry may stand.
const WINDOW: usize = 32;

/// A bounded cache. An entry stands where the hash of its question says, or close behind; where all those places are
/// taken, one that was not found of late gives way. Most entries are small and alone, so that a lookup fetches one line
/// of a memory too large to be near: that, not the searching, is what a lookup takes.
#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Vec<Shelf>,
    /// Nobody outside knows it, so nobody can aim many questions at one place.
    seed: RandomState,
    lifetimes: Lifetimes,
    started: Instant,
}

/// An answer with records, or why there are none: whoever asked has the name for such an answer.
pub(crate) type Cached = Result<Arc<DnsAnswer>, DnsFailure>;

#[derive(Debug)]
struct Shelf {
    /// As many as a power of two, or none. Behind an empty place of its window no entry stands. Written under the lock of
    /// the records, and read without.
    places: Box<[Place]>,
    records: Mutex<Records>,
}

/// A time in seconds after the cache's start, of which those that have begun count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u32);

/// Where an entry may stand: 16 octets, so that four make a line. Two words are not written at once: the key is kept mixed
/// with the other, so that whoever reads between the two finds no question's key.
#[derive(Debug, Default)]
struct Place {
    mixed: AtomicU64,
    /// An [`Entry`], and in the lowest bit whether it was found of late. 0 where none stands.
    entry: AtomicU64,
}

const FOUND: u64 = 1;

#[derive(Clone, Copy, Debug)]
struct Entry {
    until: Second,
    /// Why there are no records. Most answers are that, and it needs no room of its own.
    failure: Option<DnsFailure>,
    /// Where the records stand, if they still do. Without records the length of the question's name, which stands by for
    /// the hash, so that 80 bits tell questions apart.
    detail: u16,
}

impl Cache {
    pub(crate) fn new(settings: &Settings) -> Self {
        let entries = match (settings.cache_entries_max as usize).div_ceil(SHELVES) {
            0 => 0,
            some => some.next_power_of_two(),
        };
        let shelf = |_| Shelf {
            places: (0..entries).map(|_| Place::default()).collect(),
            records: Mutex::new(Records::new(entries * OCTETS_PER_ENTRY)),
        };
        Self {
            shelves: (0..SHELVES).map(shelf).collect(),
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
        Second(u32::try_from(since.as_secs() + 1).unwrap_or(u32::MAX))
    }

    pub(crate) fn find(&self, question: &Question<'_>, now: Second) -> Option<Cached> {
        let key = self.key(question);
        let shelf = self.shelf(key);
        let Entry { failure, detail, .. } = shelf.find(key, now)?;
        let Some(failure) = failure else { return shelf.records().find(detail, question).map(Ok) };
        (usize::from(detail) == question.name.len()).then_some(Err(failure))
    }

    /// Keeps `answer`, whose records or SOA may be kept for `ttl`.
    pub(crate) fn insert(&self, answer: Arc<DnsAnswer>, ttl: Option<Duration>, now: Instant) {
        let (key, failure) = (self.key(&Question::of(&answer)), answer.failure());
        let until = self.second(now + self.lifetimes.of(failure, ttl));
        let now = self.second(now);
        let shelf = self.shelf(key);
        let mut records = shelf.records();
        let detail = match failure {
            Some(_) => u16::try_from(answer.name.len()).ok(),
            None => records.insert(answer),
        };
        if let (Some(detail), Some(place)) = (detail, shelf.place(key, now)) {
            place.put(key, Entry { until, failure, detail });
        }
    }

    fn shelf(&self, key: u64) -> &Shelf {
        // By other bits than those that choose the place.
        &self.shelves[(key >> 58) as usize]
    }
}

impl Shelf {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the entry of `key` may stand.
    fn window(&self, key: u64) -> impl Iterator<Item = &Place> {
        let length = self.places.len();
        (0..WINDOW.min(length)).map(move |step| &self.places[(key as usize).wrapping_add(step) & (length - 1)])
    }

    fn find(&self, key: u64, now: Second) -> Option<Entry> {
        for place in self.window(key) {
            let (found, entry) = place.read()?;
            if found == key && entry.until > now {
                place.note_found();
                return Some(entry);
            }
        }
        None
    }

    /// Where the entry of `key` stands or is to stand; nowhere in a cache without places.
    fn place(&self, key: u64, now: Second) -> Option<&Place> {
        let mut over = None;
        for place in self.window(key) {
            match place.read() {
                Some((found, _)) if found == key => return Some(place),
                Some((_, entry)) if entry.until <= now => over = over.or(Some(place)),
                Some(_) => {}
                None => return over.or(Some(place)),
            }
        }
        over.or_else(|| self.unused(key))
    }

    /// A place in the full window of `key` whose entry was not found of late. What was gets another round.
    fn unused(&self, key: u64) -> Option<&Place> {
        let is_unused = |place: &&Place| place.entry.fetch_and(!FOUND, Relaxed) & FOUND == 0;
        self.window(key).find(is_unused).or_else(|| self.window(key).next())
    }
}

impl Place {
    /// The entry and its key. Relaxed, as nothing else is read because of it but what has its own lock.
    fn read(&self) -> Option<(u64, Entry)> {
        let word = self.entry.load(Relaxed);
        (word != 0).then(|| (self.mixed.load(Relaxed) ^ word & !FOUND, Entry::of_word(word)))
    }

    fn put(&self, key: u64, entry: Entry) {
        let word = entry.word();
        self.entry.store(word, Relaxed);
        self.mixed.store(key ^ word, Relaxed);
    }

    fn note_found(&self) {
        // Written once, or processors that find the same answer would take it from each other.
        if self.entry.load(Relaxed) & FOUND == 0 {
            self.entry.fetch_or(FOUND, Relaxed);
        }
    }
}

impl Entry {
    /// Never 0, as no time is. The lowest bit is left free.
    fn word(self) -> u64 {
        let failure = self.failure.map_or(0, |failure| failure as u64 + 1);
        u64::from(self.until.0) << 32 | u64::from(self.detail) << 16 | failure << 1
    }

    fn of_word(word: u64) -> Self {
        let failure = (word >> 1 & 0x7f) as usize;
        Self {
            until: Second((word >> 32) as u32),
            failure: failure.checked_sub(1).and_then(|index| DnsFailure::ALL.get(index).copied()),
            detail: (word >> 16) as u16,
        }
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
        let taken = cache.shelves.iter().map(|shelf| shelf.records().taken());
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
    fn an_entry_is_whole_in_its_word() {
        let details = [0, 0x1234, u16::MAX];
        let failures = DnsFailure::ALL.into_iter().map(Some).chain([None]);
        for (failure, detail) in failures.flat_map(|failure| details.map(|detail| (failure, detail))) {
            for (key, until) in [(0, 1), (u64::MAX, u32::MAX), (0x0123_4567_89ab_cdef, 7)] {
                let place = Place::default();
                assert!(place.read().is_none());
                place.put(key, Entry { until: Second(until), failure, detail });
                place.note_found();
                let (found, entry) = place.read().unwrap();
                assert_eq!((found, entry.until, entry.failure, entry.detail), (key, Second(until), failure, detail));
            }
        }
    }

    #[test]
    fn who_reads_between_two_words_finds_nothing() {
        let place = Place::default();
        let entry = |seconds| Entry { until: Second(seconds), failure: None, detail: 3 };
        place.put(5, entry(10));
        place.entry.store(entry(20).word(), Relaxed);
        assert_ne!(place.read().unwrap().0, 5);
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
