//! What is asked of Valkey: each question is about one key, so that a cluster can answer as well.

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::dial::Fault;
use super::value::HEAD;
use crate::key::Secret;

/// Replaces a value whose head is the one that is known, or says what is there instead: empty where there is nothing.
const REPLACE: &str = "local now = redis.call('GET', KEYS[1]) or ''
if string.sub(now, 1, tonumber(ARGV[1])) ~= ARGV[2] then return now end
if ARGV[3] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4]) end
return false";

/// A connection that many use at once. A clone is the same one.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A server that has keys of its own: nothing where there is one only.
pub(crate) type Node = Option<(String, u16)>;

impl Connection {
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, question: &Cmd) -> Result<T, Fault> {
        Ok(match self {
            Self::Single(connection) => question.query_async(connection).await?,
            Self::Cluster(connection) => question.query_async(connection).await?,
        })
    }

    pub(crate) async fn value(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.ask(cmd("GET").arg(key)).await
    }

    /// Replaces what has this head by a value that is kept for so many seconds, or removes it where there is none. Where
    /// it has another head, nothing changes, and what is there is returned: empty where there is nothing.
    pub(crate) async fn replace(
        &mut self,
        key: &[u8],
        head: &[u8],
        value: &[u8],
        seconds: i64,
    ) -> Result<Option<Vec<u8>>, Fault> {
        self.ask(cmd("EVAL").arg(REPLACE).arg(1).arg(key).arg(HEAD).arg(head).arg(value).arg(seconds)).await
    }

    /// The secret of all hosts: ours, if there was none. To write is to know that Valkey can be written.
    pub(crate) async fn secret(&mut self, key: &[u8], ours: &Secret) -> Result<Option<Secret>, Fault> {
        let _: Option<Value> = self.ask(cmd("SET").arg(key).arg(&ours.0).arg("NX")).await?;
        Ok(self.value(key).await?.and_then(|octets| octets.try_into().ok()).map(Secret))
    }

    /// Removes a key. Says how many there were.
    pub(crate) async fn remove(&mut self, key: &[u8]) -> Result<u64, Fault> {
        self.ask(cmd("DEL").arg(key)).await
    }

    /// All servers that have keys of their own, in an order that stays.
    pub(crate) async fn nodes(&mut self) -> Result<Vec<Node>, Fault> {
        let Self::Cluster(connection) = self else { return Ok(vec![None]) };
        let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let Value::Map(answers) = connection.route_command(cmd("PING"), masters).await? else { return Ok(Vec::new()) };
        let names = answers.into_iter().filter_map(|(name, _)| String::from_redis_value(name).ok());
        let mut nodes = Vec::from_iter(names.filter_map(|name| {
            let (host, port) = name.rsplit_once(':')?;
            Some(Some((host.to_owned(), port.parse().ok()?)))
        }));
        nodes.sort();
        Ok(nodes)
    }

    /// Some keys of a server that fit a pattern, and where the next ones begin: 0 after the last.
    pub(crate) async fn scan(
        &mut self,
        node: &Node,
        position: u64,
        pattern: &[u8],
        count: usize,
    ) -> Result<(u64, Vec<Vec<u8>>), Fault> {
        let mut question = cmd("SCAN");
        question.arg(position).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        match (self, node) {
            (Self::Cluster(connection), Some((host, port))) => {
                let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                let answer = connection.route_command(question, RoutingInfo::SingleNode(node)).await?;
                Ok(FromRedisValue::from_redis_value(answer).map_err(redis::RedisError::from)?)
            }
            (connection, _) => connection.ask(&question).await,
        }
    }
}
