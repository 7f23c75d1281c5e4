//! What all doors share: one set of settings, one DNS, one log, one way to a decision.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dns::Dns;
use facts::{Decision, DecisionId, Facts, Stage, Verdict};

use store::Store;

use crate::outside::outside;
use crate::policy;
use crate::record::{Entry, Recorder};

/// Decides for every door.
pub struct Gate {
    /// What is decided by. A reload stores new settings; decisions under way end by those they began with.
    pub settings: ArcSwap<judge::Settings>,
    /// Whom the judge asks. A reload that changes how stores another; its cache starts empty.
    pub dns: ArcSwap<Dns>,
    /// What the doors have done so far.
    pub counters: Counters,
    outside: judge::Outside,
    recorder: Recorder,
    ids: Ids,
}

/// What the doors have done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Decisions that let the mail go on.
    pub permit: AtomicU64,
    /// Decisions to reply 4xx.
    pub defer: AtomicU64,
    /// Decisions to reply 5xx.
    pub reject: AtomicU64,
    /// Decisions to keep a message aside.
    pub hold: AtomicU64,
    /// Decisions to throw a message away.
    pub discard: AtomicU64,
    /// The policy door.
    pub policy: policy::Counters,
}

impl Counters {
    /// The counter of decisions with `verdict`.
    #[must_use]
    pub fn decisions(&self, verdict: Verdict) -> &AtomicU64 {
        match verdict {
            Verdict::Permit => &self.permit,
            Verdict::Defer => &self.defer,
            Verdict::Reject => &self.reject,
            Verdict::Hold => &self.hold,
            Verdict::Discard => &self.discard,
        }
    }
}

impl Gate {
    /// A gate that decides by `settings` until others are stored.
    #[must_use]
    pub fn new(settings: Arc<judge::Settings>, dns: Dns, store: Store, recorder: Recorder) -> Self {
        Self {
            settings: ArcSwap::new(settings),
            dns: ArcSwap::from_pointee(dns),
            counters: Counters::default(),
            outside: outside(store),
            recorder,
            ids: Ids::new(),
        }
    }

    /// Decides, counts the decision and writes its log line. After `deadline` what the DNS has not answered counts
    /// as a temporary failure, and policy services have not answered. `now`: the time to decide by. `door`: the door's name, for the log.
    pub async fn decide(
        &self,
        door: &str,
        facts: &Facts,
        stage: Stage,
        now: SystemTime,
        deadline: Duration,
    ) -> Decision {
        let settings = self.settings.load();
        let asker = self.dns.load().asker().with_deadline(deadline);
        let decision = judge::decide(&settings, &asker, &self.outside, facts, stage, self.ids.next(now), now).await;
        self.counters.decisions(decision.verdict).fetch_add(1, Relaxed);
        self.recorder.record(&Entry { door, facts, decision: &decision, elapsed: asker.elapsed() });
        decision
    }
}

/// Gives decisions their ids. The salt keeps two processes apart that decide in the same millisecond.
#[derive(Debug)]
struct Ids {
    salt: u32,
    count: AtomicU32,
}

impl Ids {
    fn new() -> Self {
        // The standard library's hash seeds are the system's random numbers.
        let random = RandomState::new().hash_one(std::process::id());
        Self { salt: (random & u64::from(u32::MAX)) as u32, count: AtomicU32::new(0) }
    }

    fn next(&self, now: SystemTime) -> DecisionId {
        DecisionId::new(now, self.salt.wrapping_add(self.count.fetch_add(1, Relaxed)))
    }
}
