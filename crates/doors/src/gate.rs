//! What all doors share: one set of settings, one DNS, one log, one way to a decision.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dns::Dns;
use facts::{DecisionId, Facts, Stage, Verdict};
use store::Store;
use store::journal::{Journal, Row};

use crate::fault;
use crate::outside::outside;
use crate::record::Recorder;
use crate::seam::Seams;
use crate::{milter, policy};

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
    /// Where every decision is kept, unless nobody wants that or it cannot be.
    journal: Option<Arc<Journal>>,
    ids: Ids,
    /// The sessions that both the policy door and the milter door may be told of.
    pub(crate) seams: Arc<Seams>,
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
    /// Decisions of all kinds that were taken in shadow.
    pub shadow: AtomicU64,
    /// Decisions that are not in the journal, by a fault of ours.
    pub unkept: AtomicU64,
    /// The policy door.
    pub policy: policy::Counters,
    /// The milter door.
    pub milter: milter::Counters,
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
    pub fn new(
        settings: Arc<judge::Settings>,
        dns: Dns,
        store: Store,
        recorder: Recorder,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        Self {
            settings: ArcSwap::new(settings),
            dns: ArcSwap::from_pointee(dns),
            counters: Counters::default(),
            outside: outside(store),
            recorder,
            journal,
            ids: Ids::new(),
            seams: Arc::default(),
        }
    }

    /// Decides, counts the decision and writes its log line. After `deadline` what the DNS has not answered counts as a
    /// temporary failure, and policy services have not answered. `now`: the time to decide by. `door`: the door's name, for
    /// log and journal. Once the answer is on its way, the row is for [`Self::keep`].
    pub async fn decide(
        &self,
        door: &'static str,
        facts: Arc<Facts>,
        stage: Stage,
        now: SystemTime,
        deadline: Duration,
    ) -> Box<Row> {
        let settings = self.settings.load();
        let asker = self.dns.load().asker().with_deadline(deadline);
        let decision = judge::decide(&settings, &asker, &self.outside, &facts, stage, self.ids.next(now), now).await;
        let (elapsed, settings) = (asker.elapsed(), settings.fingerprint());
        let row = Box::new(Row { decision, door, stage, facts, elapsed, settings });
        self.counters.decisions(row.decision.verdict).fetch_add(1, Relaxed);
        if row.decision.enforced.is_shadow() {
            self.counters.shadow.fetch_add(1, Relaxed);
        }
        self.recorder.record(&row);
        row
    }

    /// Puts the questions on their way that `facts` give rise to at `stage`, for the decisions to come. Whoever loses
    /// patience may drop it: what is on its way goes on.
    pub fn ask_early(&self, facts: Arc<Facts>, stage: Stage) -> impl Future<Output = ()> + Send + use<> {
        judge::ask_early(self.settings.load_full(), self.dns.load().asker(), facts, stage, SystemTime::now())
    }

    /// Keeps what was decided in the journal, if there is one. A fault of ours costs the row, and no connection.
    pub fn keep(&self, row: &Row) {
        if let Some(journal) = &self.journal {
            self.caught(|| journal.append(row));
        }
    }

    fn caught(&self, keep: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(keep)) {
            fault::note(&self.counters.unkept, "journal: a fault of ours, a decision is missing", &*panic);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_fault_in_keeping_a_decision_costs_no_connection() {
        let (gate, _) = testing::gate(testing::settings(""));
        gate.caught(|| panic!("told to"));
        gate.caught(|| {});
        assert_eq!(gate.counters.unkept.load(Relaxed), 1);
    }
}
