//! What is asked: a name and a type.

use std::borrow::Cow;
use std::sync::Arc;

use facts::{DnsAnswer, DnsFailure, Record, RecordType};

use crate::name;

/// A question in the one form in which caches and tables hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question<'a> {
    /// Lower-case ASCII without the trailing dot; see [`name::canonical`].
    pub(crate) name: Cow<'a, str>,
    pub(crate) record_type: RecordType,
}

impl<'a> Question<'a> {
    /// The question, or the answer to it where the DNS cannot hold such a name.
    pub(crate) fn new(name: impl Into<Cow<'a, str>>, record_type: RecordType) -> Result<Self, Arc<DnsAnswer>> {
        let name = name.into();
        if name::is_canonical(&name) {
            return Ok(Self { name, record_type });
        }
        match name::canonical(&name) {
            Some(name) => Ok(Self { name: name.into(), record_type }),
            None => {
                let result = Err(DnsFailure::NxDomain);
                Err(Arc::new(DnsAnswer { name: name::printable(&name), record_type, result }))
            }
        }
    }

    /// The question that `answer` answers.
    pub(crate) fn of(answer: &'a DnsAnswer) -> Self {
        Self { name: Cow::Borrowed(&answer.name), record_type: answer.record_type }
    }

    pub(crate) fn to_owned(&self) -> Question<'static> {
        Question { name: Cow::Owned(self.name.as_ref().to_owned()), record_type: self.record_type }
    }

    pub(crate) fn answered(self, result: Result<Box<[Record]>, DnsFailure>) -> Arc<DnsAnswer> {
        Arc::new(DnsAnswer { name: self.name.into(), record_type: self.record_type, result })
    }
}
