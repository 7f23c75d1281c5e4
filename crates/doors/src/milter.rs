//! The milter door: Postfix or Sendmail tells of a session from its beginning, and we answer each step.
//!
//! What the client is, its HELO name and its sender are known before its first recipient is, so the questions that the
//! lists will ask are put on their way at once. The lists then speak at RCPT, for each recipient; with `delay_reject =
//! false` at their own stage as well.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use facts::{Reply, Stage, Verdict};
use net::{Limits, Listener, Peer, Stream, Workers};
use store::journal::Row;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wire::milter::flags::{
    SMFIF_ADDHDRS, SMFIF_ADDRCPT, SMFIF_CHGHDRS, SMFIF_DELRCPT, SMFIF_QUARANTINE, SMFIP_HDR_LEADSPC, SMFIP_NOBODY,
    SMFIP_NODATA, SMFIP_NOEOH, SMFIP_NOHDRS, SMFIP_NOUNKNOWN, SMFIP_NR_HDR, SMFIP_RCPT_REJ,
};
use wire::milter::{self, Event, Terms, Wishes, negotiate, push_negotiation};

use crate::Gate;
use crate::connection::{Connection, Then};
use crate::reply::push_with_id;
use crate::seam::Seam;

mod client;
mod config;
mod message;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod verdict_header;

pub use config::Config;
use session::{Asks, Session, Who};

/// The door's name in the log.
const NAME: &str = "milter";
/// How often a mail server is told to wait on: well below Postfix's `milter_command_timeout` of 30 s.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
/// The HELO name that makes a session panic, under test only.
const TEST_PANIC: &str = "test-panic";

/// What the milter door has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections: one for each SMTP session.
    pub connections: net::Counters,
    /// Commands, whatever became of them.
    pub commands: AtomicU64,
    /// Connections that were closed because what came was no milter protocol, or not in its order.
    pub malformed: AtomicU64,
    /// Recipients and messages that nothing can be decided on, because the client has no address.
    pub undecidable: AtomicU64,
}

/// The door.
pub struct Door {
    /// Who decides.
    pub gate: Arc<Gate>,
    /// How to serve.
    pub config: Config,
    /// Whether a session may ask for a panic, to prove that it costs no other one.
    pub testing: bool,
}

impl Door {
    /// Serves until `stop` is cancelled: the messages of open sessions may then still come to their end. Returns how
    /// many sessions had to be cut because that took too long.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<Listener>,
        workers: Arc<Workers>,
        stop: CancellationToken,
    ) -> usize {
        let limits = Limits { connections_max: self.config.connections_max.get(), stop_grace: self.config.stop_grace };
        let counters = &self.gate.counters.milter.connections;
        let (door, stopped) = (Arc::clone(&self), stop.clone());
        let handle = move |stream, peer| Commands::new(Arc::clone(&door), stream, peer).serve(stopped.clone());
        net::serve(listeners, limits, counters, stop, &workers, handle).await
    }
}

/// What we want of a mail server. It shall tell each step before the recipients at once, though most get no word of ours:
/// that is when questions go out. It need not tell what no list speaks of, nor headers where none of them may be forged.
fn wishes(settings: &judge::Settings, has_verdict_header: bool) -> Wishes<'static> {
    let unused = if settings.speaks_at(Stage::Data) { 0 } else { SMFIP_NODATA };
    let (more_actions, headers) = if has_verdict_header { (SMFIF_CHGHDRS, SMFIP_NR_HDR) } else { (0, SMFIP_NOHDRS) };
    Wishes {
        actions: SMFIF_ADDHDRS | SMFIF_ADDRCPT | SMFIF_DELRCPT | SMFIF_QUARANTINE | more_actions,
        protocol: SMFIP_NOUNKNOWN | headers | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_RCPT_REJ | SMFIP_HDR_LEADSPC | unused,
        macros: client::MACROS,
    }
}

/// The commands of one connection, each answered before the next is looked at.
struct Commands {
    door: Arc<Door>,
    connection: Connection,
    session: Session,
    /// Its place where the policy door finds it.
    seam: Option<Seam>,
    /// What was agreed on at the start; `None` before it.
    terms: Option<Terms>,
    /// The questions that are asked early, until they are answered.
    early: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    reply: Vec<u8>,
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Malformed(#[from] milter::Error),
    #[error(transparent)]
    OutOfTurn(#[from] session::OutOfTurn),
    #[error("{0} before the negotiation")]
    Unagreed(Event),
    #[error(transparent)]
    Unmet(#[from] milter::Unmet),
}

impl Commands {
    fn new(door: Arc<Door>, stream: Stream, peer: Peer) -> Self {
        let connection = Connection::new(stream, peer, door.config.idle_timeout);
        let session = Session::new(door.config.verdict_header);
        Self { door, connection, session, seam: None, terms: None, early: None, reply: Vec::new() }
    }

    async fn serve(mut self, stop: CancellationToken) {
        let mut is_stopping = false;
        while !(is_stopping && self.session.may_end()) {
            let read = tokio::select! {
                biased;
                read = self.connection.read() => read,
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    continue;
                }
                () = answers(&mut self.early), if self.early.is_some() => {
                    self.early = None;
                    continue;
                }
            };
            if !read || matches!(self.answer_arrived().await, Then::Close) {
                return;
            }
        }
    }

    /// Answers all whole commands that have arrived.
    async fn answer_arrived(&mut self) -> Then {
        let (mut answered, mut is_replied) = (0, false);
        loop {
            let (asks, event, length) = match self.hear(answered) {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(fault) => return self.complain(&fault, answered),
            };
            match self.answer(asks, event).await {
                Ok(Then::Read) => (answered, is_replied) = (answered + length, !self.reply.is_empty()),
                Ok(Then::Close) => return Then::Close,
                Err(fault) => return self.complain(&fault, answered),
            }
        }
        self.connection.answered(answered);
        if !is_replied {
            // Postfix sends the macros of commands that we are spared, and then what we are not spared: in two writes.
            self.connection.acknowledge();
        }
        Then::Read
    }

    /// What the command asks for that begins at `at`, if it is whole, and its length.
    fn hear(&mut self, at: usize) -> Result<Option<(Asks, Event, usize)>, Fault> {
        let rest = self.connection.arrived.get(at..).unwrap_or_default();
        let Some((command, length)) = milter::read(rest)? else { return Ok(None) };
        self.door.gate.counters.milter.commands.fetch_add(1, Relaxed);
        Ok(Some((self.session.hear(&command)?, command.event(), length)))
    }

    async fn answer(&mut self, asks: Asks, event: Event) -> Result<Then, Fault> {
        self.reply.clear();
        let left = self.meet(asks, event);
        let mut row = None;
        match (asks, self.terms) {
            (Asks::End, _) => return Ok(Then::Close),
            (Asks::Terms(offered), _) => self.agree(offered)?,
            (_, None) => return Err(Fault::Unagreed(event)),
            (Asks::Nothing, Some(terms)) => self.push(terms, milter::Reply::Continue, event),
            (Asks::Room, Some(terms)) => {
                let reply = Reply::new(452, "4.5.3", "Error: too many recipients");
                self.push(terms, milter::Reply::Code(&reply), event);
            }
            (Asks::Verdict(stage), Some(terms)) => {
                self.ask_early(stage);
                if left.is_none() {
                    match self.judge(terms, stage).await {
                        Ok(judged) => row = judged,
                        Err(Gone) => return Ok(Then::Close),
                    }
                }
                self.push_verdict(terms, left.as_deref().or(row.as_deref()), stage, event);
            }
        }
        // Others who are ready are decided first: replies that go out together wake the mail server once.
        tokio::task::yield_now().await;
        let is_taken = self.reply.is_empty() || self.connection.write(&self.reply).await;
        row.iter().for_each(|row| self.door.gate.keep(row));
        Ok(if is_taken { Then::Read } else { Then::Close })
    }

    fn agree(&mut self, offered: Terms) -> Result<(), Fault> {
        let wishes = wishes(&self.door.gate.settings.load(), self.door.config.verdict_header);
        let agreed = negotiate(offered, &wishes)?;
        push_negotiation(agreed, &wishes, &mut self.reply);
        self.terms = Some(agreed);
        Ok(())
    }

    /// Meets the policy door at the seam: what it has decided on the same command. That is ours to tell, not to keep.
    fn meet(&mut self, asks: Asks, event: Event) -> Option<Box<Row>> {
        if matches!(event, Event::Connect | Event::QuitNewConnection) {
            self.seam = self.session.key().map(|key| self.door.gate.seams.enter(key));
        }
        let stage = match (asks, event) {
            (Asks::Verdict(stage), _) => stage,
            (_, Event::Rcpt) => Stage::Rcpt,
            _ => return None,
        };
        let (Some(seam), Who::Client(facts)) = (&self.seam, &self.session.who) else { return None };
        let left = seam.hear(stage, facts);
        left.inspect(|left| tracing::debug!("milter: decided at the policy door: id={}", left.decision.id))
    }

    /// Puts the questions on their way that can be asked now. Those of the stage before are among them.
    fn ask_early(&mut self, stage: Stage) {
        let facts = self.session.early(stage);
        self.early = facts.map(|facts| Box::pin(self.door.gate.ask_early(Arc::clone(facts), stage)) as _);
    }

    /// The decision, where there is one to take. Meanwhile what is asked early goes on, and the mail server is told to wait.
    async fn judge(&mut self, terms: Terms, stage: Stage) -> Result<Option<Box<Row>>, Gone> {
        let gate = Arc::clone(&self.door.gate);
        let Who::Client(facts) = &self.session.who else { return Ok(None) };
        assert!(!(self.door.testing && is_test_panic(facts)), "a test asked for a panic");
        if self.session.is_discarded() || !gate.settings.load().speaks_at(stage) {
            return Ok(None);
        }
        let facts = Arc::clone(facts);
        let waits_on = self.session.waits_on(stage);
        let mut deciding = pin!(gate.decide(NAME, facts, stage, SystemTime::now(), self.door.config.deadline));
        loop {
            tokio::select! {
                biased;
                row = &mut deciding => return Ok(Some(row)),
                () = answers(&mut self.early), if self.early.is_some() => self.early = None,
                () = sleep(PROGRESS_PERIOD), if waits_on => {
                    let mut progress = Vec::new();
                    terms.push_reply(milter::Reply::Progress, &mut progress);
                    if !self.connection.write(&progress).await {
                        return Err(Gone);
                    }
                }
            }
        }
    }

    /// Appends what was decided at `stage`, and remembers what it asks for later.
    fn push_verdict(&mut self, terms: Terms, row: Option<&Row>, stage: Stage, event: Event) {
        let refusal = match row.map(|row| (&row.decision, row.decision.effect())) {
            None => self.refusal_of_nobody(stage),
            Some((decision, effect)) if !matches!(effect.verdict, Verdict::Reject | Verdict::Defer) => {
                self.session.take(decision, stage);
                None
            }
            // Before RCPT something later may still refuse for good.
            Some((_, effect)) if stage < Stage::Rcpt && *effect.deferral == facts::Deferral::IfPermit => None,
            Some((decision, effect)) => Some(effect.reply.map_or_else(failure, |reply| {
                let around = "450 ".len() + reply.enhanced.len() + " ".len();
                let mut text = String::new();
                push_with_id(&mut text, &reply.text, decision.id, around);
                Reply { text: text.into(), ..reply.clone() }
            })),
        };
        let message = if stage == Stage::EndOfData { self.session.end_message() } else { None };
        match (&refusal, message) {
            (Some(reply), _) => self.push(terms, milter::Reply::Code(reply), event),
            (None, Some(message)) => message.push_end(terms, &mut self.reply),
            (None, None) => self.push(terms, milter::Reply::Continue, event),
        }
    }

    /// A decision without an address would skip every check on the client: its mail must wait.
    fn refusal_of_nobody(&self, stage: Stage) -> Option<Reply> {
        if stage < Stage::Rcpt || !matches!(self.session.who, Who::Nobody) {
            return None;
        }
        self.door.gate.counters.milter.undecidable.fetch_add(1, Relaxed);
        tracing::warn!("milter: the client's address is unknown");
        Some(failure())
    }

    fn push(&mut self, terms: Terms, reply: milter::Reply<'_>, event: Event) {
        if terms.awaits_reply(event) {
            terms.push_reply(reply, &mut self.reply);
        }
    }

    /// The mail server goes by its `milter_default_action` from here on.
    fn complain(&self, fault: &Fault, at: usize) -> Then {
        self.door.gate.counters.milter.malformed.fetch_add(1, Relaxed);
        let (peer, sample) = (self.connection.peer, self.connection.sample(at));
        tracing::error!("milter: closing the connection of {peer}: {fault}: \"{sample}\"");
        Then::Close
    }
}

/// The mail server is gone.
struct Gone;

/// The answers to what is asked early.
async fn answers(early: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    if let Some(early) = early {
        early.await;
    }
}

fn is_test_panic(facts: &facts::Facts) -> bool {
    facts.greeting.as_ref().is_some_and(|greeting| &*greeting.helo_name == TEST_PANIC)
}

/// The reply where there is nothing to go by.
fn failure() -> Reply {
    Reply::new(451, "4.3.0", "This mail could not be checked, please try again later")
}
