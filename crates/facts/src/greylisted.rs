//! What the memory of greylisting says of an attempt to deliver.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use serde::{Deserialize, Serialize};

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greylisted {
    /// The triplet was not known, or came back after the retry window: it waits from now on.
    New {
        /// How long it has to wait.
        wait: Duration,
    },
    /// It came back too early.
    TooEarly {
        /// Its first attempt.
        first: SystemTime,
        /// How long it still has to wait.
        wait: Duration,
    },
    /// It has waited long enough.
    Passed {
        /// How long ago its first attempt was.
        waited: Duration,
        /// Whether it had to wait until now.
        first_time: bool,
        /// How many triplets of its client came back, this one included; nothing while clients are not counted.
        client_count: Option<u32>,
    },
    /// Its client has shown often enough that it comes back.
    KnownClient {
        /// How often it was counted.
        count: u32,
    },
    /// An administrator has allowed it.
    Allowed {
        /// What of it.
        by: Allowance,
        /// Since when.
        since: SystemTime,
    },
    /// One of our own users has written to the sender.
    Correspondent {
        /// When last, to the day.
        last: SystemTime,
    },
}

/// Told as grounds: in `explain`, in the journal and in JSON lines of the log.
impl fmt::Display for Greylisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::New { .. } => f.write_str("seen for the first time"),
            Self::TooEarly { first, .. } => write!(f, "too early: first seen at {}", time(first)),
            Self::Allowed { by, since } => write!(f, "{by} allowed by the administrator since {}", time(since)),
            Self::Correspondent { last } => {
                write!(f, "one of our users has written to the sender, last at {}", time(last))
            }
            Self::KnownClient { count } => write!(f, "a client that came back {count} times"),
            Self::Passed { waited, first_time: true, .. } => write!(f, "came back after {} s", waited.as_secs()),
            Self::Passed { .. } => f.write_str("has come back before"),
        }
    }
}

fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}

/// What of an attempt an administrator has allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allowance {
    /// The client's address.
    Client,
    /// The client's name, or a domain above it.
    ClientName,
    /// The sender's address.
    Sender,
    /// The sender's domain, or one above it.
    SenderDomain,
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the client's address is",
            Self::ClientName => "the client's name is",
            Self::Sender => "the sender is",
            Self::SenderDomain => "the sender's domain is",
        })
    }
}
