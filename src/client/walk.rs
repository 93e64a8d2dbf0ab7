//! SCAN and its kin: walks by cursor, over as many nodes as must be seen.
//!
//! What was acknowledged is on a majority, so whoever has seen a majority of the nodes has seen it. A key is given only if a linearizable
//! read still finds it: a node may hold what was deleted while it was away.

use super::{Client, Result};
use crate::command::{Access, Call, Cursor, Filter, Walk, is_users};
use crate::config::Consistency;
use crate::coordinator::Work;
use crate::error::Error;
use crate::node::{Node, RemoteNode, Seat};
use crate::protocol::NodeIndex;
use futures_util::StreamExt;
use futures_util::stream;
use redis::{Cmd, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Keys that are looked up at a time.
const LOOKS: usize = 64;
/// How often RANDOMKEY asks for another key before it walks.
const TRIES: usize = 50;

type Key = Vec<u8>;

impl Client {
    pub(super) async fn run_walk(&self, walk: Walk) -> Result<Value> {
        if self.inner.roster().nodes.len() > Cursor::NODES {
            let text = format!("a cursor tells at most {} nodes apart", Cursor::NODES);
            return Err(crate::command::Refusal::Invalid(text).into());
        }
        match walk {
            Walk::Elements { call, cursor } => self.scan_elements(&call, cursor).await,
            Walk::Keys { cursor, filter } => {
                let (next, keys) = self.scan_keys(cursor, &filter).await?;
                let next = next.to_string().into_bytes();
                Ok(Value::Array(vec![Value::BulkString(next), shown(self.alive(keys, &filter).await?)]))
            }
            Walk::All(filter) => {
                let keys = self.all_keys(&filter).await?;
                Ok(shown(self.alive(keys, &filter).await?))
            }
            Walk::Any => self.any_key().await,
            Walk::Count => self.count_keys().await,
        }
    }

    /// One step through a key's elements on the node that the cursor names, where it is at the history that was read.
    async fn scan_elements(&self, call: &Call, cursor: Cursor) -> Result<Value> {
        let prefer = cursor.node.filter(|node| cursor.own == 0 || self.tag(*node) == Some(cursor.tag));
        let own = if prefer.is_some() { cursor.own } else { 0 };
        let step = Walk::step(call, own);
        let mut work = Work { pinned: true, prefer: prefer.map(NodeIndex), ..Work::new(Access::Read, step) };
        let mut done = self.inner.coordinator.read(work.clone(), Consistency::Linearizable).await?;
        if own != 0 && done.source.map(|node| node.0) != prefer {
            // Another node's elements stand elsewhere: from the beginning there.
            work.commands = Walk::step(call, 0).commands;
            work.prefer = done.source;
            done = self.inner.coordinator.read(work, Consistency::Linearizable).await?;
        }
        let reply = call.reply(done.replies).map_err(Error::Command)?;
        let (Some(source), Value::Array(parts)) = (done.source, reply) else {
            return Err(Error::ReplyLost);
        };
        let mut parts = parts.into_iter();
        let own = parts.next().and_then(|own| number(&own)).unwrap_or_default();
        let tag = self.tag(source.0).unwrap_or_default();
        let next = match own {
            0 => 0,
            own => encoded(Cursor { own, tag, done: 0, node: Some(source.0) })?,
        };
        let next = Value::BulkString(next.to_string().into_bytes());
        Ok(Value::Array([next].into_iter().chain(parts).collect()))
    }

    /// One step through the keys: a page of one node, and the number at which the walk goes on.
    async fn scan_keys(&self, mut cursor: Cursor, filter: &Filter) -> Result<(u64, Vec<Key>)> {
        let roster = self.inner.roster();
        let nodes = &roster.nodes;
        let needed = self.inner.coordinator.quorum().majority();
        loop {
            let place = cursor.node.unwrap_or_default();
            let Some(node) = nodes.get(place) else {
                let failures = Default::default();
                return Err(Error::NoQuorum { needed, reached: cursor.done, failures });
            };
            let after = Cursor { own: 0, tag: 0, done: cursor.done, node: Some(place + 1) };
            if cursor.own != 0 && self.tag(place) != Some(cursor.tag) {
                // Its cursor means nothing any more.
                cursor.own = 0;
            }
            let Some((own, keys)) = self.page(node, cursor.own, filter).await else {
                cursor = after;
                continue;
            };
            let next = match own {
                0 if after.done + 1 >= needed => return Ok((0, keys)),
                0 => Cursor { done: after.done + 1, ..after },
                own => Cursor { own, tag: self.tag(place).unwrap_or_default(), node: Some(place), ..after },
            };
            return Ok((encoded(next)?, keys));
        }
    }

    /// A page of the node's own SCAN; none where its word does not count.
    async fn page(&self, node: &Arc<RemoteNode>, own: u64, filter: &Filter) -> Option<(u64, Vec<Key>)> {
        let scan = |_: &crate::script::Ticket<'_>| {
            let mut scan: Cmd = redis::cmd("SCAN");
            scan.arg(own).arg(&filter.options);
            scan
        };
        let voted = node.seat();
        let reply = node.send(&scan, self.inner.config.answer_timeout).await.ok()?;
        // What it says between two admissions belongs to neither.
        if !matches!(voted, Seat::Voter(_)) || node.seat() != voted {
            return None;
        }
        let Value::Array(parts) = reply else { return None };
        let [own, Value::Array(keys)] = parts.as_slice() else { return None };
        let keys = keys.iter().filter_map(bytes).filter(|key| is_users(key));
        Some((number(own)?, keys.collect()))
    }

    async fn all_keys(&self, filter: &Filter) -> Result<Vec<Key>> {
        let (mut cursor, mut all) = (Cursor::default(), BTreeSet::new());
        loop {
            let (next, keys) = self.scan_keys(cursor, filter).await?;
            all.extend(keys);
            if next == 0 {
                return Ok(all.into_iter().collect());
            }
            cursor = Cursor::parse(next.to_string().as_bytes())?;
        }
    }

    /// Of these keys those that a linearizable read finds, and that are of the wanted type.
    async fn alive(&self, keys: Vec<Key>, filter: &Filter) -> Result<Vec<Key>> {
        let look = |key: Key| async move {
            let kind = self.run(&[b"TYPE", &key]).await?;
            Ok((key, kind))
        };
        let looks: Vec<Result<(Key, Value)>> =
            stream::iter(keys.into_iter().map(look)).buffered(LOOKS).collect().await;
        let mut alive = Vec::with_capacity(looks.len());
        for found in looks {
            let (key, kind) = found?;
            let Value::SimpleString(kind) = kind else { continue };
            if kind != "none" && filter.kind.as_ref().is_none_or(|wanted| *wanted == kind) {
                alive.push(key);
            }
        }
        Ok(alive)
    }

    async fn any_key(&self) -> Result<Value> {
        for _ in 0..TRIES {
            let roster = self.inner.roster();
            let voters: Vec<_> =
                roster.nodes.iter().filter(|node| matches!(node.seat(), Seat::Voter(_))).collect();
            let surroundings = &self.inner.config.surroundings;
            let Some(node) =
                usize::try_from(surroundings.random()).ok().and_then(|n| voters.get(n % voters.len().max(1)))
            else {
                break;
            };
            let reply = node.send(&|_| redis::cmd("RANDOMKEY"), self.inner.config.answer_timeout).await;
            let Some(key) = reply.ok().as_ref().and_then(bytes).filter(|key| is_users(key)) else { continue };
            if let Some(key) = self.alive(vec![key], &Filter::default()).await?.pop() {
                return Ok(Value::BulkString(key));
            }
        }
        // Few keys among many records, or none at all.
        let keys = self.all_keys(&Filter::default()).await?;
        let key = self.alive(keys, &Filter::default()).await?.pop();
        Ok(key.map_or(Value::Nil, Value::BulkString))
    }

    /// Which admission of the node a cursor belongs to: at the next one its table may be another.
    fn tag(&self, node: usize) -> Option<u64> {
        let session = self.inner.roster().nodes.get(node)?.session()?;
        let hash = crate::script::short_hash(&[&session.fence]);
        u64::from_str_radix(hash.get(..3)?, 16).ok()
    }
}

fn encoded(cursor: Cursor) -> Result<u64> {
    let refusal = || crate::command::Refusal::Invalid("the node's cursor is too large to pass on".into());
    cursor.number().ok_or_else(|| refusal().into())
}

fn shown(keys: Vec<Key>) -> Value {
    Value::Array(keys.into_iter().map(Value::BulkString).collect())
}

fn bytes(value: &Value) -> Option<Key> {
    match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    std::str::from_utf8(&bytes(value)?).ok()?.parse().ok()
}
