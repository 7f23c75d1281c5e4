//! The real DNS: a cache before the servers, and each question on its way only once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use facts::{DnsAnswer, DnsFailure};
use futures_util::FutureExt;
use futures_util::future::Shared;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::cache::{Cache, Cached, Second};
use crate::question::Question;
use crate::servers::Servers;
use crate::{Counters, Settings};

/// A question on its way. It belongs to nobody who waits for it: whoever goes away leaves it to the others.
type Flight = Shared<oneshot::Receiver<Arc<DnsAnswer>>>;

#[derive(Debug)]
pub(crate) struct Network {
    cache: Cache,
    servers: Servers,
    flights: Mutex<HashMap<Question<'static>, Flight>>,
    /// One for each question that may be on its way. Whoever waits for one is a living session's task, so the waiting
    /// are as many as the sessions allow.
    places: Arc<Semaphore>,
    places_max: usize,
    timeout: Duration,
    counters: Arc<Counters>,
}

impl Network {
    pub(crate) fn new(settings: &Settings, counters: Arc<Counters>) -> Self {
        let places_max = settings.queries_in_flight_max.get().into();
        Self {
            cache: Cache::new(settings),
            servers: Servers::new(settings),
            flights: Mutex::default(),
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            timeout: settings.timeout,
            counters,
        }
    }

    /// Whether more than three quarters of the places are taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.places.available_permits() * 4 < self.places_max
    }

    pub(crate) fn second(&self, time: Instant) -> Second {
        self.cache.second(time)
    }

    pub(crate) fn cached(&self, question: &Question<'_>, now: Second) -> Option<Cached> {
        self.cache.find(question, now)
    }

    /// The answer of the servers. A question sent for this asker is added to `queries`.
    pub(crate) async fn ask(self: &Arc<Self>, question: &Question<'_>, queries: &AtomicU32) -> Arc<DnsAnswer> {
        let flight = self.flights().get(question).cloned();
        let flight = match flight {
            Some(flight) => flight,
            None => {
                let place = timeout(self.timeout, Arc::clone(&self.places).acquire_owned()).await;
                let Ok(Ok(place)) = place else { return question.clone().answered(Err(DnsFailure::Timeout)) };
                match self.board(question, place, queries) {
                    Ok(flight) => flight,
                    Err(answer) => return answer,
                }
            }
        };
        // The sender is gone without a word only if the task that asked panicked.
        flight.await.unwrap_or_else(|_| question.clone().answered(Err(DnsFailure::ServFail)))
    }

    /// The flight of `question`, started if there is none; or the answer, if one has landed meanwhile.
    fn board(
        self: &Arc<Self>,
        question: &Question<'_>,
        place: OwnedSemaphorePermit,
        queries: &AtomicU32,
    ) -> Result<Flight, Arc<DnsAnswer>> {
        let mut flights = self.flights();
        // Answers are cached before their flight is taken off the table, so one of the two is found here.
        if let Some(flight) = flights.get(question) {
            return Ok(flight.clone());
        }
        if let Some(cached) = self.cache.find(question, self.second(Instant::now())) {
            return Err(cached.unwrap_or_else(|failure| question.clone().answered(Err(failure))));
        }
        let (sender, receiver) = oneshot::channel();
        let flight = receiver.shared();
        flights.insert(question.to_owned(), flight.clone());
        drop(flights);
        queries.fetch_add(1, Ordering::Relaxed);
        Counters::add(&self.counters.queries);
        Counters::add(&self.counters.queries_in_flight);
        let landing = Landing { network: Arc::clone(self), question: question.to_owned(), _place: place };
        tokio::spawn(fly(landing, sender));
        Ok(flight)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Question<'static>, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fly(landing: Landing, sender: oneshot::Sender<Arc<DnsAnswer>>) {
    let Landing { network, question, .. } = &landing;
    let answer = network.servers.ask(question, &network.counters).await;
    let ttl = answer.ttl;
    let answer = question.clone().answered(answer.result);
    network.counters.add_failure_of(&answer);
    network.cache.insert(Arc::clone(&answer), ttl, Instant::now());
    drop(landing);
    // Nobody may be left who wants to know; the cache does.
    let _ = sender.send(answer);
}

/// Takes the flight off the table, however its task ends.
struct Landing {
    network: Arc<Network>,
    question: Question<'static>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.network.flights().remove(&self.question);
        self.network.counters.queries_in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
