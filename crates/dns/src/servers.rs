//! The servers, in the order in which they are asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use facts::DnsFailure;
use hickory_proto::rr::Name;

use crate::answer::{self, Answer};
use crate::exchange::exchange;
use crate::question::Question;
use crate::{Counters, Settings, settings};

/// So long a server that kept silent is asked after the others.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Servers {
    servers: Vec<Server>,
    timeout: Duration,
    started: Instant,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Milliseconds after `started`.
    rests_until: AtomicU64,
}

impl Servers {
    pub(crate) fn new(settings: &Settings) -> Self {
        let servers = settings::addresses(&settings.servers)
            .into_iter()
            .map(|address| Server { address, rests_until: AtomicU64::new(0) })
            .collect();
        Self { servers, timeout: settings.timeout, started: Instant::now() }
    }

    /// Asks one server after the other until one knows; the last failure is the answer. Each may take an equal share
    /// of the time that is left.
    pub(crate) async fn ask(&self, question: &Question<'_>, counters: &Counters) -> Answer {
        let labels = question.name.split('.').map(str::as_bytes);
        let Ok(name) = Name::from_labels(labels) else { return DnsFailure::NxDomain.into() };
        let started = Instant::now();
        let mut answer = DnsFailure::Unreachable.into();
        let mut servers = self.in_order().into_iter();
        while let Some(server) = servers.next() {
            let left = u32::try_from(servers.len()).unwrap_or(u32::MAX);
            let share = self.timeout.saturating_sub(started.elapsed()) / left.saturating_add(1);
            answer = match exchange(server.address, &name, question.record_type, share, counters).await {
                Ok(message) => answer::read(&message, &name, question.record_type),
                Err(failure) => failure.into(),
            };
            self.note(server, &answer);
            if answer.result.as_ref().err().is_none_or(|failure| !failure.is_temporary()) {
                break;
            }
            tracing::debug!("{}: {} {}: {:?}", server.address, question.name, question.record_type, answer.result);
            if left > 0 {
                Counters::add(&counters.failovers);
            }
        }
        answer
    }

    fn in_order(&self) -> Vec<&Server> {
        let now = self.millis();
        let rests = |server: &&Server| server.rests_until.load(Ordering::Relaxed) > now;
        let (resting, mut servers): (Vec<_>, Vec<_>) = self.servers.iter().partition(rests);
        servers.extend(resting);
        servers
    }

    /// A server that answers SERVFAIL is well, only the name asked is not.
    fn note(&self, server: &Server, answer: &Answer) {
        let silent = matches!(answer.result, Err(DnsFailure::Timeout | DnsFailure::Unreachable));
        let rest = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        server.rests_until.store(if silent { self.millis() + rest } else { 0 }, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
