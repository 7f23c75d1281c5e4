//! The doors that are open: each at one endpoint by itself, so that a reload can close it without touching the others.

use std::fmt;
use std::sync::Arc;

use doors::{Gate, milter, policy};
use facts::Endpoint;
use net::{Listen, Listener, Workers};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Doors;

/// Postfix looks for Unix-domain sockets from here, and must where it is chrooted.
const QUEUE_DIRECTORY: &str = "/var/spool/postfix/";

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Policy,
    Milter,
}

/// A door and an endpoint for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    protocol: Protocol,
    endpoint: Endpoint,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Policy => "policy",
            Protocol::Milter => "milter",
        };
        write!(f, "{} ({protocol})", self.endpoint)
    }
}

impl Place {
    /// Its socket, as the configuration of its door describes it.
    fn listen(&self, Doors { policy, milter }: &Doors) -> Listen {
        let (mode, owner, group) = match self.protocol {
            Protocol::Policy => (policy.socket_mode, &policy.socket_owner, &policy.socket_group),
            Protocol::Milter => (milter.socket_mode, &milter.socket_owner, &milter.socket_group),
        };
        Listen { endpoint: self.endpoint.clone(), mode: Some(mode.0), owner: owner.clone(), group: group.clone() }
    }
}

/// All places that a configuration names, in its order.
pub fn places(doors: &Doors) -> impl Iterator<Item = Place> {
    let at = |protocol| move |endpoint: &Endpoint| Place { protocol, endpoint: endpoint.clone() };
    doors.policy.listen.iter().map(at(Protocol::Policy)).chain(doors.milter.listen.iter().map(at(Protocol::Milter)))
}

/// Whether the policy door and the milter door differ in more than where they listen.
pub fn needs_restart(old: &Doors, new: &Doors) -> (bool, bool) {
    let policy = |doors: &Doors| policy::Config { listen: Vec::new(), ..doors.policy.clone() };
    let milter = |doors: &Doors| milter::Config { listen: Vec::new(), ..doors.milter.clone() };
    (policy(old) != policy(new), milter(old) != milter(new))
}

/// An open door.
pub struct Open {
    /// Where.
    pub place: Place,
    /// Closes it.
    pub stop: CancellationToken,
    /// How many connections had to be cut at its end.
    pub served: JoinHandle<usize>,
}

/// What doors are opened with.
pub struct Opener {
    /// Who decides.
    pub gate: Arc<Gate>,
    /// Who serves.
    pub workers: Arc<Workers>,
    /// Whether requests may ask for a panic: only where the environment says `PORTCULLIS_TESTING=1`.
    pub testing: bool,
}

impl Opener {
    /// Opens a door at each of `places`, or at none where one cannot be opened.
    ///
    /// # Errors
    /// The first place where that fails.
    pub async fn open(&self, doors: &Doors, places: Vec<Place>) -> Result<Vec<Open>, net::Error> {
        let mut bound = Vec::new();
        for place in places {
            let listener = net::bind(&place.listen(doors)).await?;
            bound.push((place, listener));
        }
        Ok(bound.into_iter().map(|(place, listener)| self.serve(doors, place, listener)).collect())
    }

    fn serve(&self, doors: &Doors, place: Place, listener: Listener) -> Open {
        for endpoint in listener.endpoints() {
            tracing::info!("listening on {}", Place { endpoint, ..place });
        }
        let (gate, testing) = (Arc::clone(&self.gate), self.testing);
        let (listeners, workers, stop) = (vec![listener], Arc::clone(&self.workers), CancellationToken::new());
        let served = match place.protocol {
            Protocol::Policy => {
                let door = Arc::new(policy::Door { gate, config: doors.policy.clone(), testing });
                tokio::spawn(door.serve(listeners, workers, stop.clone()))
            }
            Protocol::Milter => {
                let door = Arc::new(milter::Door { gate, config: doors.milter.clone(), testing });
                tokio::spawn(door.serve(listeners, workers, stop.clone()))
            }
        };
        Open { place, stop, served }
    }
}

/// How Postfix finds us, by the first door that is open.
pub fn wiring(open: &[Open]) -> Vec<String> {
    let found = |protocol| open.iter().find(|open| open.place.protocol == protocol).map(|open| service(&open.place));
    let milter = found(Protocol::Milter).map(|service| format!("postconf -e 'smtpd_milters = {service}'"));
    let policy = found(Protocol::Policy).map(|service| {
        format!(
            "postconf -e 'smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, \
             reject_unauth_destination, check_policy_service {service}'"
        )
    });
    let told = match (milter, policy) {
        (Some(milter), Some(policy)) => vec![format!("to let Postfix ask: {milter}"), format!("or: {policy}")],
        (one, other) => one.or(other).map(|line| format!("to let Postfix ask: {line}")).into_iter().collect(),
    };
    told.into_iter().chain(["and then: postfix reload".into()]).collect()
}

/// The endpoint as Postfix wants it written.
fn service(place: &Place) -> String {
    match &place.endpoint {
        Endpoint::Unix(path) => match path.strip_prefix(QUEUE_DIRECTORY) {
            Ok(path) => format!("unix:{}", path.display()),
            Err(_) => place.endpoint.to_string(),
        },
        Endpoint::Inet { .. } => place.endpoint.to_string(),
    }
}
