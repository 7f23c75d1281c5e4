//! Bans, shared by all hosts: one hash with a field for each network.
//!
//! The hash counts its changes as well, and says of the last ones which networks they were about, so that a host that looks
//! once a second reads no more than what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use facts::Network;
use redis::cmd;

use super::attempt::TRIES;
use super::connection::Connection;
use super::dial::Fault;
use super::link::{LOOK_MAX, within};
use super::standing::TOGETHER;
use super::{Shared, Valkey};
use crate::Unavailable;
use crate::ban::{Ban, BanChange};

/// Replaces a field that is as it is known. Says whether it was.
const CHANGE: &str = "local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
local number = redis.call('HINCRBY', KEYS[1], '#', 1)
redis.call('HSET', KEYS[1], '#' .. number % tonumber(ARGV[4]), ARGV[1])
return 1";
/// The field that counts the changes; no network begins like it.
const CHANGES: &str = "#";
/// Of how many changes the hash knows the networks.
const CHANGES_KEPT: u64 = 1_024;

/// What this host has learnt of the hash.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many changes it had.
    changes: u64,
    /// By which connection all of it was read.
    connection: u64,
}

impl Valkey {
    /// Bans a network, or no more. Says whether that changes anything.
    pub(crate) async fn change_ban(&self, change: BanChange) -> Result<bool, Unavailable> {
        let shared = &self.shared;
        let (_, mut connection) = shared.connection().ok_or(Unavailable::Away)?;
        let over = shared.standing.bans.room_for(&change)?;
        let changed = shared.or_away(shared.change_ban(&mut connection, change, over)).await?;
        changed.ok_or(Unavailable::Busy)
    }
}

impl Shared {
    /// Says whether `change` changes anything; nothing where other hosts are faster all the time.
    async fn change_ban(
        &self,
        connection: &mut Connection,
        change: BanChange,
        over: Vec<BanChange>,
    ) -> Result<Option<bool>, Fault> {
        // A look that has read before us must not undo afterwards what we do.
        let _turn = self.bans_seen.lock().await;
        let (key, network) = (self.own_key("bans"), change.network());
        for gone in over {
            let stored = self.standing.bans.of(gone.network()).map_or(Vec::new(), |ban| ban.write());
            // What another host has changed is not over.
            if connection.change_ban(&key, &stored, &gone).await? {
                self.standing.bans.apply([gone]);
            }
        }
        for _ in 0..TRIES {
            let stored: Option<Vec<u8>> = connection.ask(cmd("HGET").arg(&key).arg(network.to_string())).await?;
            let found = self.learnt(network, stored.as_deref());
            if !change.counts(found.ban()) {
                self.standing.bans.apply([found]);
                return Ok(Some(false));
            }
            if connection.change_ban(&key, &stored.unwrap_or_default(), &change).await? {
                self.standing.bans.apply([change]);
                return Ok(Some(true));
            }
        }
        Ok(None)
    }

    /// Learns by the connection of this number what other hosts have banned, and tells Valkey what it has lost.
    pub(crate) async fn learn_bans(&self, connection: &mut Connection, number: u64) -> Result<(), Fault> {
        let mut seen = self.bans_seen.lock().await;
        let key = self.own_key("bans");
        let changes: Option<u64> = within(LOOK_MAX, connection.ask(cmd("HGET").arg(&key).arg(CHANGES))).await?;
        let mut changes = changes.unwrap_or_default();
        if changes < seen.changes {
            changes = self.tell_bans(connection, seen.changes).await?;
        }
        let new = changes.saturating_sub(seen.changes);
        if seen.connection != number || new > CHANGES_KEPT {
            self.learn_all_bans(connection).await?;
        } else if new > 0 {
            self.learn_changed_bans(connection, seen.changes + 1..=changes).await?;
        }
        *seen = Seen { changes, connection: number };
        Ok(())
    }

    async fn learn_changed_bans(&self, connection: &mut Connection, numbers: RangeInclusive<u64>) -> Result<(), Fault> {
        let key = self.own_key("bans");
        let places = Vec::from_iter(numbers.map(|number| format!("{CHANGES}{}", number % CHANGES_KEPT)));
        let names: BTreeSet<String> = within(LOOK_MAX, connection.ask(cmd("HMGET").arg(&key).arg(places))).await?;
        let values = cmd("HMGET").arg(&key).arg(&names).to_owned();
        let values: Vec<Option<Vec<u8>>> = within(LOOK_MAX, connection.ask(&values)).await?;
        let rows = names.iter().zip(values);
        let learnt = rows.filter_map(|(name, value)| Some(self.learnt(name.parse().ok()?, value.as_deref())));
        self.standing.bans.apply(learnt);
        Ok(())
    }

    /// Reads the hash in parts: at once, a long one would hold up the mail.
    async fn learn_all_bans(&self, connection: &mut Connection) -> Result<(), Fault> {
        let key = self.own_key("bans");
        let (mut position, mut learnt) = (0_u64, BTreeMap::new());
        loop {
            let scan = cmd("HSCAN").arg(&key).arg(position).arg("COUNT").arg(TOGETHER).to_owned();
            let (next, rows): (u64, Vec<(String, Vec<u8>)>) = within(LOOK_MAX, connection.ask(&scan)).await?;
            // The fields that count are no networks.
            let rows = rows.into_iter().filter_map(|(name, value)| Some((name.parse::<Network>().ok()?, value)));
            learnt.extend(rows.map(|(network, value)| (network, self.learnt(network, Some(&value)))));
            position = next;
            if position == 0 {
                break;
            }
        }
        let known = self.standing.bans.all().into_iter().map(|ban| ban.network);
        let gone = Vec::from_iter(known.filter(|network| !learnt.contains_key(network)).map(BanChange::Unbanned));
        self.standing.bans.apply(gone.into_iter().chain(learnt.into_values()));
        Ok(())
    }

    /// Valkey has lost what it was told, and is told again. Says how many changes it has then: so many that each host reads
    /// all of it.
    async fn tell_bans(&self, connection: &mut Connection, seen: u64) -> Result<u64, Fault> {
        let key = self.own_key("bans");
        for some in self.standing.bans.all().chunks(TOGETHER) {
            let rows = Vec::from_iter(some.iter().map(|ban| (ban.network.to_string(), ban.write())));
            let tell = cmd("HSET").arg(&key).arg(rows).to_owned();
            let _: u64 = within(LOOK_MAX, connection.ask(&tell)).await?;
        }
        let count = cmd("HINCRBY").arg(&key).arg(CHANGES).arg(seen + CHANGES_KEPT + 1).to_owned();
        within(LOOK_MAX, connection.ask(&count)).await
    }

    /// What follows from the value of a field.
    fn learnt(&self, network: Network, value: Option<&[u8]>) -> BanChange {
        let ban = value.and_then(|value| {
            let ban = Ban::read(network, value);
            if ban.is_none() {
                self.complain(&format!("the ban of {network} cannot be read: it is passed over"));
            }
            ban
        });
        ban.map_or(BanChange::Unbanned(network), BanChange::Banned)
    }
}

impl Connection {
    /// Makes of what is stored under a network what follows from the change, if it is still that. Says whether it is.
    async fn change_ban(&mut self, key: &[u8], stored: &[u8], change: &BanChange) -> Result<bool, Fault> {
        let (network, value) = (change.network().to_string(), change.ban().map_or(Vec::new(), Ban::write));
        let question =
            cmd("EVAL").arg(CHANGE).arg(1).arg(key).arg(network).arg(stored).arg(value).arg(CHANGES_KEPT).to_owned();
        self.ask(&question).await
    }
}
