//! What the judge must reach beyond the DNS: an administrator's own policy services, and time that passes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use facts::{Endpoint, Facts, Stage, Terms};
use futures_util::future::BoxFuture;

use crate::config::PolicyAction;

/// A policy service, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyService {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How it is asked.
    pub terms: Terms,
    /// The action where it does not answer.
    pub default_action: PolicyAction,
    /// What it is told as `policy_context`.
    pub policy_context: String,
}

/// What a policy service is asked.
#[derive(Clone, Debug)]
pub struct PolicyQuery {
    /// Who is asked.
    pub service: Arc<PolicyService>,
    /// What is known of the session.
    pub facts: Facts,
    /// Where the session stands.
    pub stage: Stage,
}

/// The action that a policy service wants, or why there is none, in words.
pub type PolicyAnswer = Result<String, String>;

/// The means to reach what lies outside. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Outside(Option<Arc<Means>>);

struct Means {
    ask: Box<dyn Fn(PolicyQuery) -> BoxFuture<'static, PolicyAnswer> + Send + Sync>,
    sleep: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Outside {
    /// Policy services are asked by `ask`, and `sleep` lets time pass. Neither needs to know of a decision's deadline.
    pub fn new(
        ask: impl Fn(PolicyQuery) -> BoxFuture<'static, PolicyAnswer> + Send + Sync + 'static,
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Means { ask: Box::new(ask), sleep: Box::new(sleep) })))
    }

    /// Nothing outside is touched: what acts says what it would do, and has no say.
    #[must_use]
    pub fn untouched() -> Self {
        Self(None)
    }

    /// The answer of a policy service; `None` where nothing outside is touched.
    pub(crate) fn ask(&self, query: impl FnOnce() -> PolicyQuery) -> Option<BoxFuture<'static, PolicyAnswer>> {
        self.0.as_deref().map(|means| (means.ask)(query()))
    }

    /// The end of a pause; `None` where nothing outside is touched.
    pub(crate) fn sleep(&self, duration: Duration) -> Option<BoxFuture<'static, ()>> {
        self.0.as_deref().map(|means| (means.sleep)(duration))
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Outside" } else { "Outside(untouched)" })
    }
}
