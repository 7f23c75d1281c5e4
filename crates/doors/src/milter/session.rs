//! One SMTP session as a mail server tells it to a milter: commands become facts, and what they ask for.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use facts::{Decision, EmailAddress, Envelope, Facts, Greeting, Recipient, Stage};
use wire::milter::{Command, Connect, Event, Path, Terms};

use super::client::{Told, is_local};
use super::message::{Message, RECIPIENTS_MAX};
use crate::seam::Key;

/// A session. It outlives its messages.
#[derive(Debug, Default)]
pub(super) struct Session {
    told: Told,
    /// Whose it is.
    pub(super) who: Who,
    /// The message in the making.
    message: Option<Message>,
    /// Whether a message was begun.
    had_message: bool,
    /// Whether messages are to have an `X-Portcullis` header.
    has_verdict_header: bool,
}

/// Whose session it is.
#[derive(Debug, Default)]
pub(super) enum Who {
    /// Nobody's: there is no client, or it has no address.
    #[default]
    Nobody,
    /// A program's on the mail server's own host. Nothing of it may be refused before its end: Postfix would keep the
    /// message and try for ever ("can't reject recipient in non-smtpd(8) submission"). Postfix's own lists do not speak
    /// of it either.
    Local,
    /// A client's.
    Client(Arc<Facts>),
}

impl Who {
    /// What is known of a client, to be changed: whoever decides on it goes on with what was known before.
    fn known(&mut self) -> Option<&mut Facts> {
        if let Self::Client(facts) = self { Some(Arc::make_mut(facts)) } else { None }
    }
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// What both sides can do.
    Terms(Terms),
    /// A reply, if one is awaited, and that it goes on.
    Nothing,
    /// What the lists say at this stage.
    Verdict(Stage),
    /// Room for one recipient more, which there is not.
    Room,
    /// An end of the connection.
    End,
}

/// A command where it makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} out of turn")]
pub(super) struct OutOfTurn(Event);

impl Session {
    /// A session of which nothing is known. `has_verdict_header`: whether messages are to have an `X-Portcullis` header.
    pub(super) fn new(has_verdict_header: bool) -> Self {
        Self { has_verdict_header, ..Self::default() }
    }

    /// Takes a command on.
    ///
    /// # Errors
    /// The command makes no sense here.
    pub(super) fn hear(&mut self, command: &Command<'_>) -> Result<Asks, OutOfTurn> {
        let event = command.event();
        Ok(match command {
            Command::Negotiation(offered) => Asks::Terms(*offered),
            Command::Macros(macros) => {
                self.told.learn(macros);
                Asks::Nothing
            }
            Command::Connect(connect) => {
                self.connect(connect);
                Asks::Verdict(Stage::Connect)
            }
            Command::Helo(helo_name) => {
                self.helo(helo_name);
                Asks::Verdict(Stage::Helo)
            }
            Command::Mail(path) => {
                self.mail(path);
                Asks::Verdict(Stage::Mail)
            }
            Command::Rcpt(path) => {
                let message = self.message.as_ref().ok_or(OutOfTurn(event))?;
                let is_full = message.recipients.len() >= RECIPIENTS_MAX;
                self.rcpt(path);
                // Who is refused already need not be judged.
                match self.told.is_refused() {
                    true => Asks::Nothing,
                    false if is_full => Asks::Room,
                    false => Asks::Verdict(Stage::Rcpt),
                }
            }
            Command::Data => {
                self.whole(event)?;
                Asks::Verdict(Stage::Data)
            }
            Command::EndOfMessage(_) => {
                self.whole(event)?;
                Asks::Verdict(Stage::EndOfData)
            }
            Command::Abort => {
                self.end_message();
                Asks::Nothing
            }
            Command::QuitNewConnection => {
                self.end_message();
                (self.told, self.who) = (Told::default(), Who::Nobody);
                Asks::Nothing
            }
            Command::Quit => Asks::End,
            Command::Header(header) => {
                if let Some(message) = &mut self.message {
                    message.hear(header);
                }
                Asks::Nothing
            }
            Command::Unknown(_) | Command::EndOfHeaders | Command::Body(_) => Asks::Nothing,
        })
    }

    fn connect(&mut self, connect: &Connect<'_>) {
        self.end_message();
        self.who = match self.told.client(connect) {
            _ if is_local(connect) => Who::Local,
            Some(client) => Who::Client(Facts::new(client).into()),
            None => Who::Nobody,
        };
    }

    fn helo(&mut self, helo_name: &str) {
        self.end_message();
        self.encrypt();
        if let Some(facts) = self.who.known() {
            facts.greeting = (!helo_name.is_empty()).then(|| Greeting { helo_name: neutered(helo_name).into() });
        }
    }

    /// The client's encryption begins with STARTTLS, in the middle of the session.
    fn encrypt(&mut self) {
        let encryption = self.told.encryption();
        if let Some(facts) = self.who.known()
            && facts.client.encryption != encryption
        {
            Arc::make_mut(&mut facts.client).encryption = encryption;
        }
    }

    fn mail(&mut self, path: &Path<'_>) {
        self.end_message();
        self.encrypt();
        self.had_message = true;
        let sasl_username = self.told.sasl_username();
        self.message = Some(Message::new(self.has_verdict_header));
        if let Some(facts) = self.who.known() {
            facts.envelope = Some(Envelope { sender: EmailAddress::new(&path.address), recipient_count: None });
            facts.sasl_username = sasl_username;
            // Each new RandomState hashes otherwise.
            facts.instance = Some(RandomState::new().hash_one(()));
        }
    }

    fn rcpt(&mut self, path: &Path<'_>) {
        if let Some(facts) = self.who.known() {
            facts.recipient = EmailAddress::new(&path.address).map(|address| Recipient { address });
        }
        self.count_recipients();
    }

    /// From DATA on all recipients are known, and named where there is one.
    fn whole(&mut self, event: Event) -> Result<(), OutOfTurn> {
        let message = self.message.as_ref().ok_or(OutOfTurn(event))?;
        if let Some(facts) = self.who.known() {
            facts.recipient = message.recipients.first().filter(|_| message.recipients.len() == 1).cloned();
        }
        self.count_recipients();
        Ok(())
    }

    fn count_recipients(&mut self) {
        if let (Some(message), Some(facts)) = (&self.message, self.who.known())
            && let Some(envelope) = &mut facts.envelope
        {
            envelope.recipient_count = u32::try_from(message.recipients.len()).ok();
        }
    }

    /// The message is whole, refused or given up. Nothing of it counts for the next.
    pub(super) fn end_message(&mut self) -> Option<Message> {
        if let Some(facts) = self.who.known() {
            (facts.envelope, facts.recipient, facts.sasl_username, facts.instance) = (None, None, None, None);
        }
        self.message.take()
    }

    /// What the decision on the session at `stage` lets go on.
    pub(super) fn take(&mut self, decision: &Decision, stage: Stage) {
        let (Some(message), Who::Client(facts)) = (&mut self.message, &self.who) else { return };
        if stage == Stage::Rcpt {
            message.recipients.extend(facts.recipient.clone());
        }
        // What earlier stages want is found again at RCPT, for each recipient.
        if stage >= Stage::Rcpt {
            message.take(decision);
        }
    }

    /// What the policy door is told of the same session.
    pub(super) fn key(&self) -> Option<Key> {
        if let Who::Client(facts) = &self.who { self.told.key(&facts.client) } else { None }
    }

    /// What may be asked early now. Users who hand in their mail log in first: what is asked about others would be
    /// wasted on them.
    pub(super) fn early(&self, stage: Stage) -> Option<&Arc<Facts>> {
        let may_log_in = stage < Stage::Mail && self.told.is_submission();
        match &self.who {
            Who::Client(facts) if stage < Stage::Rcpt && !may_log_in => Some(facts),
            _ => None,
        }
    }

    /// Whether the mail server waits on when it is told to, at this stage.
    pub(super) fn waits_on(&self, stage: Stage) -> bool {
        stage == Stage::EndOfData || self.told.is_postfix()
    }

    /// Whether the message in the making is thrown away.
    pub(super) fn is_discarded(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.discard)
    }

    /// Whether it has had a message, and has none in the making.
    pub(super) fn may_end(&self) -> bool {
        self.had_message && self.message.is_none()
    }
}

/// A HELO name as Postfix's own lists and policy services see it: what could mislead whoever reads it in an address or in
/// a log is a question mark (smtpd.c: `NEUTER_CHARACTERS`).
fn neutered(helo_name: &str) -> String {
    helo_name.replace(|c: char| c.is_control() || " <>()\\\";@".contains(c), "?")
}
