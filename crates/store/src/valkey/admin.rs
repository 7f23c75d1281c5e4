//! What an administrator asks of Valkey, and forgets: by SCAN, which holds nobody up, over all nodes of a cluster.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use redis::cmd;

use super::Valkey;
use super::connection::{Connection, Node};
use super::dial::Fault;
use super::link::{PATIENCE, within};
use super::{Shared, value};
use crate::Unavailable;
use crate::admin::{Cursor, PAGE_MAX, Page, Remembered, Stats};
use crate::engine::Waits;
use crate::key::Key;

/// About how many keys one SCAN looks at: some milliseconds in which Valkey does nothing else.
const SCAN_COUNT: usize = 512;

/// Some entries, in the order of their keys.
struct Scanned {
    entries: Vec<(Vec<u8>, Key, Remembered)>,
    next: u64,
}

impl Valkey {
    /// The first `limit` entries from a cursor that `listed` takes, in no order that means anything.
    pub(crate) async fn page<T>(
        &self,
        after: Option<Cursor>,
        limit: usize,
        listed: impl Fn(&Remembered) -> Option<T>,
    ) -> Result<Page<T>, Unavailable> {
        let (shared, mut connection) = self.connected()?;
        let nodes = shared.or_away(connection.nodes()).await?;
        let mut cursor = after.unwrap_or_default();
        let mut entries = Vec::new();
        while let Some(node) = nodes.get(cursor.node as usize) {
            let scanned = shared.or_away(shared.scan(&mut connection, node, cursor.position)).await?;
            for (_, key, remembered) in &scanned.entries {
                // A batch may have more than a page. By its keys it is known how much of it has been told.
                let at = (key.0 >> 96) as u32;
                if at <= cursor.at && cursor.at > 0 {
                    continue;
                }
                if entries.len() >= limit.clamp(1, PAGE_MAX) {
                    return Ok(Page { entries, next: Some(cursor) });
                }
                entries.extend(listed(remembered));
                cursor.at = at;
            }
            cursor = cursor.after_scan(scanned.next);
        }
        Ok(Page { entries, next: None })
    }

    /// Forgets what is meant, and says how much it was.
    pub(crate) async fn forget(&self, is_meant: impl Fn(&Remembered) -> bool) -> Result<u64, Unavailable> {
        let (shared, mut connection) = self.connected()?;
        let mut forgotten = 0;
        let nodes = shared.or_away(connection.nodes()).await?;
        let mut cursor = Cursor::default();
        while let Some(node) = nodes.get(cursor.node as usize) {
            let scanned = shared.or_away(shared.scan(&mut connection, node, cursor.position)).await?;
            for (name, key, remembered) in &scanned.entries {
                if is_meant(remembered) {
                    forgotten += shared.or_away(connection.remove(name)).await?;
                    shared.copy().forget(*key);
                }
            }
            cursor = cursor.after_scan(scanned.next);
        }
        Ok(forgotten)
    }

    /// Counts everything.
    pub(crate) async fn stats(&self) -> Result<Stats, Unavailable> {
        let (shared, mut connection) = self.connected()?;
        let mut stats = Stats::default();
        let nodes = shared.or_away(connection.nodes()).await?;
        let mut cursor = Cursor::default();
        while let Some(node) = nodes.get(cursor.node as usize) {
            let scanned = shared.or_away(shared.scan(&mut connection, node, cursor.position)).await?;
            scanned.entries.iter().for_each(|(.., remembered)| stats.add(remembered.row));
            cursor = cursor.after_scan(scanned.next);
        }
        stats.waits = shared.or_away(shared.waits(&mut connection)).await?.steps().collect();
        Ok(stats)
    }

    pub(crate) fn connected(&self) -> Result<(&Shared, Connection), Unavailable> {
        let (_, connection) = self.shared.connection().ok_or(Unavailable::Away)?;
        Ok((&self.shared, connection))
    }
}

impl Cursor {
    /// Behind a SCAN that says that the next one begins at `next`; at 0 the next node begins.
    fn after_scan(self, next: u64) -> Self {
        let node = if next == 0 { self.node.saturating_add(1) } else { self.node };
        Self { node, position: next, at: 0 }
    }
}

impl Shared {
    /// What comes of `work` in time. What fails is counted; that Valkey is away is found out by others.
    pub(crate) async fn or_away<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Unavailable> {
        within(PATIENCE, work).await.map_err(|fault| {
            self.complain(&format!("what an administrator asked for failed: {fault}"));
            Unavailable::Away
        })
    }

    async fn scan(&self, connection: &mut Connection, node: &Node, position: u64) -> Result<Scanned, Fault> {
        // The prefix has no sign that means anything in a pattern.
        let pattern = self.own_key("[tc]:*");
        let (next, names) = connection.scan(node, position, &pattern, SCAN_COUNT).await?;
        let values = names.iter().map(|name| {
            let mut connection = connection.clone();
            async move { connection.value(name).await }
        });
        let values = try_join_all(values).await?;
        let entries = names.into_iter().zip(values).filter_map(|(name, value)| {
            let key = str::from_utf8(name.get(name.len().checked_sub(32)?..)?).ok()?;
            let key = Key(u128::from_str_radix(key, 16).ok()?);
            Some((name, key, value::read(&value?).ok()?))
        });
        let mut entries = Vec::from_iter(entries);
        entries.sort_by_key(|(_, key, _)| *key);
        Ok(Scanned { entries, next })
    }

    /// How long those who came back had waited, by all hosts.
    async fn waits(&self, connection: &mut Connection) -> Result<Waits, Fault> {
        self.write_waits(connection).await?;
        let steps: HashMap<usize, u64> = connection.ask(cmd("HGETALL").arg(self.own_key("waits"))).await?;
        Ok(Waits::of(steps))
    }

    /// Tells Valkey of those who came back. What fails is told later.
    pub(crate) async fn write_waits(&self, connection: &mut Connection) -> Result<(), Fault> {
        let key = self.own_key("waits");
        for (step, count) in self.waits.take() {
            let told: Result<u64, Fault> = connection.ask(cmd("HINCRBY").arg(&key).arg(step).arg(count)).await;
            if let Err(fault) = told {
                self.waits.add_to(step, count);
                return Err(fault);
            }
        }
        Ok(())
    }
}
