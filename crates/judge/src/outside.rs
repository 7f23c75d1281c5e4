//! What the judge must reach beyond the DNS: an administrator's own policy services, time that passes, and memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use facts::{Endpoint, Facts, Stage, Terms};
use futures_util::future::BoxFuture;
use store::{Attempt, Greylisted, Store};

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
    pub facts: Arc<Facts>,
    /// Where the session stands.
    pub stage: Stage,
}

/// The action that a policy service wants, or why there is none, in words.
pub type PolicyAnswer = Result<String, String>;

/// How many messages are known that have their `X-Greylist` header.
const INSTANCES_MAX: usize = 64;

/// What the memory of greylisting says of an attempt, or why it says nothing, in words.
pub type GreylistAnswer = Result<Greylisted, String>;

/// The means to reach what lies outside. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Outside(Reach);

#[derive(Clone)]
enum Reach {
    Nothing,
    Peek(Arc<Peek>),
    All(Arc<Means>),
}

type Peek = dyn Fn(Attempt<'_>) -> BoxFuture<'static, GreylistAnswer> + Send + Sync;

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
        let (ask, sleep) = (Box::new(ask), Box::new(sleep));
        Self(Reach::All(Arc::new(Means { ask, sleep, store, instances: Mutex::default() })))
    }

    /// Nothing outside is touched: what acts says what it would do, and has no say.
    #[must_use]
    pub fn untouched() -> Self {
        Self(Reach::Nothing)
    }

    /// As [`Self::untouched`], but `peek` knows what the memory of greylisting would say, which stays as it is.
    pub fn peeking(peek: impl Fn(Attempt<'_>) -> BoxFuture<'static, GreylistAnswer> + Send + Sync + 'static) -> Self {
        Self(Reach::Peek(Arc::new(peek)))
    }

    fn means(&self) -> Option<&Means> {
        match &self.0 {
            Reach::All(means) => Some(means),
            Reach::Nothing | Reach::Peek(_) => None,
        }
    }

    /// The answer of a policy service; `None` where nothing outside is touched.
    pub(crate) fn ask(&self, query: impl FnOnce() -> PolicyQuery) -> Option<BoxFuture<'static, PolicyAnswer>> {
        self.means().map(|means| (means.ask)(query()))
    }

    /// What the memory of greylisting says, and remembers unless it is only looked at; `None` where there is none.
    pub(crate) async fn greylist(&self, attempt: &Attempt<'_>) -> Option<GreylistAnswer> {
        match &self.0 {
            Reach::Nothing => None,
            Reach::Peek(peek) => Some(peek(*attempt).await),
            Reach::All(means) => Some(means.store.greylist(attempt).await.map_err(|why| why.to_string())),
        }
    }

    /// One of our own users writes to this address.
    pub(crate) fn learn_correspondent(&self, address: &str, now: SystemTime) {
        if let Some(means) = self.means() {
            means.store.learn_correspondent(address, now);
        }
    }

    /// Whether this message is seen for the first time here, as far as we remember; one that nobody names always is.
    pub(crate) fn is_new_instance(&self, instance: Option<u64>) -> bool {
        let (Some(means), Some(instance)) = (self.means(), instance) else { return true };
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
        self.means().map(|means| (means.sleep)(duration))
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reach::Nothing => "Outside(untouched)",
            Reach::Peek(_) => "Outside(peeking)",
            Reach::All(_) => "Outside",
        })
    }
}
