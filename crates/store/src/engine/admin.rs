//! What an administrator asks of the file, and forgets.

use super::{Embedded, Entry, Order};
use crate::Unavailable;
use crate::admin::{Cursor, PAGE_MAX, Page, Remembered, Stats};

impl Embedded {
    /// The first `limit` entries from a cursor that `listed` takes. What waits to be written comes with the first page.
    pub(crate) async fn page<T>(
        &self,
        after: Option<Cursor>,
        limit: usize,
        listed: impl Fn(&Remembered) -> Option<T>,
    ) -> Result<Page<T>, Unavailable> {
        if after.is_none() {
            self.flush().await?;
        }
        let start = after.unwrap_or_default();
        let mut entries = Vec::new();
        let mut from = Some(start.position);
        while let Some(block) = from {
            let scanned = self.scan(block).await?;
            for entry in &scanned.entries {
                let cursor = Cursor { node: 0, position: entry.block, at: entry.at };
                if cursor < start {
                    continue;
                }
                if entries.len() >= limit.clamp(1, PAGE_MAX) {
                    return Ok(Page { entries, next: Some(cursor) });
                }
                entries.extend(listed(&entry.remembered));
            }
            from = scanned.next;
        }
        Ok(Page { entries, next: None })
    }

    /// Forgets what is meant, and says how much it was.
    pub(crate) async fn forget(&self, is_meant: impl Fn(&Remembered) -> bool) -> Result<u64, Unavailable> {
        self.commit(Order::default()).await?;
        let (mut forgotten, mut from) = (0, Some(0));
        while let Some(block) = from {
            let scanned = self.scan(block).await?;
            let meant = scanned.entries.iter().filter(|entry| is_meant(&entry.remembered));
            let meant = Vec::from_iter(meant.map(|entry: &Entry| (entry.key, entry.block as u32)));
            if !meant.is_empty() {
                forgotten += self.commit(Order { forget: meant, ..Order::default() }).await?;
            }
            from = scanned.next;
        }
        Ok(forgotten)
    }

    /// Counts everything.
    pub(crate) async fn stats(&self) -> Result<Stats, Unavailable> {
        self.flush().await?;
        let mut stats = Stats { waits: self.engine.waits.steps().collect(), ..Stats::default() };
        let mut from = Some(0);
        while let Some(block) = from {
            let scanned = self.scan(block).await?;
            scanned.entries.iter().for_each(|entry| stats.add(entry.remembered.row));
            from = scanned.next;
        }
        stats.file_size = self.engine.file_size();
        stats.unwritten = self.engine.table.unwritten() as u64;
        Ok(stats)
    }

    /// Writes all that waits. Where that fails, what the file has is told all the same.
    async fn flush(&self) -> Result<(), Unavailable> {
        match self.commit(Order::default()).await {
            Ok(_) | Err(Unavailable::Unwritable) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
