//! The engine of hosts that share a memory: a Valkey or Redis server, its sentinels or its cluster.
//!
//! Valkey remembers rows, and [`step`](crate::greylist::step) says what follows from them, as everywhere. Each host has a
//! copy of what it used lately. It judges by that, and has Valkey take what follows if nobody else has changed the row
//! meanwhile; else it is told what is there, and judges anew. A command is about one key, so that a cluster serves as well.
//!
//! While Valkey is away nobody waits for it. What the copy knows is answered from there, and told to Valkey later.

mod address;
mod admin;
mod attempt;
mod bans;
mod connection;
mod copy;
mod dial;
mod link;
mod standing;
mod value;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

pub(crate) use self::address::Address;
use self::bans::Seen;
use self::connection::Connection;
use self::copy::Copy;
use self::dial::{Dialer, Fault};
use self::link::Link;
#[cfg(fuzzing)]
pub use self::value::read_anything;
use crate::complaint::Complaint;
use crate::counters::Counters;
use crate::engine::Waits;
use crate::key::{Key, Kind, Secret};
use crate::standing::Standing;
use crate::{Config, Error};

/// How long the start waits for the first connection: mail that comes earlier is not remembered by all.
const START_MAX: Duration = Duration::from_secs(2);

/// What the thread and those who ask share.
pub(crate) struct Shared {
    dialer: Dialer,
    key_prefix: String,
    timeout: Duration,
    link: Mutex<Link>,
    /// The number of the last connection that was lost.
    lost: watch::Sender<u64>,
    secret: Mutex<Secret>,
    copy: Mutex<Copy>,
    /// Those who came back, as far as Valkey has not been told.
    pub waits: Waits,
    pub standing: Standing,
    /// Up to when we have learnt of correspondents.
    correspondents_seen: AtomicU32,
    /// What we have learnt of bans; held by whoever changes or reads them.
    bans_seen: tokio::sync::Mutex<Seen>,
    pub counters: Counters,
    complaint: Complaint,
    closed: AtomicBool,
    ended: watch::Sender<bool>,
}

/// The engine, and the way to its thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Valkey {
    pub shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl Valkey {
    /// Starts the thread that connects. Where Valkey does not answer the log says so, and it is tried again.
    pub(crate) fn open(address: Address, config: &Config) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            dialer: Dialer::new(address, config),
            key_prefix: config.key_prefix.clone(),
            timeout: config.timeout,
            link: Mutex::default(),
            lost: watch::Sender::new(0),
            secret: Mutex::new(Secret::random()),
            copy: Mutex::default(),
            waits: Waits::default(),
            standing: Standing::default(),
            correspondents_seen: AtomicU32::new(0),
            bans_seen: tokio::sync::Mutex::default(),
            counters: Counters::default(),
            complaint: Complaint::default(),
            closed: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        });
        let (stop, stopped) = watch::channel(false);
        let (tried, first_try) = mpsc::sync_channel(1);
        let failed = |source| Error::Thread { source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let own = Arc::clone(&shared);
        let run = move || runtime.block_on(link::run(own, stopped, tried));
        thread::Builder::new().name("store-valkey".into()).spawn(run).map_err(failed)?;
        // Whether it came to anything is told by the log.
        let _ = first_try.recv_timeout(START_MAX);
        Ok(Self { shared, stop })
    }

    /// Tells Valkey what it was not told, and ends the thread.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

impl Shared {
    pub(crate) fn secret(&self) -> Secret {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self) -> MutexGuard<'_, Copy> {
        // A panic under the lock leaves at worst an entry too few or too many.
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which name Valkey has an entry.
    fn key(&self, kind: Kind, key: Key) -> Vec<u8> {
        let letter = match kind {
            Kind::Triplet => 't',
            Kind::Client => 'c',
            Kind::Correspondent => 'r',
        };
        format!("{}{letter}:{:032x}", self.key_prefix, key.0).into_bytes()
    }

    fn own_key(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.key_prefix).into_bytes()
    }

    /// Takes on the secret of all hosts, or makes ours the secret of all.
    async fn agree(&self, connection: &mut Connection) -> Result<(), Fault> {
        let (key, ours) = (self.own_key("secret"), self.secret());
        let secret = connection.secret(&key, &ours).await?.ok_or(Fault::NoSecret)?;
        if secret != ours {
            *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
            self.standing.correspondents.forget();
            self.correspondents_seen.store(0, Ordering::Relaxed);
            let lost = self.copy().rekey(&secret);
            if lost > 0 {
                tracing::warn!(
                    "{lost} entries are forgotten: only their hash was kept, and the hosts have agreed on another secret"
                );
            }
        }
        Ok(())
    }

    /// Counts a fault, and logs it if none was logged a short while ago.
    fn complain(&self, what: &str) {
        Counters::add(&self.counters.failures, 1);
        if self.complaint.is_due() {
            tracing::error!("{}: {what}", self.dialer.address);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.dialer.address)
    }
}
