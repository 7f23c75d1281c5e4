//! The seam between the policy door and the milter door: a session of which both are told is judged once.
//!
//! Postfix (3.7) asks its own lists before its milters at every command, so the policy door always decides first, and
//! what it decided waits here until the milter hears of the same command. The milter hears of a session before its first
//! HELO and until its end: it keeps the place.
//!
//! - At RCPT, with `smtpd_delay_reject`, a policy service may be asked once for each list it stands in. The milter hears of
//!   each RCPT, whoever refused it.
//! - At HELO, MAIL, DATA and the end of the message a milter is not told of what was refused, and a client may say it again:
//!   there a request never takes over what an earlier one found.
//! - Of RSET it is told when the next MAIL has been accepted only, so a policy service may be asked about that MAIL before
//!   the milter hears of the last message's end.
//! - At CONNECT nobody has told a milter yet: each door decides by itself. Where the policy door refuses, no milter is told.
//! - VRFY and ETRN are not told to a milter; XCLIENT begins a session anew on a new milter connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use facts::{Client, Facts, Stage, hostname};
use store::journal::Row;

#[cfg(test)]
mod tests;

/// What both doors are told of a session: who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    client: SocketAddr,
    server: SocketAddr,
}

/// The sessions that milter connections tell of.
#[derive(Debug, Default)]
pub(crate) struct Seams {
    /// How many there are: the policy door takes no lock where there are none.
    count: AtomicUsize,
    shared: Mutex<HashMap<Key, Arc<Shared>>>,
}

/// A milter connection's place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seam {
    seams: Arc<Seams>,
    key: Key,
    shared: Arc<Shared>,
}

/// What the doors share of one session: never more than one decision.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// The milter door's name for the message in the making: what a message gets once, it gets once from both doors.
    instance: Option<u64>,
    left: Option<Box<Row>>,
}

impl Key {
    /// The key; `None` where one of the four was not told, for then nothing tells two sessions apart.
    pub(crate) fn new(client: &Client, server_address: &str, server_port: &str) -> Option<Self> {
        let server = SocketAddr::new(hostname::parse_address(server_address)?, server_port.parse().ok()?);
        (client.port != 0).then(|| Self { client: SocketAddr::new(client.address, client.port), server })
    }
}

impl Seams {
    /// A milter connection tells of this session from now on.
    pub(crate) fn enter(self: &Arc<Self>, key: Key) -> Seam {
        let seam = Seam { seams: Arc::clone(self), key, shared: Arc::default() };
        self.change(|shared| drop(shared.insert(key, Arc::clone(&seam.shared))));
        seam
    }

    /// What is shared of the session, if a milter tells of it.
    pub(crate) fn find(&self, key: impl FnOnce() -> Option<Key>) -> Option<Arc<Shared>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let key = key()?;
        locked(&self.shared).get(&key).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<Key, Arc<Shared>>)) {
        let mut shared = locked(&self.shared);
        change(&mut shared);
        self.count.store(shared.len(), Ordering::Release);
    }
}

impl Seam {
    /// The milter hears of a step: what the policy door has decided on it. What it decided on others counts no more.
    pub(crate) fn hear(&self, stage: Stage, facts: &Facts) -> Option<Box<Row>> {
        let mut memory = locked(&self.shared.0);
        memory.instance = facts.instance;
        memory.take(stage, facts)
    }
}

impl Drop for Seam {
    fn drop(&mut self) {
        // XCLIENT may leave the key as it was: the connection that took over has its own place.
        let is_ours = |shared: &Arc<Shared>| Arc::ptr_eq(shared, &self.shared);
        self.seams.change(|shared| {
            if shared.get(&self.key).is_some_and(is_ours) {
                shared.remove(&self.key);
            }
        });
    }
}

impl Shared {
    /// The policy door is asked about a step, and calls the message as the milter does: what it has decided already, for
    /// another list at the same RCPT.
    pub(crate) fn ask(&self, stage: Stage, facts: &mut Facts) -> Option<Box<Row>> {
        let mut memory = locked(&self.0);
        if facts.instance.is_some() {
            facts.instance = memory.instance.or(facts.instance);
        }
        memory.take(stage, facts).filter(|_| stage == Stage::Rcpt)
    }

    /// Leaves what was decided to whoever is told of the same step next.
    pub(crate) fn leave(&self, row: Box<Row>) {
        locked(&self.0).left = Some(row);
    }
}

impl Memory {
    fn take(&mut self, stage: Stage, facts: &Facts) -> Option<Box<Row>> {
        self.left.take().filter(|row| row.stage == stage && is_same(&row.facts, facts))
    }
}

/// Whether two doors were told the same. Of the client they are told in different ways, and it is the same by the key.
fn is_same(one: &Facts, other: &Facts) -> bool {
    let [sender, other_sender] = [one, other].map(|facts| facts.envelope.as_ref().map(|envelope| &envelope.sender));
    sender == other_sender
        && one.recipient == other.recipient
        && one.greeting == other.greeting
        && one.sasl_username == other.sasl_username
}

/// A fault of one session has left nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
