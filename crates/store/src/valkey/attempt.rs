//! An attempt to deliver, answered with Valkey or without.

use std::sync::atomic::Ordering;

use futures_util::future::{try_join, try_join_all};

use super::Shared;
use super::connection::Connection;
use super::copy::Known;
use super::dial::Fault;
use super::link::{PATIENCE, within};
use super::value::{self, Unreadable};
use crate::Unavailable;
use crate::counters::Counters;
use crate::engine::Row;
use crate::greylist::{Client, Greylisted, Seconds, Step, Terms, Triplet, step, time};
use crate::key::{Asked, Key, Kind, Named};

/// How often other hosts may have been faster.
pub(crate) const TRIES: usize = 8;
/// How many entries are written back side by side.
const SIDE_BY_SIDE: usize = 64;

/// One key during an attempt.
struct Held<'a> {
    named: &'a Named,
    kind: Kind,
    now: Seconds,
    terms: &'a Terms,
    known: Known,
    /// What Valkey is thought to have: a head, or nothing.
    head: Vec<u8>,
    /// Whether it has said so.
    is_sure: bool,
}

impl Shared {
    /// Answers an attempt, and remembers it if wanted.
    pub(crate) async fn attempt(&self, asked: &Asked, remember: bool) -> Result<Greylisted, Unavailable> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Unavailable::Closed);
        }
        let Some((number, connection)) = self.connection() else { return self.alone(asked, remember) };
        match within(self.timeout, self.together(&connection, asked, remember)).await {
            Ok(answer) => answer.ok_or(Unavailable::Busy),
            Err(fault) if fault.is_of_one_key() => {
                self.complain(&format!("a key of the store cannot be used: {fault}"));
                Err(Unavailable::Unreadable)
            }
            Err(fault) => {
                self.lose(number, &fault);
                self.alone(asked, remember)
            }
        }
    }

    /// Answers with Valkey. What this host knows is taken for what Valkey has, until Valkey says otherwise; then it is
    /// judged anew. Nothing comes of it where other hosts were faster each time.
    async fn together(
        &self,
        connection: &Connection,
        asked: &Asked,
        remember: bool,
    ) -> Result<Option<Greylisted>, Fault> {
        let Asked { now, terms, client, triplet } = asked;
        let hold = |named, kind| Held::new(named, kind, (*now, terms), self.copy().look(named.key));
        let (mut client, mut triplet) = (hold(client, Kind::Client), hold(triplet, Kind::Triplet));
        for _ in 0..TRIES {
            let Step { answer, client: new_client, triplet: new_triplet } =
                step(*now, terms, client.client(), triplet.known.row.and_then(Row::triplet));
            let is_whitelisted = client.client().is_some_and(|client| client.is_whitelisted(*now, terms));
            let is_counting = terms.auto_whitelist_clients > 0;
            let (client_settled, triplet_settled) = try_join(
                client.settle(self, connection.clone(), None, is_counting, remember),
                triplet.settle(self, connection.clone(), new_triplet.map(Row::Triplet), !is_whitelisted, remember),
            )
            .await?;
            if !(client_settled && triplet_settled) {
                // Whoever has changed the triplet may have counted the client as well.
                client.is_sure &= triplet_settled;
                continue;
            }
            // A client is counted only by whoever has made its triplet pass.
            let counted = new_client.map(Row::Client);
            if counted.is_none() || client.settle(self, connection.clone(), counted, true, remember).await? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Answers from what this host knows, while Valkey is away. Nobody is made to wait whom Valkey did not know.
    fn alone(&self, asked: &Asked, remember: bool) -> Result<Greylisted, Unavailable> {
        let Asked { now, terms, client, triplet } = asked;
        let mut copy = self.copy();
        let [known_client, known] = [client.key, triplet.key].map(|key| copy.look(key));
        let rows = (known_client.row.and_then(Row::client), known.row.and_then(Row::triplet));
        let Step { answer, client: new_client, triplet: new_triplet } = step(*now, terms, rows.0, rows.1);
        if remember {
            let client = new_client.is_none_or(|row| copy.change(client, Row::Client(row), (*now, *terms)));
            let triplet = new_triplet.is_none_or(|row| copy.change(triplet, Row::Triplet(row), (*now, *terms)));
            if !(client && triplet) {
                Counters::add(&self.counters.dropped, 1);
            }
        }
        Counters::add(&self.counters.from_copy, 1);
        match answer {
            Greylisted::New { .. } => Err(Unavailable::Away),
            Greylisted::TooEarly { first, .. } => {
                let is_of_valkey = |stored: Triplet| time(stored.first) == first;
                let is_known = known.stored.and_then(Row::triplet).is_some_and(is_of_valkey);
                if is_known { Ok(answer) } else { Err(Unavailable::Away) }
            }
            answer => Ok(answer),
        }
    }

    /// Tells Valkey what it was not told while it was away.
    pub(crate) async fn write_back(&self, connection: &Connection) -> Result<(), Fault> {
        let keys = self.copy().unwritten();
        for keys in keys.chunks(SIDE_BY_SIDE) {
            within(PATIENCE, try_join_all(keys.iter().map(|key| self.write_back_one(connection, *key)))).await?;
        }
        Ok(())
    }

    async fn write_back_one(&self, connection: &Connection, key: Key) -> Result<(), Fault> {
        let Some((named, now, terms)) = self.copy().named(key) else { return Ok(()) };
        let known = self.copy().look(key);
        let Some(row) = known.row else { return Ok(()) };
        let mut held = Held::new(&named, value::kind(row), (now, &terms), known);
        for _ in 0..TRIES {
            match held.settle(self, connection.clone(), None, true, true).await {
                Ok(false) => {}
                Ok(true) => break,
                Err(fault) if fault.is_of_one_key() => {
                    self.copy().forget(key);
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

impl<'a> Held<'a> {
    fn new(named: &'a Named, kind: Kind, (now, terms): (Seconds, &'a Terms), known: Known) -> Self {
        let head = known.stored.map_or_else(Vec::new, |row| value::head(row).to_vec());
        Self { named, kind, now, terms, known, head, is_sure: false }
    }

    fn client(&self) -> Option<Client> {
        self.known.row.and_then(Row::client)
    }

    /// Makes Valkey have `after`, or what it had where nothing is to change. Says whether what is known so far was right;
    /// where it was not, it is now.
    async fn settle(
        &mut self,
        shared: &Shared,
        mut connection: Connection,
        after: Option<Row>,
        is_needed: bool,
        remember: bool,
    ) -> Result<bool, Fault> {
        let wanted = after.or(self.known.row);
        let head = wanted.map_or_else(Vec::new, |row| value::head(row).to_vec());
        let key = shared.key(self.kind, self.named.key);
        if remember && head != self.head {
            let written = wanted.map_or_else(Vec::new, |row| value::write(row, &self.named.names));
            let seconds = wanted.map_or(0, |row| value::keep_for(row, self.now, self.terms));
            if let Some(found) = connection.replace(&key, &self.head, &written, seconds).await? {
                self.learn(shared, &found);
                return Ok(false);
            }
            (self.head, self.is_sure) = (head, true);
        } else if !self.is_sure {
            if !is_needed {
                return Ok(true);
            }
            let found = connection.value(&key).await?.unwrap_or_default();
            if !self.learn(shared, &found) {
                return Ok(false);
            }
        }
        if remember && shared.copy().settle(self.named.key, wanted, self.known.unwritten) {
            self.known.unwritten = false;
            Counters::add(&shared.counters.written_back, 1);
        }
        Ok(true)
    }

    /// Valkey has this value. Says whether that was known; if not, it is now.
    fn learn(&mut self, shared: &Shared, value: &[u8]) -> bool {
        self.is_sure = true;
        if self.head == value::head_of(value) {
            return true;
        }
        self.head = value::head_of(value).to_vec();
        let stored = self.row(shared, value);
        let other = stored.filter(|other| !other.expired(self.now, self.terms));
        self.known = match self.known {
            Known { row: Some(own), unwritten: true, .. } => {
                let row = other.map_or(own, |other| value::merged(own, other));
                Known { row: Some(row), stored, unwritten: true }
            }
            _ => Known { row: stored, stored, unwritten: false },
        };
        false
    }

    /// The entry that this value is. One that cannot be read counts as none.
    fn row(&self, shared: &Shared, value: &[u8]) -> Option<Row> {
        if value.is_empty() {
            return None;
        }
        let read = value::read(value).and_then(|remembered| {
            let is_own = value::kind(remembered.row) == self.kind;
            if is_own { Ok(remembered.row) } else { Err(Unreadable::Damaged) }
        });
        read.inspect_err(|why| shared.complain(&format!("an entry of the store counts as none: {why}"))).ok()
    }
}
