//! What one restriction says, before it is weighed against the others.

use std::sync::Arc;

use facts::{DnsAnswer, Evidence, MessageAction, Reason, Reply, Stage};

use crate::config::TempfailAction;
use crate::reply::server_error;
use crate::restriction::Restriction;

/// What a restriction says, and on what grounds.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    pub(crate) says: Says,
    pub(crate) evidence: Vec<Evidence>,
}

/// What a restriction says: seldom anything, so that the replies are boxed and the word is small.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// Nothing for or against.
    Dunno,
    /// The list ends here.
    Permit(Reason),
    /// Refuse; the code says whether for now or for good.
    Refuse(Box<Reply>, Reason),
    /// Refuse for now unless something later refuses for good.
    DeferIfPermit(Box<Reply>, Reason),
    /// Turn a later refusal for good into this one.
    DeferIfReject(Box<Reply>, Reason),
    /// Keep the message aside.
    Hold(Reason),
    /// Take the message and throw it away.
    Discard(Reason),
    /// Let the message go on, and do this with it.
    Message(Box<MessageAction>),
    /// What these restrictions say.
    Restrictions(Box<Row>),
    /// It cannot say: [`crate::verdict`] knows what then.
    Unknown(Unknown),
}

/// The restrictions that a row of an access table names.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) restrictions: Arc<[Arc<Restriction>]>,
    pub(crate) about: About,
    pub(crate) on_permit: OnPermit,
}

/// What a restriction without a subject of its own, as a bare `reject`, speaks of.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// What the list of this stage is about.
    List(Stage),
    /// What was looked up in a table (Postfix: reply_name, reply_class).
    Row { name: Arc<str>, class: &'static str },
}

/// What becomes of a permit that a row leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnPermit {
    /// It ends the list, as everywhere.
    Permit,
    /// It says nothing: what was looked up is too suspicious.
    Dunno,
    /// It is a mistake of the administrator's: who meets it must come back later.
    ServerError,
}

/// Why a restriction cannot say, and the reply that the client gets where it must wait for that.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    pub(crate) class: UnknownClass,
    pub(crate) reply: Box<Reply>,
}

/// The classes of restrictions that treat a missing answer alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownClass {
    /// The client's name.
    ClientName,
    /// A HELO name, a sender's or a recipient's domain, and what the administrator wants then.
    Domain(TempfailAction),
    /// A block list.
    BlockList,
    /// A welcome list.
    WelcomeList,
    /// A table of addresses, a list of networks, or a row that no table may hold.
    Table,
}

impl Says {
    /// Takes out the restrictions of a row, if it names some.
    pub(crate) fn take_row(&mut self) -> Option<Box<Row>> {
        if !matches!(self, Self::Restrictions(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Dunno) {
            Self::Restrictions(row) => Some(row),
            _ => None,
        }
    }
}

impl OnPermit {
    /// `ruling`, which permits or names restrictions that may.
    pub(crate) fn applied(self, ruling: Ruling) -> Ruling {
        match (ruling.says, self) {
            (Says::Restrictions(row), Self::Dunno | Self::ServerError) => {
                let row = Row { on_permit: self, ..*row };
                Ruling { says: Says::Restrictions(row.into()), evidence: ruling.evidence }
            }
            (Says::Permit(_), Self::Dunno) => Ruling { says: Says::Dunno, evidence: ruling.evidence },
            (Says::Permit(_), Self::ServerError) => {
                let refused = Ruling::unknown(UnknownClass::Table, server_error());
                Ruling { evidence: ruling.evidence, ..refused }
                    .noting("OK is not allowed here: write DUNNO for an exception")
            }
            (says, _) => Ruling { says, evidence: ruling.evidence },
        }
    }
}

impl Ruling {
    pub(crate) fn dunno() -> Self {
        Says::Dunno.into()
    }

    pub(crate) fn permit(reason: Reason) -> Self {
        Says::Permit(reason).into()
    }

    pub(crate) fn refuse(reply: Reply, reason: Reason) -> Self {
        Says::Refuse(reply.into(), reason).into()
    }

    pub(crate) fn unknown(class: UnknownClass, reply: Reply) -> Self {
        Says::Unknown(Unknown { class, reply: reply.into() }).into()
    }

    /// The same ruling with one more piece of evidence.
    pub(crate) fn with(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// The same ruling on the grounds of these answers.
    pub(crate) fn on(mut self, answers: impl IntoIterator<Item = Arc<DnsAnswer>>) -> Self {
        let answers = answers.into_iter().map(Evidence::Dns);
        // Most rest on one answer alone: a vector that grows would have room for four.
        if self.evidence.is_empty() {
            self.evidence = answers.collect();
        } else {
            self.evidence.extend(answers);
        }
        self
    }

    /// The same ruling on the grounds of these answers before all others.
    pub(crate) fn after(mut self, answers: Vec<Arc<DnsAnswer>>) -> Self {
        if !answers.is_empty() {
            self.evidence.splice(0..0, answers.into_iter().map(Evidence::Dns));
        }
        self
    }

    /// The same ruling, with a remark.
    pub(crate) fn noting(self, text: impl Into<Box<str>>) -> Self {
        self.with(Evidence::Note(text.into()))
    }
}

impl From<Says> for Ruling {
    fn from(says: Says) -> Self {
        Self { says, evidence: Vec::new() }
    }
}
