//! How a service is asked on connections that are kept.

use std::num::NonZeroU32;
use std::time::Duration;

/// How a service is asked. The names are those of Postfix's `smtpd_policy_service_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long one try may take, from connecting to the whole reply.
    pub timeout: Duration,
    /// How long a connection is kept that nobody uses.
    pub max_idle: Duration,
    /// How old a connection may grow.
    pub max_ttl: Duration,
    /// How often a request is tried.
    pub try_limit: NonZeroU32,
    /// The pause after a try that failed.
    pub retry_delay: Duration,
    /// How many requests one connection carries; 0 for any number.
    pub request_limit: u32,
}
