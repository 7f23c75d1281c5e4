//! What the judge must reach beyond the DNS: an administrator's own policy services, time that passes, and memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use facts::{Endpoint, Facts, Stage, Terms};
use futures_util::future::BoxFuture;
use store::Store;

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

/// How many messages are known that have their `X-Greylist` header.
const INSTANCES_MAX: usize = 64;

/// The means to reach what lies outside. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Outside(Option<Arc<Means>>);

struct Means {
    ask: Box<dyn Fn(PolicyQuery) -> BoxFuture<'static, PolicyAnswer> + Send + Sync>,
    sleep: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    store: Store,
    instances: Mutex<VecDeque<u64>>,
}

impl Outside {
    /// Policy services are asked by `ask`, and `sleep` lets time pass. Neither needs to know of a decision's deadline.
    /// `store` remembers.
    pub fn new(
        ask: impl Fn(PolicyQuery) -> BoxFuture<'static, PolicyAnswer> + Send + Sync + 'static,
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        store: Store,
    ) -> Self {
        Self(Some(Arc::new(Means { ask: Box::new(ask), sleep: Box::new(sleep), store, instances: Mutex::default() })))
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

    /// The memory of greylisting; `None` where nothing outside is touched.
    pub(crate) fn store(&self) -> Option<&Store> {
        self.0.as_deref().map(|means| &means.store)
    }

    /// Whether this message is seen for the first time here, as far as we remember; one that nobody names always is.
    pub(crate) fn is_new_instance(&self, instance: Option<u64>) -> bool {
        let (Some(means), Some(instance)) = (self.0.as_deref(), instance) else { return true };
        let mut instances = means.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if instances.contains(&instance) {
            return false;
        }
        if instances.len() == INSTANCES_MAX {
            instances.pop_front();
        }
        instances.push_back(instance);
        true
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
