//! What is known of clients and senders besides their attempts: whom an administrator allows, to whom our own users write,
//! who is banned.
//!
//! All of it is in memory, on every host; the engines see to it that it is remembered.

mod allowed;
mod bans;
mod correspondents;

pub(crate) use self::allowed::{ALLOWED_MAX, AllowList, Names};
pub use self::allowed::{Allowed, AllowedName};
pub(crate) use self::bans::Bans;
pub(crate) use self::correspondents::{CORRESPONDENTS_MAX, Correspondents};
use crate::greylist::{Attempt, Greylisted};
use crate::key::Secret;

#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub allowed: AllowList,
    pub correspondents: Correspondents,
    pub bans: Bans,
}

impl Standing {
    /// What is said to an attempt that need not wait.
    pub(crate) fn welcomes(&self, attempt: &Attempt<'_>, secret: &Secret) -> Option<Greylisted> {
        self.allowed.welcomes(attempt).or_else(|| self.correspondents.welcomes(attempt, secret))
    }
}
