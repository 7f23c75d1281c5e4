//! Who need not wait, shared by all hosts: each learns once a second what the others have learnt.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use redis::cmd;

use super::connection::Connection;
use super::dial::Fault;
use super::link::{LOOK_MAX, within};
use super::{Shared, Valkey};
use crate::Unavailable;
use crate::greylist::Seconds;
use crate::key::Key;
use crate::standing::{ALLOWED_MAX, AllowedName, CORRESPONDENTS_MAX};

/// How many entries go in one command.
pub(crate) const TOGETHER: usize = 1_000;
/// So many seconds are asked for again: another host may have told late.
const OVERLAP: Seconds = 10;

impl Valkey {
    /// Allows a name since then, or no more. Says whether that changes anything.
    pub(crate) async fn set_allowed(&self, name: &AllowedName, since: Option<Seconds>) -> Result<bool, Unavailable> {
        let shared = &self.shared;
        let (_, mut connection) = shared.connection().ok_or(Unavailable::Away)?;
        let (names, _) = shared.standing.allowed.changed(name, since)?;
        let key = shared.own_key("allowed");
        let command = match since {
            Some(since) => cmd("HSETNX").arg(&key).arg(name.as_str()).arg(since).to_owned(),
            None => cmd("HDEL").arg(&key).arg(name.as_str()).to_owned(),
        };
        let changed: u64 = shared.or_away(connection.ask(&command)).await?;
        shared.standing.allowed.replace(names);
        Ok(changed > 0)
    }
}

impl Shared {
    /// By the connection of this number: tells Valkey of correspondents that it does not know, and learns what other hosts have told it.
    pub(crate) async fn exchange_standing(&self, connection: &mut Connection, number: u64) -> Result<(), Fault> {
        let allowed = self.own_key("allowed");
        let names: BTreeMap<String, Seconds> = within(LOOK_MAX, connection.ask(cmd("HGETALL").arg(allowed))).await?;
        self.standing.allowed.replace(names.into_iter().take(ALLOWED_MAX).collect());
        let unwritten = self.standing.correspondents.take_unwritten();
        let told = self.tell_correspondents(connection, unwritten.iter().map(|(key, last)| (*key, *last))).await;
        if told.is_err() {
            self.standing.correspondents.put_back(unwritten);
        }
        told?;
        self.learn_correspondents(connection).await?;
        self.learn_bans(connection, number).await
    }

    async fn tell_correspondents(
        &self,
        connection: &mut Connection,
        unwritten: impl Iterator<Item = (Key, Option<Seconds>)>,
    ) -> Result<(), Fault> {
        let name = self.own_key("correspondents");
        let unwritten = Vec::from_iter(unwritten);
        for some in unwritten.chunks(TOGETHER) {
            let added = Vec::from_iter(some.iter().filter_map(|(key, last)| Some(((*last)?, member(*key)))));
            let gone = some.iter().filter(|(_, last)| last.is_none());
            let removed = Vec::from_iter(gone.map(|(key, _)| member(*key)));
            if !added.is_empty() {
                let add = cmd("ZADD").arg(&name).arg("GT").arg(&added).to_owned();
                let _: u64 = within(LOOK_MAX, connection.ask(&add)).await?;
            }
            if !removed.is_empty() {
                let remove = cmd("ZREM").arg(&name).arg(&removed).to_owned();
                let _: u64 = within(LOOK_MAX, connection.ask(&remove)).await?;
            }
        }
        Ok(())
    }

    async fn learn_correspondents(&self, connection: &mut Connection) -> Result<(), Fault> {
        let name = self.own_key("correspondents");
        let from = self.correspondents_seen.load(Ordering::Relaxed);
        let mut latest = from;
        for offset in (0..=CORRESPONDENTS_MAX).step_by(TOGETHER) {
            let mut question = cmd("ZRANGEBYSCORE");
            question.arg(&name).arg(from.saturating_sub(OVERLAP)).arg("+inf").arg("WITHSCORES");
            question.arg("LIMIT").arg(offset).arg(TOGETHER);
            let learnt: Vec<(String, Seconds)> = within(LOOK_MAX, connection.ask(&question)).await?;
            let is_last = learnt.len() < TOGETHER;
            latest = learnt.iter().map(|(_, last)| *last).max().unwrap_or_default().max(latest);
            let known = learnt.into_iter();
            let known = known.filter_map(|(key, last)| Some((Key(u128::from_str_radix(&key, 16).ok()?), last)));
            self.standing.correspondents.take_on(known);
            if is_last {
                break;
            }
        }
        self.correspondents_seen.store(latest, Ordering::Relaxed);
        let over = -(CORRESPONDENTS_MAX as i64) - 1;
        let _: u64 = within(LOOK_MAX, connection.ask(cmd("ZREMRANGEBYRANK").arg(&name).arg(0).arg(over))).await?;
        Ok(())
    }
}

fn member(key: Key) -> String {
    format!("{:032x}", key.0)
}
