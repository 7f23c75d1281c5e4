//! Ask early, decide in order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use facts::{Evidence, Finding, Outcome, Stage};

use crate::case::Case;
use crate::restriction::{Kind, Restriction};
use crate::restrictions::{self, Asking, Begun};
use crate::ruling::{About, Row, Ruling, Says};
use crate::settings::List;
use crate::shadow::Balance;
use crate::verdict::{Next, Scales};

/// How many questions one decision may have out before their turn.
const EARLY_MAX: usize = 32;
/// How many lists one decision goes by, at most: those up to RCPT.
const LISTS_MAX: usize = 5;

/// The lists of one decision.
pub(crate) struct Walk<'a> {
    lists: Vec<Progress<'a>>,
    findings: Vec<Finding>,
}

/// A list, what it may look at, and those of its restrictions that were begun before their turn: there is no slot as
/// long as no restriction of the walk had to ask, for most have their answers at hand.
struct Progress<'a> {
    list: &'a List,
    case: Arc<Case>,
    slots: Vec<Option<Begun>>,
}

impl<'a> Walk<'a> {
    /// A walk through `lists`, each with the case that it is to judge.
    pub(crate) fn new(lists: impl Iterator<Item = (&'a List, Arc<Case>)>) -> Self {
        let mut all = Vec::with_capacity(LISTS_MAX);
        all.extend(lists.map(|(list, case)| Progress { list, case, slots: Vec::new() }));
        let findings = Vec::with_capacity(all.iter().map(|progress| progress.list.restrictions.len()).sum());
        Self { lists: all, findings }
    }

    /// Walks the lists in order and weighs each ruling on `balance`. Before it waits for the first that must ask, it puts
    /// every other question on its way that may be needed. Returns what was found.
    pub(crate) async fn weigh(mut self, balance: &mut Balance) -> Vec<Finding> {
        let mut stage_before = None;
        'lists: for index in 0..self.lists.len() {
            let list = self.lists[index].list;
            balance.each().for_each(Scales::begin_list);
            // The relay and the recipient list are of one stage, and share what is held against a rejection.
            if stage_before.replace(list.stage) != Some(list.stage) {
                balance.each().for_each(Scales::begin_stage);
                // VRFY comes without a sender: it is asked about by itself (Postfix: smtpd_check_mail, left out).
                if list.stage == Stage::Rcpt && self.lists[index].case.facts.envelope.is_none() {
                    balance.each().for_each(Scales::forget_if_permit);
                }
            }
            let mut from = 0;
            while let Some((position, begun)) = self.pass_silent(balance, index, from) {
                from = position + 1;
                let restriction = &list.restrictions[position];
                let (mut ruling, micros) = match begun {
                    Begun::Ruled(ruling, micros) => (ruling, micros),
                    asking => self.wait(index, position, asking).await,
                };
                let row = ruling.says.take_row();
                self.weigh_ruling(balance, list, restriction, restriction.warn, (ruling, micros));
                if let Some(row) = row {
                    Box::pin(self.descend(balance, (index, position), row, restriction.warn)).await;
                }
                match balance.go_on() {
                    Next::Restriction => {}
                    Next::List => break,
                    Next::End => break 'lists,
                }
            }
        }
        self.findings
    }

    /// Asks early from the first restriction on, and waits for all answers.
    pub(crate) async fn ask(mut self) {
        self.make_slots();
        self.ask_early(0, 0);
        poll_fn(|context| {
            let mut is_asking = false;
            for slot in self.lists.iter_mut().flat_map(|progress| &mut progress.slots) {
                poll(slot, context);
                is_asking |= matches!(slot, Some(Begun::Asking(..)));
            }
            if is_asking { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Passes the restrictions of a list from this place on that answer at once and have nothing to say, as most do, and
    /// those that matter no more. Returns the first other, begun.
    fn pass_silent(&mut self, balance: &mut Balance, index: usize, from: usize) -> Option<(usize, Begun)> {
        let progress = &mut self.lists[index];
        let list = progress.list;
        for (position, restriction) in list.restrictions.iter().enumerate().skip(from) {
            if !balance.hears(list, position, restriction) {
                continue;
            }
            let (evidence, micros) = match restrictions::is_silent(&progress.case, &restriction.kind) {
                true => (Vec::new(), 0),
                false => match progress.take(position) {
                    Begun::Ruled(ruling, micros) if matches!(ruling.says, Says::Dunno) => (ruling.evidence, micros),
                    begun => return Some((position, begun)),
                },
            };
            self.findings.push(finding(list, restriction, Outcome::Dunno, evidence, micros));
            if balance.go_on() != Next::Restriction {
                break;
            }
        }
        None
    }

    fn weigh_ruling(
        &mut self,
        balance: &mut Balance,
        list: &List,
        restriction: &Restriction,
        warn: bool,
        (ruling, micros): (Ruling, u64),
    ) {
        let outcome = balance.weigh(ruling.says, list, restriction, warn);
        self.findings.push(finding(list, restriction, outcome, ruling.evidence, micros));
    }

    /// Weighs the restrictions that a row of an access table names, one after the other.
    async fn descend(&mut self, balance: &mut Balance, place: (usize, usize), row: Box<Row>, warn: bool) {
        let (index, position) = place;
        let (list, case) = (self.lists[index].list, Arc::clone(&self.lists[index].case));
        for restriction in &*row.restrictions {
            if !balance.hears(list, position, restriction) {
                continue;
            }
            let (ruling, micros) = match restrictions::begin(&case, restriction, &row.about) {
                Begun::Ruled(ruling, micros) => (ruling, micros),
                Begun::Asking(asking, since) => self.wait_for(asking, since).await,
            };
            let warn = warn || restriction.warn;
            let permits = matches!(ruling.says, Says::Permit(_));
            let mut ruling = row.on_permit.applied(ruling);
            let inner = ruling.says.take_row();
            self.weigh_ruling(balance, list, restriction, warn, (ruling, micros));
            if let Some(inner) = inner {
                Box::pin(self.descend(balance, place, inner, warn)).await;
            }
            // Even a permit that says nothing ends the row.
            if permits || balance.go_on() != Next::Restriction {
                return;
            }
        }
    }

    /// What the restriction at this place says, which was `begun`. Meanwhile all the others go on asking too.
    async fn wait(&mut self, list: usize, position: usize, begun: Begun) -> (Ruling, u64) {
        let is_first = self.lists[list].slots.is_empty();
        if is_first {
            self.make_slots();
        }
        self.lists[list].slots[position] = Some(begun);
        if is_first {
            self.ask_early(list, position);
        }
        match self.lists[list].take(position) {
            Begun::Asking(asking, since) => self.wait_for(asking, since).await,
            Begun::Ruled(ruling, micros) => (ruling, micros),
        }
    }

    fn make_slots(&mut self) {
        for progress in &mut self.lists {
            progress.slots.resize_with(progress.list.restrictions.len(), || None);
        }
    }

    async fn wait_for(&mut self, mut asking: Asking, since: dns::Stopwatch) -> (Ruling, u64) {
        poll_fn(|context| {
            for slot in self.lists.iter_mut().flat_map(|progress| &mut progress.slots) {
                poll(slot, context);
            }
            asking.as_mut().poll(context).map(|ruling| (ruling, since.micros()))
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
                may_end |= restriction.may_permit();
                continue;
            }
            let begun = self.take(position);
            match self.slots[position].insert(begun) {
                Begun::Ruled(ruling, _) => match &ruling.says {
                    Says::Permit(_) => return Next::List,
                    Says::Refuse(..) if restriction.warn => {}
                    // Who knows what they let pass.
                    Says::Restrictions(_) => may_end = true,
                    // What may have ended the list before it may let the session go on to the next one.
                    Says::Refuse(..) | Says::Discard(_) => return if may_end { Next::List } else { Next::End },
                    _ => {}
                },
                // It refuses whatever the client's name turns out to be.
                Begun::Asking(..) if refuses(restriction) => return if may_end { Next::List } else { Next::End },
                Begun::Asking(..) => {
                    // What is local asks for the client's name where it must name it, which nobody counts before.
                    *room = room.saturating_sub(1);
                    may_end |= restriction.may_permit();
                }
            }
        }
        Next::List
    }

    /// The restriction at `position`, which is begun now if it was not before.
    fn take(&mut self, position: usize) -> Begun {
        match self.slots.get_mut(position).and_then(Option::take) {
            Some(begun) => begun,
            None => restrictions::begin(&self.case, &self.list.restrictions[position], &About::List(self.list.stage)),
        }
    }
}

fn finding(list: &List, restriction: &Restriction, outcome: Outcome, evidence: Vec<Evidence>, micros: u64) -> Finding {
    Finding { list: list.name, stage: list.stage, restriction: restriction.text, outcome, evidence, micros }
}

/// Looks whether a restriction that asks has its answer.
fn poll(slot: &mut Option<Begun>, context: &mut Context<'_>) {
    if let Some(Begun::Asking(asking, since)) = slot
        && let Poll::Ready(ruling) = asking.as_mut().poll(context)
    {
        *slot = Some(Begun::Ruled(ruling, since.micros()));
    }
}

/// Whether a restriction refuses for sure.
fn refuses(restriction: &Restriction) -> bool {
    matches!(restriction.kind, Kind::Reject | Kind::Defer) && !restriction.warn
}
