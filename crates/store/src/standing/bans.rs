//! Which networks are banned, as this host knows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use facts::Network;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::Unavailable;
use crate::ban::{BANS_MAX, Ban, BanChange};
use crate::complaint::Complaint;
use crate::greylist::{Seconds, unix};

/// How many changes a subscriber may be late.
const CHANGES_MAX: usize = 1_024;
/// How many bans that are over a new one removes: more than come, and few enough that it need not wait for them.
const REMOVED_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Bans {
    list: RwLock<List>,
    subscribers: Sender<BanChange>,
    complaint: Complaint,
}

/// The bans, and what makes them quick to find.
#[derive(Debug, Default)]
struct List {
    bans: BTreeMap<Network, Ban>,
    ends: BTreeSet<(Seconds, Network)>,
    /// How many networks have this prefix length, of IPv4 and of IPv6.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl Default for Bans {
    fn default() -> Self {
        Self { list: RwLock::default(), subscribers: Sender::new(CHANGES_MAX), complaint: Complaint::default() }
    }
}

impl Bans {
    /// The ban of the smallest network with this address that is banned.
    pub(crate) fn banned(&self, address: IpAddr, now: SystemTime) -> Option<Ban> {
        self.list().banned(address, now).cloned()
    }

    /// Those that are not over, from the one after this network.
    pub(crate) fn page(&self, now: SystemTime, after: Option<Network>, limit: usize) -> Vec<Ban> {
        let list = self.list();
        let bans = list.bans.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        bans.map(|(_, ban)| ban).filter(|ban| !ban.is_over(now)).take(limit).cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> Receiver<BanChange> {
        self.subscribers.subscribe()
    }

    /// The ban of exactly this network.
    pub(crate) fn of(&self, network: Network) -> Option<Ban> {
        self.list().bans.get(&network).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Ban> {
        self.list().bans.values().cloned().collect()
    }

    /// What is to be removed if this is wanted: some of the bans that are over.
    pub(crate) fn room_for(&self, wanted: &BanChange) -> Result<Vec<BanChange>, Unavailable> {
        let Some(ban) = wanted.ban() else { return Ok(Vec::new()) };
        let list = self.list();
        let over = Vec::from_iter(list.over(ban).map(BanChange::Unbanned));
        if over.is_empty() && list.bans.len() >= BANS_MAX && !list.bans.contains_key(&ban.network) {
            if self.complaint.is_due() {
                tracing::error!("{BANS_MAX} networks are banned: {} cannot be, until some are no more", ban.network);
            }
            return Err(Unavailable::Full);
        }
        Ok(over)
    }

    /// This is remembered from now on. Those who subscribed hear of what changes.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = BanChange>) {
        for change in changes {
            // They may be many, and somebody's mail may wait to be looked up. Under the lock they are told in their order.
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            if list.apply(&change) {
                // Nobody may have subscribed.
                let _ = self.subscribers.send(change);
            }
        }
    }

    fn list(&self) -> RwLockReadGuard<'_, List> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn banned(&self, address: IpAddr, now: SystemTime) -> Option<&Ban> {
        let family = address.is_ipv6();
        // Each length in use costs one look into the list; jails use one or two.
        let lengths = self.lengths.range((family, 0)..=(family, u8::MAX)).rev();
        let networks = lengths.filter_map(|((_, length), _)| Network::containing(address, *length));
        networks.filter_map(|network| self.bans.get(&network)).find(|ban| !ban.is_over(now))
    }

    /// Some of the networks whose bans are over when this one begins.
    fn over(&self, ban: &Ban) -> impl Iterator<Item = Network> {
        let (since, own) = (unix(ban.since), ban.network);
        let over = self.ends.iter().take_while(move |(end, _)| *end <= since).map(|(_, network)| *network);
        over.filter(move |network| *network != own).take(REMOVED_MAX)
    }

    /// Says whether that changes anything.
    fn apply(&mut self, change: &BanChange) -> bool {
        let network = change.network();
        let known = self.bans.get(&network);
        match change {
            BanChange::Banned(ban) if known == Some(ban) => return false,
            BanChange::Banned(_) if known.is_none() && self.bans.len() >= BANS_MAX => return false,
            BanChange::Unbanned(_) if known.is_none() => return false,
            _ => {}
        }
        let length = (network.address().is_ipv6(), network.prefix_length());
        if let Some(gone) = self.bans.remove(&network) {
            self.ends.remove(&(gone.end(), network));
            self.lengths.entry(length).and_modify(|count| *count -= 1);
        }
        if let BanChange::Banned(ban) = change {
            if ban.until.is_some() {
                self.ends.insert((ban.end(), network));
            }
            *self.lengths.entry(length).or_default() += 1;
            self.bans.insert(network, ban.clone());
        }
        self.lengths.retain(|_, count| *count > 0);
        true
    }
}
