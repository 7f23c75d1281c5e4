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

/// A list, what it may look at, and what is known of each of its restrictions so far: nothing as long as no restriction
/// of the walk had to ask, for most have their answers at hand.
struct Progress<'a> {
    list: &'a List,
    case: Arc<Case>,
    slots: Vec<Slot>,
}

/// What is known of one restriction.
#[derive(Default)]
enum Slot {
    /// Nobody has begun it.
    #[default]
    Untouched,
    /// It is asking, since when the stopwatch says.
    Asking(Asking, dns::Stopwatch),
    /// It has ruled, after so many microseconds.
    Ruled(Ruling, u64),
}

impl<'a> Walk<'a> {
    /// A walk through `lists`, each with the case that it is to judge.
    pub(crate) fn new(lists: impl Iterator<Item = (&'a List, Arc<Case>)>) -> Self {
        let lists: Vec<_> = lists.map(|(list, case)| Progress { list, case, slots: Vec::new() }).collect();
        let findings = Vec::with_capacity(lists.iter().map(|progress| progress.list.restrictions.len()).sum());
        Self { lists, findings }
    }

    /// Walks the lists in order and weighs each ruling. Before it waits for the first that must ask, it puts every
    /// other question on its way that may be needed.
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
                let (ruling, micros) = match self.lists[index].take(position) {
                    Slot::Ruled(ruling, micros) => (ruling, micros),
                    waiting => self.wait(index, position, waiting).await,
                };
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

    /// What the restriction at this place says, which is `waiting`. Meanwhile all the others go on asking too.
    async fn wait(&mut self, list: usize, position: usize, waiting: Slot) -> (Ruling, u64) {
        let is_first = self.lists[list].slots.is_empty();
        if is_first {
            for progress in &mut self.lists {
                progress.slots.resize_with(progress.list.restrictions.len(), || Slot::Untouched);
            }
        }
        self.lists[list].slots[position] = waiting;
        if is_first {
            self.ask_early(list, position);
        }
        poll_fn(|context| {
            for slot in self.lists.iter_mut().flat_map(|progress| &mut progress.slots) {
                slot.poll(context);
            }
            match self.lists[list].slots[position].ruled() {
                Some(ruled) => Poll::Ready(ruled),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Puts every question on its way that may be needed from this place on: all that no local restriction is sure to
    /// make needless.
    fn ask_early(&mut self, list: usize, position: usize) {
        let (mut room, mut start) = (EARLY_MAX, position);
        for progress in &mut self.lists[list..] {
            if let Next::End = progress.ask_early(std::mem::take(&mut start), &mut room) {
                return;
            }
        }
    }
}

impl Progress<'_> {
    /// Begins what may be needed of this list from `start` on, with at most `room` questions. Whether the next list
    /// may be needed too.
    fn ask_early(&mut self, start: usize, room: &mut usize) -> Next {
        let mut may_end = false;
        for (position, restriction) in self.list.restrictions.iter().enumerate().skip(start) {
            let asks = restrictions::asks(&self.case, restriction, self.list.stage);
            if asks && (!restriction.early || *room == 0 || self.case.asker.is_busy()) {
                may_end |= may_permit(restriction);
                continue;
            }
            self.slots[position] = self.take(position);
            match &self.slots[position] {
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

    /// What is known of the restriction at `position`, which is begun if nobody has.
    fn take(&mut self, position: usize) -> Slot {
        match self.slots.get_mut(position).map(std::mem::take) {
            None | Some(Slot::Untouched) => self.begin(position),
            Some(begun) => begun,
        }
    }

    fn begin(&self, position: usize) -> Slot {
        match restrictions::begin(&self.case, &self.list.restrictions[position], self.list.stage) {
            Begun::Ruled(ruling) => Slot::Ruled(ruling, 0),
            Begun::Asking(asking) => Slot::Asking(asking, self.case.asker.stopwatch()),
        }
    }
}

impl Slot {
    /// What it has ruled, if it has.
    fn ruled(&mut self) -> Option<(Ruling, u64)> {
        match std::mem::take(self) {
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
    matches!(
        restriction.kind,
        Kind::PermitDnswlClient(_) | Kind::PermitRhswlClient(_) | Kind::PermitMxBackup | Kind::CheckAccess(..)
    )
}
