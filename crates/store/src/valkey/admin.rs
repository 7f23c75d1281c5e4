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

/// A look through all that Valkey has, batch by batch.
struct Walk<'a> {
    shared: &'a Shared,
    connection: Connection,
    nodes: Vec<Node>,
    cursor: Cursor,
}

/// An entry, with the name of its key.
struct Entry {
    name: Vec<u8>,
    key: Key,
    remembered: Remembered,
}

impl Valkey {
    /// The first `limit` entries from a cursor that `listed` takes, in no order that means anything.
    pub(crate) async fn page<T>(
        &self,
        after: Option<Cursor>,
        limit: usize,
        listed: impl Fn(&Remembered) -> Option<T>,
    ) -> Result<Page<T>, Unavailable> {
        let mut walk = Walk::begin(&self.shared, after.unwrap_or_default()).await?;
        let mut entries = Vec::new();
        while let Some((mut cursor, batch)) = walk.next().await? {
            for Entry { key, remembered, .. } in batch {
                // A batch may have more than a page. By its keys it is known how much of it has been told.
                let at = (key.0 >> 96) as u32;
                if at <= cursor.at && cursor.at > 0 {
                    continue;
                }
                if entries.len() >= limit.clamp(1, PAGE_MAX) {
                    return Ok(Page { entries, next: Some(cursor) });
                }
                entries.extend(listed(&remembered));
                cursor.at = at;
            }
        }
        Ok(Page { entries, next: None })
    }

    /// Forgets what is meant, and says how much it was.
    pub(crate) async fn forget(&self, is_meant: impl Fn(&Remembered) -> bool) -> Result<u64, Unavailable> {
        let mut walk = Walk::begin(&self.shared, Cursor::default()).await?;
        let mut forgotten = 0;
        while let Some((_, batch)) = walk.next().await? {
            for Entry { name, key, .. } in batch.into_iter().filter(|entry| is_meant(&entry.remembered)) {
                forgotten += self.shared.or_away(walk.connection.remove(&name)).await?;
                self.shared.copy().forget(key);
            }
        }
        Ok(forgotten)
    }

    /// Counts everything.
    pub(crate) async fn stats(&self) -> Result<Stats, Unavailable> {
        let mut walk = Walk::begin(&self.shared, Cursor::default()).await?;
        let waits = self.shared.or_away(self.shared.waits(&mut walk.connection)).await?;
        let mut stats = Stats { waits: waits.steps().collect(), ..Stats::default() };
        while let Some((_, batch)) = walk.next().await? {
            batch.iter().for_each(|entry| stats.add(entry.remembered.row));
        }
        Ok(stats)
    }
}

impl<'a> Walk<'a> {
    async fn begin(shared: &'a Shared, cursor: Cursor) -> Result<Self, Unavailable> {
        let (_, mut connection) = shared.connection().ok_or(Unavailable::Away)?;
        let nodes = shared.or_away(connection.nodes()).await?;
        Ok(Self { shared, connection, nodes, cursor })
    }

    /// Some entries, in the order of their keys, and where they begin; nothing after the last.
    async fn next(&mut self) -> Result<Option<(Cursor, Vec<Entry>)>, Unavailable> {
        let begin = self.cursor;
        let Some(node) = self.nodes.get(begin.node as usize) else { return Ok(None) };
        let scanned = self.shared.scan(&mut self.connection, node, begin.position);
        let (position, entries) = self.shared.or_away(scanned).await?;
        // After 0 the next node begins.
        let node = if position == 0 { begin.node.saturating_add(1) } else { begin.node };
        self.cursor = Cursor { node, position, at: 0 };
        Ok(Some((begin, entries)))
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

    async fn scan(&self, connection: &mut Connection, node: &Node, position: u64) -> Result<(u64, Vec<Entry>), Fault> {
        // The prefix has no sign that means anything in a pattern.
        let (next, names) = connection.scan(node, position, &self.own_key("[tc]:*"), SCAN_COUNT).await?;
        let values = names.iter().map(|name| {
            let mut connection = connection.clone();
            async move { connection.value(name).await }
        });
        let values = try_join_all(values).await?;
        let mut entries = Vec::from_iter(names.into_iter().zip(values).filter_map(|(name, value)| {
            let (_, key) = str::from_utf8(&name).ok()?.rsplit_once(':')?;
            let key = Key(u128::from_str_radix(key, 16).ok()?);
            Some(Entry { name, key, remembered: value::read(&value?).ok()? })
        }));
        entries.sort_by_key(|entry| entry.key);
        Ok((next, entries))
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
