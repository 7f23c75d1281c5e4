//! The thread that keeps the connection: connects, looks after it once a second, and says when Valkey goes and comes.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::connection::Connection;
use super::dial::Fault;
use crate::counters::Counters;

/// How long after a failure it is tried again at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often Valkey is looked after, whether mail comes or not.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long one look may take, besides what it has to write.
pub(crate) const LOOK_MAX: Duration = Duration::from_secs(1);
/// How long anything else may take that nobody's mail waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last changes may take to be written when the program stops.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// The connection as of now. Its number tells it from those before.
#[derive(Default)]
pub(crate) struct Link {
    number: u64,
    connection: Option<Connection>,
    /// Since when there is none, and why, as the log was told.
    away: Option<(Instant, String)>,
}

/// Keeps the connection until `stop` changes or is dropped. `tried` hears when the first try to connect has ended.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>, tried: SyncSender<()>) {
    let mut pause = RETRY.0;
    while !*stop.borrow() {
        let connected = tokio::select! {
            connected = connect(&shared) => connected,
            _ = stop.changed() => break,
        };
        let since = Instant::now();
        match connected {
            Ok(connection) => {
                // It may have lost what it was told, or be another one.
                shared.standing.correspondents.lose();
                shared.correspondents_seen.store(0, Ordering::Relaxed);
                let number = shared.take_on(connection.clone());
                let _ = tried.try_send(());
                let stopped = look_after(&shared, number, connection, &mut stop).await;
                if stopped {
                    break;
                }
            }
            Err(fault) => {
                shared.tell_away(&fault);
                let _ = tried.try_send(());
            }
        }
        // One that is lost at once is no reason to try at once again.
        pause = if since.elapsed() > RETRY.1 { RETRY.0 } else { (pause * 2).min(RETRY.1) };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.changed() => break,
        }
    }
    if !shared.copy().unwritten().is_empty() {
        // It may be back already, and only not looked for yet.
        let _ = timeout(CLOSE_MAX, async { shared.write_back(&connect(&shared).await?).await }).await;
    }
    shared.end();
}

/// A connection to a Valkey that can be written, with the secret that it has.
async fn connect(shared: &Shared) -> Result<Connection, Fault> {
    let mut connection = shared.dialer.connect().await?;
    within(LOOK_MAX, shared.agree(&mut connection)).await?;
    Ok(connection)
}

/// Writes what waits, and sees once a second whether all is well, until the connection is lost. True at the end of all.
async fn look_after(
    shared: &Shared,
    number: u64,
    mut connection: Connection,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    let written = shared.counters.written_back.load(Ordering::Relaxed);
    let mut lost = shared.lost.subscribe();
    let mut is_told = false;
    loop {
        let looked = async {
            shared.write_back(&connection).await?;
            within(LOOK_MAX, shared.write_waits(&mut connection)).await?;
            shared.exchange_standing(&mut connection, number).await?;
            within(LOOK_MAX, shared.agree(&mut connection)).await
        };
        if *stop.borrow() || stop.has_changed().is_err() {
            // What it does not come to is told at the end.
            let _ = timeout(CLOSE_MAX, looked).await;
            return true;
        }
        let looked = tokio::select! {
            looked = looked => looked,
            _ = lost.wait_for(|lost| *lost >= number) => return false,
        };
        if let Err(fault) = looked {
            shared.lose(number, &fault);
            return false;
        }
        if !is_told {
            shared.tell_back(shared.counters.written_back.load(Ordering::Relaxed) - written);
            is_told = true;
        }
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            _ = lost.wait_for(|lost| *lost >= number) => return false,
            // What has changed is written before the end.
            _ = stop.changed() => {}
        }
    }
}

/// What comes of `work`, if it comes in time.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(limit, work).await.map_err(|_| Fault::Slow(limit))?
}

impl Shared {
    /// The connection and its number, if there is one.
    pub(crate) fn connection(&self) -> Option<(u64, Connection)> {
        let link = self.link();
        link.connection.clone().map(|connection| (link.number, connection))
    }

    fn link(&self) -> std::sync::MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_on(&self, connection: Connection) -> u64 {
        let mut link = self.link();
        link.number += 1;
        link.connection = Some(connection);
        link.number
    }

    /// Nobody asks by the connection of this number any more: what has failed once is not waited for again.
    pub(crate) fn lose(&self, number: u64, fault: &Fault) {
        let is_own = {
            let mut link = self.link();
            let is_own = link.number == number && link.connection.is_some();
            if is_own {
                link.connection = None;
            }
            is_own
        };
        if is_own {
            self.tell_away(fault);
            self.lost.send_replace(number);
        }
    }

    /// Says that Valkey is away: once, and again when the reason is another one.
    fn tell_away(&self, fault: &Fault) {
        let why = fault.to_string();
        let mut link = self.link();
        match &mut link.away {
            None => {
                link.away = Some((Instant::now(), why.clone()));
                drop(link);
                Counters::add(&self.counters.went_away, 1);
                tracing::error!(
                    "the store at {} does not answer: {why}: mail flows on, greylisting goes by what this host knows and \
                     lets strangers pass",
                    self.dialer.address
                );
            }
            Some((_, told)) if *told != why => {
                tracing::warn!("the store at {} still does not answer: {why}", self.dialer.address);
                *told = why;
            }
            Some(_) => {}
        }
    }

    /// Says that Valkey answers, and how many entries it was told that it did not know.
    fn tell_back(&self, written: u64) {
        let away = self.link().away.take();
        let address = &self.dialer.address;
        match away {
            None => tracing::info!("the store is at {address}"),
            Some((since, _)) => {
                Counters::add(&self.counters.came_back, 1);
                let seconds = since.elapsed().as_secs();
                tracing::info!("the store at {address} answers after {seconds} s: {written} entries were written back");
            }
        }
    }

    fn end(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let lost = self.copy().unwritten().len();
        if lost > 0 {
            tracing::error!("the store was closed with {lost} changes that could not be written");
        }
        self.link().connection = None;
        self.ended.send_replace(true);
    }
}
