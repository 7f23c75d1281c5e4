//! The only code that asks the DNS.
//!
//! [`Dns`] is one of three: the network, with a cache that everybody shares and each question on its way only once;
//! a zone file as a fake DNS; or the recorded answers of a decision that is replayed. Whoever decides holds an
//! [`Asker`], which counts what was asked on its behalf. Failures are answers: a lookup always comes back with a
//! [`DnsAnswer`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod cache;
mod counters;
mod exchange;
pub mod lists;
mod master_file;
mod name;
mod network;
mod question;
mod recorded;
mod servers;
mod settings;
#[cfg(test)]
mod tests;
mod zone;

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use facts::{DnsAnswer, DnsFailure, RecordType};
use tokio::time::{Instant, timeout_at};

pub use counters::Counters;
pub use name::{ascii_hostname, to_ascii, unicode_hostname};
pub use settings::{Server, Settings};
pub use zone::Zone;

use cache::Second;
use network::Network;
use question::Question;
use recorded::Recorded;

/// Why there is no DNS to ask.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot be.
    #[error("dns.{key} {problem}")]
    Setting {
        /// The key in the section `[dns]`.
        key: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// A zone file that cannot be read.
    #[error("{file}: {source}")]
    ZoneUnreadable {
        /// The file as it was named.
        file: String,
        /// The system's word.
        source: io::Error,
    },
    /// A zone file that breaks the rules of RFC 1035 §5.
    #[error("{file}:{line}: {problem}")]
    ZoneMalformed {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
}

/// The DNS, real or made up. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct Dns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Source {
    Network(Arc<Network>),
    Zone(Zone),
    Recorded(Recorded),
}

impl Dns {
    fn new(source: Source, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Shared { source, counters }))
    }

    /// The DNS that the servers of `settings` know. Must be asked inside a tokio runtime.
    ///
    /// # Errors
    /// Those of [`Settings::check`].
    pub fn network(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let counters = Arc::<Counters>::default();
        Ok(Self::new(Source::Network(Arc::new(Network::new(settings, Arc::clone(&counters)))), counters))
    }

    /// A DNS that knows nothing but `zone`.
    #[must_use]
    pub fn zone(zone: Zone) -> Self {
        Self::new(Source::Zone(zone), Arc::default())
    }

    /// A DNS that repeats `answers`; to anything else it answers [`DnsFailure::NotRecorded`].
    #[must_use]
    pub fn recorded(answers: impl IntoIterator<Item = DnsAnswer>) -> Self {
        Self::new(Source::Recorded(answers.into_iter().collect()), Arc::default())
    }

    /// An asker for one decision or one session.
    #[must_use]
    pub fn asker(&self) -> Asker {
        let tally = Tally { queries: AtomicU32::new(0), hits: AtomicU32::new(0), dns: self.clone() };
        let since = Instant::now();
        let second = match &self.0.source {
            Source::Network(network) => network.second(since.into_std()),
            Source::Zone(_) | Source::Recorded(_) => Second::default(),
        };
        Asker { tally: Arc::new(tally), since, second, deadline: None }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

/// Asks on behalf of one decision or session. Clones share the count of queries.
#[derive(Clone, Debug)]
pub struct Asker {
    tally: Arc<Tally>,
    since: Instant,
    /// What was good in the cache then is good for all that this asker is for.
    second: Second,
    deadline: Option<Instant>,
}

impl Asker {
    /// The same asker with at most so much time from its start: after it, every lookup still open answers
    /// [`DnsFailure::Timeout`]. What is on its way goes on, for the cache and for others.
    #[must_use]
    pub fn with_deadline(mut self, at_most: Duration) -> Self {
        self.deadline = self.since.checked_add(at_most);
        self
    }

    /// The answer to a question. A name that the DNS cannot hold is answered [`DnsFailure::NxDomain`] unasked; an
    /// answer in the cache is ready at once.
    pub async fn lookup(&self, name: impl Into<Cow<'_, str>>, record_type: RecordType) -> Arc<DnsAnswer> {
        let question = match Question::new(name, record_type) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        match &self.shared().source {
            Source::Network(network) => self.lookup_in(network, question).await,
            Source::Zone(zone) => {
                self.tally.queries.fetch_add(1, Ordering::Relaxed);
                Counters::add(&self.shared().counters.queries);
                let result = zone.answer(&question);
                let answer = question.answered(result);
                self.shared().counters.add_failure_of(&answer);
                answer
            }
            Source::Recorded(recorded) => recorded.answer(question),
        }
    }

    async fn lookup_in(&self, network: &Arc<Network>, question: Question<'_>) -> Arc<DnsAnswer> {
        if let Some(cached) = network.cached(&question, self.second) {
            self.tally.hits.fetch_add(1, Ordering::Relaxed);
            return cached.unwrap_or_else(|failure| question.answered(Err(failure)));
        }
        Counters::add(&self.shared().counters.cache_misses);
        let answer = {
            let asking = pin!(network.ask(&question, &self.tally.queries));
            self.in_time(asking).await
        };
        answer.unwrap_or_else(|| question.answered(Err(DnsFailure::Timeout)))
    }

    /// What comes out of `work`, unless the deadline comes first. What nobody can wait for is not begun. With a deadline
    /// it must be awaited inside a tokio runtime. Pinned by the caller: it would be moved, whole, from hand to hand.
    pub async fn in_time<T>(&self, mut work: impl Future<Output = T> + Unpin) -> Option<T> {
        match self.deadline {
            None => Some(work.await),
            Some(deadline) if deadline <= Instant::now() => None,
            // What is ready needs no timer.
            Some(deadline) => match poll_fn(|context| Poll::Ready(Pin::new(&mut work).poll(context))).await {
                Poll::Ready(done) => Some(done),
                Poll::Pending => timeout_at(deadline, work).await.ok(),
            },
        }
    }

    /// How long ago this asker was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// How many questions were sent on this asker's behalf. One that another had already sent counts for that other;
    /// an answer out of the cache counts for nobody; of a zone file every lookup counts.
    #[must_use]
    pub fn queries(&self) -> u32 {
        self.tally.queries.load(Ordering::Relaxed)
    }

    /// Whether so many questions are on their way that those which can wait should not be asked early.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(&self.shared().source, Source::Network(network) if network.is_busy())
    }

    fn shared(&self) -> &Shared {
        &self.tally.dns.0
    }

    /// A watch, started now.
    #[must_use]
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch { started: std::time::Instant::now() }
    }
}

/// What one asker has counted. Its hits are added to everybody's when it goes: many processors that count in one place
/// wait for each other.
#[derive(Debug)]
struct Tally {
    queries: AtomicU32,
    hits: AtomicU32,
    dns: Dns,
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.dns.counters().cache_hits.fetch_add(self.hits.load(Ordering::Relaxed).into(), Ordering::Relaxed);
    }
}

/// Measures how long something took: the one clock that the judge may hold.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: std::time::Instant,
}

impl Stopwatch {
    /// Microseconds since the start.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
