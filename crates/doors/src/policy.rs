//! The policy door: Postfix asks by its policy protocol, at the stage where `check_policy_service` stands, and
//! carries out what we answer.
//!
//! All that Postfix knows comes with each request, so a request is decided by itself, unless the milter door is told of
//! the same session (`seam`), under the settings of that moment: at RCPT by the lists of all earlier stages too, if the
//! settings delay them. Put `check_policy_service` into the list of the stage's own name, best into
//! `smtpd_recipient_restrictions`.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use facts::Client;
use futures_util::FutureExt;
use net::{Limits, Listener, Peer, Stream, Workers};
use store::journal::Row;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::policy::{ProtocolState, Question, Reader, Request, push_reply};

use crate::Gate;
use crate::connection::{Connection, Then};
use crate::fault;
use crate::record::Word;
use crate::seam::{Key, Shared};

mod action;
mod config;
#[cfg(test)]
pub(crate) mod tests;

pub use config::{Config, FailureAction, Permit};

/// The door's name in the log.
const NAME: &str = "policy";
/// How long a connection may be silent when the program stops, so that a request that has left Postfix arrives.
const LAST_CALL: Duration = Duration::from_millis(50);
/// The `policy_context` that makes a request panic, under test only.
const TEST_PANIC: &str = "test_panic";

/// What the policy door has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections.
    pub connections: net::Counters,
    /// Requests, whatever became of them.
    pub requests: AtomicU64,
    /// Requests that could not be read; the connection is closed after each.
    pub malformed: AtomicU64,
    /// Requests with nothing to decide on: no client address, or a state from the future.
    pub undecidable: AtomicU64,
    /// Requests that hit a fault of ours.
    pub panics: AtomicU64,
}

/// The door.
pub struct Door {
    /// Who decides.
    pub gate: Arc<Gate>,
    /// How to serve.
    pub config: Config,
    /// Whether a request may ask for a panic, to prove that it is caught, and say what time it is.
    pub testing: bool,
}

impl Door {
    /// Serves until `stop` is cancelled: what has arrived by then is still answered. Returns how many connections
    /// had to be cut because they took too long to end.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<Listener>,
        workers: Arc<Workers>,
        stop: CancellationToken,
    ) -> usize {
        let limits = Limits { connections_max: self.config.connections_max.get(), stop_grace: self.config.stop_grace };
        let counters = &self.gate.counters.policy.connections;
        let (door, stopped) = (Arc::clone(&self), stop.clone());
        let handle = move |stream, peer| Requests::new(Arc::clone(&door), stream, peer).serve(stopped.clone());
        net::serve(listeners, limits, counters, stop, &workers, handle).await
    }

    /// The action that answers a well-formed request, and what was decided on it, unless that was decided before.
    async fn answer(&self, request: &Request<'_>) -> Option<(Option<Box<Row>>, Option<Cow<'static, str>>)> {
        assert!(!(self.testing && request.policy_context == TEST_PANIC), "a test asked for a panic");
        let counters = &self.gate.counters.policy;
        let Question { state, mut facts } = match request.question() {
            Ok(question) => question,
            Err(undecidable) => {
                counters.undecidable.fetch_add(1, Relaxed);
                let (state, client) = (Word(&request.protocol_state), Word(&request.client_address));
                tracing::warn!("policy: {undecidable}: protocol_state={state} client_address={client}");
                return None;
            }
        };
        let shared = self.shared(request, state, &facts.client);
        let decided = shared.as_ref().and_then(|shared| shared.ask(state.stage(), &mut facts));
        let is_new = decided.is_none();
        let row = match decided {
            Some(row) => row,
            None => self.gate.decide(NAME, facts.into(), state.stage(), self.now(request), self.config.deadline).await,
        };
        let action = action::action(&row.decision, request, state, self.config.permit);
        if let Some(shared) = shared {
            let mut left = Box::new(row.without_findings());
            action::carry_out(&mut left.decision);
            shared.leave(left);
        }
        Some((is_new.then_some(row), action))
    }

    /// What is shared of the session with the milter door, if that is told of it. It does not hear of VRFY and ETRN.
    fn shared(&self, request: &Request<'_>, state: ProtocolState, client: &Client) -> Option<Arc<Shared>> {
        let is_told = !matches!(state, ProtocolState::Vrfy | ProtocolState::Etrn);
        let key = || Key::new(client, &request.server_address, &request.server_port).filter(|_| is_told);
        self.gate.seams.find(key)
    }

    /// The time to decide by: the clock's, or under test what the request says.
    fn now(&self, request: &Request<'_>) -> SystemTime {
        let steered = self.testing.then(|| request.policy_test_time.parse().ok().map(Duration::from_secs)).flatten();
        steered.map_or_else(SystemTime::now, |since| UNIX_EPOCH + since)
    }

    /// As [`Self::answer`], but what cannot be answered gets the failure action, a fault of ours included.
    async fn answer_or_fail(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Option<Box<Row>> {
        // Nothing that a panic could leave half done outlives the request.
        let answered = AssertUnwindSafe(self.answer(request)).catch_unwind().await;
        let answered = answered.unwrap_or_else(|panic| {
            fault::note(
                &self.gate.counters.policy.panics,
                "policy: a fault of ours, answered with the failure action",
                &*panic,
            );
            None
        });
        let (row, action) = answered.unzip();
        push_reply(action.flatten().as_deref().unwrap_or(self.config.failure_action.as_str()), out);
        row.flatten()
    }
}

/// The requests of one connection, each answered before the next is looked at.
struct Requests {
    door: Arc<Door>,
    connection: Connection,
    reader: Reader,
    reply: Vec<u8>,
}

impl Requests {
    fn new(door: Arc<Door>, stream: Stream, peer: Peer) -> Self {
        let connection = Connection::new(stream, peer, door.config.idle_timeout);
        Self { door, connection, reader: Reader::default(), reply: Vec::new() }
    }

    async fn serve(mut self, stop: CancellationToken) {
        let mut stopped = pin!(stop.cancelled());
        loop {
            let read = tokio::select! {
                biased;
                read = self.connection.read() => read,
                () = &mut stopped => break,
            };
            if !read || matches!(self.answer_arrived().await, Then::Close) {
                return;
            }
        }
        self.answer_last().await;
    }

    /// The stop has come. A request that was on its way is still answered, then the connection closes; Postfix
    /// connects again when it needs us.
    async fn answer_last(&mut self) {
        while timeout(LAST_CALL, self.connection.read()).await == Ok(true) {
            if matches!(self.answer_arrived().await, Then::Close) || self.connection.arrived.is_empty() {
                return;
            }
        }
    }

    /// Answers all whole requests that have arrived.
    async fn answer_arrived(&mut self) -> Then {
        let mut answered = 0;
        loop {
            let rest = self.connection.arrived.get(answered..).unwrap_or_default();
            let (request, length) = match self.reader.next(rest) {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => return self.refuse(error, answered).await,
            };
            self.door.gate.counters.policy.requests.fetch_add(1, Relaxed);
            self.reply.clear();
            let row = self.door.answer_or_fail(&request, &mut self.reply).await;
            // Others who are ready are decided first: replies that go out together wake Postfix once.
            tokio::task::yield_now().await;
            let is_taken = self.connection.write(&self.reply).await;
            row.iter().for_each(|row| self.door.gate.keep(row));
            if !is_taken {
                return Then::Close;
            }
            answered += length;
        }
        self.connection.answered(answered);
        Then::Read
    }

    /// Answers a malformed request, once: where the next one would begin is anybody's guess.
    async fn refuse(&mut self, error: wire::policy::Error, at: usize) -> Then {
        let counters = &self.door.gate.counters.policy;
        counters.requests.fetch_add(1, Relaxed);
        counters.malformed.fetch_add(1, Relaxed);
        let (peer, sample) = (self.connection.peer, self.connection.sample(at));
        tracing::error!("policy: malformed request from {peer}: {error}: \"{sample}\"");
        self.reply.clear();
        push_reply(self.door.config.failure_action.as_str(), &mut self.reply);
        self.connection.write(&self.reply).await;
        Then::Close
    }
}
