//! What the nodes say of themselves: one node's answer, or all nodes' counts.

use super::{Client, Result};
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{CallError, Node, RemoteNode, Seat};
use crate::script::{count_call, parse_count};
use futures_util::future::join_all;
use redis::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Keys that a node looks at in one call.
const PAGE: usize = 4_000;

impl Client {
    fn voters(&self) -> Vec<Arc<RemoteNode>> {
        let roster = self.inner.roster();
        let generation = roster.configuration.generation;
        let votes = |node: &&Arc<RemoteNode>| matches!(node.seat(), Seat::Voter(epoch) if epoch.generation() == generation);
        let mut voters: Vec<_> = roster.nodes.iter().filter(votes).cloned().collect();
        voters.sort_by_key(Node::usual_latency);
        voters
    }

    /// The answer of the node that usually answers first; the next one's where it has none.
    pub(super) async fn ask_one(&self, command: &[Vec<u8>]) -> Result<Value> {
        let mut failures = Vec::new();
        for node in self.voters() {
            let encode = |_: &crate::script::Ticket<'_>| {
                let mut cmd = redis::Cmd::new();
                for word in command {
                    cmd.arg(word);
                }
                cmd
            };
            match node.send(&encode, self.inner.config.answer_timeout).await {
                Ok(Value::ServerError(error)) => return Err(Error::Command(error)),
                Ok(value) => return Ok(value),
                Err(error) => failures.push(failure(&node, &error)),
            }
        }
        Err(Error::NoQuorum { needed: 1, reached: 0, failures: Failures(failures) })
    }

    /// DBSIZE: each voter counts, and the middle one of the counts is the answer. Where nothing is written meanwhile they are equal; one
    /// node that was away and is not healed yet has no say.
    pub(super) async fn count_keys(&self) -> Result<Value> {
        let deadline = Instant::now() + self.inner.config.connect_timeout;
        loop {
            match self.count_once().await {
                // Their admission has changed, as after a FLUSHALL: it is being learnt.
                Err(Error::NoQuorum { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                counted => return counted,
            }
        }
    }

    async fn count_once(&self) -> Result<Value> {
        let needed = self.inner.coordinator.quorum().majority();
        let voters = self.voters();
        let (mut counts, mut failures) = (Vec::new(), Vec::new());
        for (node, count) in voters.iter().zip(join_all(voters.iter().map(|node| self.count_on(node))).await)
        {
            match count {
                Ok(count) => counts.push(count),
                Err(error) => {
                    node.fenced();
                    failures.push(failure(node, &error));
                }
            }
        }
        if counts.len() < needed {
            return Err(Error::NoQuorum { needed, reached: counts.len(), failures: Failures(failures) });
        }
        counts.sort_unstable();
        let middle = counts.get((counts.len() - 1) / 2).copied().unwrap_or_default();
        Ok(Value::Int(i64::try_from(middle).unwrap_or(i64::MAX)))
    }

    async fn count_on(&self, node: &Arc<RemoteNode>) -> Result<u64, CallError> {
        let (mut cursor, mut count) = (Some("0".to_owned()), 0);
        while let Some(from) = cursor {
            let patience = self.inner.config.answer_timeout;
            let reply = node.send(&|ticket| count_call(ticket, &from, PAGE), patience).await?;
            let (next, more) = parse_count(reply).map_err(|error| CallError::Unknown(error.to_string()))?;
            (cursor, count) = (next, count + more);
        }
        Ok(count)
    }
}

fn failure(node: &Arc<RemoteNode>, error: &CallError) -> NodeFailure {
    NodeFailure { node: node.name().to_owned(), reason: error.to_string() }
}
