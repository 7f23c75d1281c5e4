//! Bans: networks that are shut out until a time.
//!
//! Whoever bans and whoever shuts out do not know each other: they meet here. All bans are in memory, on every host.

use std::net::IpAddr;
use std::time::SystemTime;

use facts::Network;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;

use crate::greylist::{Seconds, time, unix};
use crate::{Place, Store, Unavailable};

/// How many networks may be banned.
pub(crate) const BANS_MAX: usize = 100_000;
/// How many octets of a reason are kept.
const REASON_MAX: usize = 128;
/// How many octets of the name of who banned are kept.
const BY_MAX: usize = 64;
/// Which form of a written ban this program writes and reads.
const VERSION: u8 = 1;

/// A network that is shut out. What is remembered has whole seconds, and ends before 2106 or never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Which addresses.
    pub network: Network,
    /// Since when.
    pub since: SystemTime,
    /// Up to when; nothing where it is for good.
    pub until: Option<SystemTime>,
    /// Why, for an administrator; what is over 128 octets is cut off.
    pub reason: String,
    /// The name of a jail, or `administrator`; what is over 64 octets is cut off.
    pub by: String,
}

/// What happens to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanChange {
    /// It is banned, or for longer than before.
    Banned(Ban),
    /// It is not banned any more: somebody took the ban back, or the store has removed one that was over.
    Unbanned(Network),
}

impl Store {
    /// Bans a network, in place of a shorter ban that it may have. Says whether that changes anything: it does not where the
    /// network is banned for as long already. It is on the disk, or known to Valkey, when this returns. Some bans that are
    /// over at `ban.since` are removed on the way.
    ///
    /// # Errors
    /// If it cannot be written, or there are 100,000 bans already: then nothing has changed.
    pub async fn ban(&self, ban: Ban) -> Result<bool, Unavailable> {
        self.change_ban(BanChange::Banned(ban.bounded())).await
    }

    /// Takes the ban of exactly this network back. Says whether there was one. It is gone from the disk, or from Valkey,
    /// when this returns.
    ///
    /// # Errors
    /// If it cannot be written: then it is still banned.
    pub async fn unban(&self, network: Network) -> Result<bool, Unavailable> {
        self.change_ban(BanChange::Unbanned(network)).await
    }

    /// The bans that are not over at `now`, in the order of their networks: `limit` of them, from the one that follows the
    /// network `after`.
    #[must_use]
    pub fn bans(&self, now: SystemTime, after: Option<Network>, limit: usize) -> Vec<Ban> {
        self.standing().bans.page(now, after, limit)
    }

    /// The ban of the smallest network with this address that is banned at `now`.
    #[must_use]
    pub fn banned(&self, address: IpAddr, now: SystemTime) -> Option<Ban> {
        self.standing().bans.banned(address, now)
    }

    /// Hears from now on of all bans of this host and of those with which it shares its memory, when [`Store::banned`] knows
    /// them. That a ban is over is known by its end; an [`BanChange::Unbanned`] may follow at any time.
    ///
    /// Who is more than 1,024 changes late is told `Lagged`, and reads [`Store::bans`] anew. At the start, subscribe first
    /// and read then: what happens in between is told twice, not lost.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<BanChange> {
        self.standing().bans.subscribe()
    }

    async fn change_ban(&self, change: BanChange) -> Result<bool, Unavailable> {
        match &self.0 {
            Place::Embedded(embedded) => embedded.change_ban(change).await,
            Place::Valkey(valkey) => valkey.change_ban(change).await,
        }
    }
}

impl Ban {
    /// Whether it counts no more.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The last second that can be told stands for one that never ends.
    pub(crate) fn end(&self) -> Seconds {
        self.until.map_or(Seconds::MAX, unix)
    }

    /// As it is remembered.
    fn bounded(mut self) -> Self {
        self.reason.truncate(self.reason.floor_char_boundary(REASON_MAX));
        self.by.truncate(self.by.floor_char_boundary(BY_MAX));
        Self { since: time(unix(self.since)), until: until(self.end()), ..self }
    }

    /// What stands under the name of its network: version, since when, up to when, these little-endian; the length of `by`,
    /// `by`, the reason.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut octets = vec![VERSION];
        octets.extend_from_slice(&unix(self.since).to_le_bytes());
        octets.extend_from_slice(&self.end().to_le_bytes());
        octets.push(self.by.len() as u8);
        octets.extend_from_slice(self.by.as_bytes());
        octets.extend_from_slice(self.reason.as_bytes());
        octets
    }

    /// The ban that stands there, if this program knows the form.
    pub(crate) fn read(network: Network, octets: &[u8]) -> Option<Self> {
        let rest = octets.strip_prefix(&[VERSION])?;
        let (since, rest) = rest.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        let (by_len, rest) = rest.split_first()?;
        let (by, reason) = rest.split_at_checked((*by_len).into())?;
        let [by, reason] = [by, reason].map(|text| str::from_utf8(text).map(str::to_owned).ok());
        let ban = Self {
            network,
            since: time(u32::from_le_bytes(*since)),
            until: until(u32::from_le_bytes(*end)),
            reason: reason?,
            by: by?,
        };
        Some(ban.bounded())
    }
}

fn until(end: Seconds) -> Option<SystemTime> {
    (end != Seconds::MAX).then(|| time(end))
}

impl BanChange {
    pub(crate) fn network(&self) -> Network {
        match self {
            Self::Banned(ban) => ban.network,
            Self::Unbanned(network) => *network,
        }
    }

    /// The ban, if it is one.
    pub(crate) fn ban(&self) -> Option<&Ban> {
        if let Self::Banned(ban) = self { Some(ban) } else { None }
    }

    /// Whether it changes anything where this is known of its network.
    pub(crate) fn counts(&self, known: Option<&Ban>) -> bool {
        match self {
            Self::Banned(ban) => known.is_none_or(|known| known.is_over(ban.since) || known.end() < ban.end()),
            Self::Unbanned(_) => known.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_read_as_it_was_written() {
        let ban = |until, by: &str, reason: &str| Ban {
            network: "2001:db8::/32".parse().unwrap(),
            since: time(7),
            until,
            reason: reason.into(),
            by: by.into(),
        };
        for (ban, expected) in [
            (ban(Some(time(8)), "postfix", "5 failures"), ban(Some(time(8)), "postfix", "5 failures")),
            (ban(None, "", ""), ban(None, "", "")),
            (ban(Some(time(u32::MAX)), &"b".repeat(99), "r"), ban(None, &"b".repeat(64), "r")),
            (ban(None, "é", &"é€".repeat(90)), ban(None, "é", &("é€".repeat(25) + "é"))),
        ] {
            let ban = ban.bounded();
            assert_eq!(ban, expected);
            let written = ban.write();
            let network = ban.network;
            assert_eq!(Ban::read(network, &written), Some(ban));
            for cut in 0..10 {
                assert_eq!(Ban::read(network, &written[..cut]), None, "{cut}");
            }
            assert_eq!(Ban::read(network, &[&[2], &written[1..]].concat()), None, "of a newer version");
        }
    }
}
