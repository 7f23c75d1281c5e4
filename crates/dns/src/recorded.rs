//! Answers from a recording: what makes a decision replayable.

use std::collections::HashMap;
use std::sync::Arc;

use facts::{DnsAnswer, DnsFailure};

use crate::question::Question;

#[derive(Debug)]
pub(crate) struct Recorded {
    answers: HashMap<Question<'static>, Arc<DnsAnswer>>,
}

impl FromIterator<DnsAnswer> for Recorded {
    fn from_iter<I: IntoIterator<Item = DnsAnswer>>(answers: I) -> Self {
        let answers = answers.into_iter().map(|answer| (Question::of(&answer).to_owned(), Arc::new(answer)));
        Self { answers: answers.collect() }
    }
}

impl Recorded {
    pub(crate) fn answer(&self, question: Question<'_>) -> Arc<DnsAnswer> {
        let answer = self.answers.get(&question).cloned();
        answer.unwrap_or_else(|| question.answered(Err(DnsFailure::NotRecorded)))
    }
}
