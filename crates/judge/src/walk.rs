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

/// The lists of one decision.
pub(crate) struct Walk<'a> {
    lists: Vec<Progress<'a>>,
    findings: Vec<Finding>,
}

/// A list, what it may look at, and what is known of each of its restrictions so far.
struct Progress<'a> {
    list: &'a List,
    case: Arc<Case>,
    slots: Vec<Slot>,
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
    /// A walk through `lists`, each with the case that it is to judge.
    pub(crate) fn new(lists: impl Iterator<Item = (&'a List, Arc<Case>)>) -> Self {
        let progress = |(list, case): (&'a List, Arc<Case>)| Progress {
            list,
            case,
            slots: list.restrictions.iter().map(|_| Slot::Untouched).collect(),
        };
        Self { lists: lists.map(progress).collect(), findings: Vec::new() }
    }

    /// Puts every question that may be needed on its way, before anything is decided: all that no local restriction
    /// is sure to make needless.
    pub(crate) fn ask_early(&mut self) {
        let mut room = EARLY_MAX;
        for progress in &mut self.lists {
            if let Next::End = progress.ask_early(&mut room) {
                return;
            }
        }
    }

    /// Walks the lists in order and weighs each ruling, waiting for those that still ask.
    pub(crate) async fn decide(mut self, stage: Stage) -> (Settled, Vec<Finding>) {
        let mut scales = Scales::new();
        let mut stage_before = None;
        'lists: for index in 0..self.lists.len() {
            let list = self.lists[index].list;
            // The relay and the recipient list are of one stage, and share what is held against a rejection.
            if stage_before.replace(list.stage) != Some(list.stage) {
                scales.begin();
            }
            for (position, restriction) in list.restrictions.iter().enumerate() {
                let (ruling, micros) = self.ruling(index, position).await;
                let (outcome, next) = scales.weigh(ruling.says, list.stage, restriction.text, restriction.warn);
                self.findings.push(Finding {
                    list: list.name,
                    stage: list.stage,
                    restriction: restriction.text,
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
        self.lists[list].begin(position);
        poll_fn(|context| {
            if let Slot::Asking(..) = self.lists[list].slots[position] {
                for slot in self.lists.iter_mut().flat_map(|progress| &mut progress.slots) {
                    slot.poll(context);
                }
            }
            match self.lists[list].slots[position].take() {
                Some(ruled) => Poll::Ready(ruled),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Progress<'_> {
    /// Begins what may be needed of this list, with at most `room` questions. Whether the next list may be needed
    /// too.
    fn ask_early(&mut self, room: &mut usize) -> Next {
        let mut may_end = false;
        for (position, restriction) in self.list.restrictions.iter().enumerate() {
            let asks = restrictions::asks(&self.case, restriction, self.list.stage);
            if asks && (!restriction.early || *room == 0 || self.case.asker.is_busy()) {
                may_end |= may_permit(restriction);
                continue;
            }
            match self.begin(position) {
                Slot::Ruled(ruling, _) => match &ruling.says {
                    Says::Permit(_) => return Next::List,
                    Says::Refuse(..) if restriction.warn => {}
                    // What may have ended the list before it may let the session go on to the next one.
                    Says::Refuse(..) | Says::Discard => return if may_end { Next::List } else { Next::End },
                    _ => {}
                },
                // It refuses whatever the client's name turns out to be.
                Slot::Asking(..) if refuses(restriction) => return if may_end { Next::List } else { Next::End },
                Slot::Asking(..) => {
                    *room -= 1;
                    may_end |= may_permit(restriction);
                }
                Slot::Untouched => {}
            }
        }
        Next::List
    }

    fn begin(&mut self, position: usize) -> &Slot {
        let (restriction, slot) = (&self.list.restrictions[position], &mut self.slots[position]);
        if let Slot::Untouched = slot {
            *slot = match restrictions::begin(&self.case, restriction, self.list.stage) {
                Begun::Ruled(ruling) => Slot::Ruled(ruling, 0),
                Begun::Asking(asking) => Slot::Asking(asking, self.case.asker.stopwatch()),
            };
        }
        slot
    }
}

impl Slot {
    /// What it has ruled, if it has.
    fn take(&mut self) -> Option<(Ruling, u64)> {
        match std::mem::replace(self, Self::Untouched) {
            Self::Ruled(ruling, micros) => Some((ruling, micros)),
            waiting => {
                *self = waiting;
                None
            }
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

/// Whether a restriction refuses for sure.
fn refuses(restriction: &Restriction) -> bool {
    matches!(restriction.kind, Kind::Reject | Kind::Defer) && !restriction.warn
}

/// Whether a restriction can end its list in the sender's favour.
fn may_permit(restriction: &Restriction) -> bool {
    matches!(restriction.kind, Kind::PermitDnswlClient(_) | Kind::CheckAccess(..))
}
