//! Ask early, decide in order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use facts::{Finding, Stage};

use crate::case::Case;
use crate::restriction::{Kind, Restriction};
use crate::restrictions::{self, Asking, Begun};
use crate::ruling::{Ruling, Says};
use crate::settings::List;
use crate::verdict::{Next, Scales, Settled};

/// How many questions one decision may have out before their turn.
const EARLY_MAX: usize = 32;

/// The lists of one decision, with what is known of each restriction so far.
pub(crate) struct Walk<'a> {
    case: &'a Arc<Case>,
    lists: Vec<(&'a List, Vec<Slot>)>,
    findings: Vec<Finding>,
}

/// What is known of one restriction.
enum Slot {
    /// Nobody has begun it.
    Untouched,
    /// It is asking, since when the stopwatch says.
    Asking(Asking, dns::Stopwatch),
    /// It has ruled, after so many microseconds.
    Ruled(Ruling, u64),
}

impl<'a> Walk<'a> {
    pub(crate) fn new(case: &'a Arc<Case>, lists: impl Iterator<Item = &'a List>) -> Self {
        let with_slots = |list: &'a List| {
            let slots = list.restrictions.iter().map(|_| Slot::Untouched).collect();
            (list, slots)
        };
        Self { case, lists: lists.map(with_slots).collect(), findings: Vec::new() }
    }

    /// Puts every question that may be needed on its way, before anything is decided: all that no local restriction
    /// is sure to make needless.
    pub(crate) fn ask_early(&mut self) {
        let mut out = 0;
        for (list, slots) in &mut self.lists {
            let mut may_end = false;
            for (restriction, slot) in list.restrictions.iter().zip(slots) {
                if restrictions::asks(self.case, restriction, list.stage)
                    && (!restriction.early || out >= EARLY_MAX || self.case.asker.is_busy())
                {
                    may_end |= may_permit(restriction);
                    continue;
                }
                slot.begin(self.case, restriction, list.stage);
                match slot {
                    Slot::Ruled(ruling, _) => match &ruling.says {
                        Says::Permit(_) => break,
                        Says::Discard => return,
                        Says::Refuse(..) if !restriction.warn && may_end => break,
                        Says::Refuse(..) if !restriction.warn => return,
                        _ => {}
                    },
                    Slot::Asking(..) => {
                        out += 1;
                        may_end |= may_permit(restriction);
                    }
                    Slot::Untouched => {}
                }
            }
        }
    }

    /// Walks the lists in order and weighs each ruling, waiting for those that still ask.
    pub(crate) async fn decide(mut self, stage: Stage) -> (Settled, Vec<Finding>) {
        let mut scales = Scales::new();
        let mut stage_before = None;
        'lists: for index in 0..self.lists.len() {
            let list = self.lists[index].0;
            // The relay and the recipient list are of one stage, and share what is held against a rejection.
            if stage_before.replace(list.stage) != Some(list.stage) {
                scales.begin();
            }
            for (position, restriction) in list.restrictions.iter().enumerate() {
                let (ruling, micros) = self.ruling(index, position).await;
                let (outcome, next) = scales.weigh(&ruling, list.stage, &restriction.text, restriction.warn);
                self.findings.push(Finding {
                    stage: list.stage,
                    restriction: Arc::clone(&restriction.text),
                    outcome,
                    evidence: ruling.evidence,
                    micros,
                });
                match next {
                    Next::Restriction => {}
                    Next::List => break,
                    Next::End => break 'lists,
                }
            }
        }
        (scales.settle(stage), self.findings)
    }

    /// What the restriction at this place says. While it asks, all the others go on asking too.
    async fn ruling(&mut self, list: usize, position: usize) -> (Ruling, u64) {
        let (of, slots) = &mut self.lists[list];
        slots[position].begin(self.case, &of.restrictions[position], of.stage);
        poll_fn(|context| {
            for slot in self.lists.iter_mut().flat_map(|(_, slots)| slots) {
                slot.poll(context);
            }
            let wanted = &mut self.lists[list].1[position];
            match std::mem::replace(wanted, Slot::Untouched) {
                Slot::Ruled(ruling, micros) => Poll::Ready((ruling, micros)),
                waiting => {
                    *wanted = waiting;
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Slot {
    fn begin(&mut self, case: &Arc<Case>, restriction: &Arc<Restriction>, stage: Stage) {
        if let Self::Untouched = self {
            *self = match restrictions::begin(case, restriction, stage) {
                Begun::Ruled(ruling) => Self::Ruled(ruling, 0),
                Begun::Asking(asking) => Self::Asking(asking, case.asker.stopwatch()),
            };
        }
    }

    fn poll(&mut self, context: &mut std::task::Context<'_>) {
        if let Self::Asking(asking, since) = self
            && let Poll::Ready(ruling) = asking.as_mut().poll(context)
        {
            *self = Self::Ruled(ruling, since.micros());
        }
    }
}

/// Whether a restriction can end its list in the sender's favour.
fn may_permit(restriction: &Restriction) -> bool {
    matches!(restriction.kind, Kind::PermitDnswlClient(_) | Kind::CheckAccess(..))
}
