//! What stands, in the file: names that are allowed, correspondents and bans, each in a table of its own.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::batch::Batch;
use super::file::Fault;
use super::record::Damaged;
use super::writer::Order;
use crate::Unavailable;
use crate::ban::{Ban, BanChange};
use crate::key::Key;
use crate::standing::Standing;

/// The names that an administrator allows, and since when.
const ALLOWED: TableDefinition<&str, u32> = TableDefinition::new("greylist_allowed");
/// By key: when one of ours has last written to somebody.
const CORRESPONDENTS: TableDefinition<u128, u32> = TableDefinition::new("greylist_correspondents");
/// By network: what its ban is.
const BANS: TableDefinition<&str, &[u8]> = TableDefinition::new("bans");

impl Batch {
    /// What stands and is not written; all of it where the file is to begin anew.
    pub(crate) fn gather_standing(&mut self, standing: &Standing, anew: bool) {
        self.correspondents = standing.correspondents.take_unwritten();
        self.anew = anew;
        if anew {
            self.allowed = Some(standing.allowed.names());
            self.bans.extend(standing.bans.all().into_iter().map(BanChange::Banned));
        }
    }

    /// What is ordered of what stands; says whether that changes anything. Only the writer changes it, so that two orders do not
    /// overtake each other.
    pub(crate) fn gather_ordered(&mut self, standing: &Standing, order: &Order) -> Result<u64, Unavailable> {
        if let Some((name, since)) = &order.allow {
            let (names, changes) = standing.allowed.changed(name, *since)?;
            if changes {
                self.allowed = Some(names);
            }
            return Ok(changes.into());
        }
        let Some(wanted) = &order.ban else { return Ok(0) };
        if !wanted.counts(standing.bans.of(wanted.network()).as_ref()) {
            return Ok(0);
        }
        self.bans.extend(standing.bans.room_for(wanted)?);
        self.bans.push(wanted.clone());
        Ok(1)
    }
}

/// Creates the tables, which schema 1 did not have.
pub(crate) fn create(write: &WriteTransaction) -> Result<(), Fault> {
    write.open_table(ALLOWED)?;
    write.open_table(CORRESPONDENTS)?;
    write.open_table(BANS)?;
    Ok(())
}

/// Reads all of it.
pub(crate) fn load(read: &ReadTransaction) -> Result<Standing, Fault> {
    let standing = Standing::default();
    let allowed = read.open_table(ALLOWED)?;
    let names = allowed.iter()?.map(|row| row.map(|(name, since)| (name.value().to_owned(), since.value())));
    standing.allowed.replace(names.collect::<Result<_, _>>()?);
    let correspondents = read.open_table(CORRESPONDENTS)?;
    let learnt = correspondents.iter()?.map(|row| row.map(|(key, last)| (Key(key.value()), last.value())));
    standing.correspondents.take_on(learnt.collect::<Result<Vec<_>, _>>()?);
    for row in read.open_table(BANS)?.iter()? {
        let (network, ban) = row?;
        let network = network.value().parse().map_err(|_| Damaged)?;
        let ban = Ban::read(network, ban.value()).ok_or(Damaged)?;
        standing.bans.apply([BanChange::Banned(ban)]);
    }
    Ok(standing)
}

/// Writes what the batch has of it.
pub(crate) fn write(write: &WriteTransaction, batch: &Batch) -> Result<(), Fault> {
    if let Some(names) = &batch.allowed {
        let mut allowed = write.open_table(ALLOWED)?;
        allowed.retain(|name, _| names.contains_key(name))?;
        for (name, since) in names {
            allowed.insert(name.as_str(), since)?;
        }
    }
    if batch.anew {
        write.delete_table(BANS)?;
    }
    let mut bans = write.open_table(BANS)?;
    for change in &batch.bans {
        let network = change.network().to_string();
        match change.ban() {
            Some(ban) => drop(bans.insert(network.as_str(), ban.write().as_slice())?),
            None => drop(bans.remove(network.as_str())?),
        }
    }
    let mut correspondents = write.open_table(CORRESPONDENTS)?;
    for (key, last) in &batch.correspondents {
        match last {
            Some(last) => drop(correspondents.insert(key.0, last)?),
            None => drop(correspondents.remove(key.0)?),
        }
    }
    Ok(())
}
