//! How the nodes are, and what to do about it.

use super::{Healer, Pass, Summary};
use crate::node::{Node, RemoteNode, Seat};
use crate::script::swept_call;
use futures_util::future::join_all;
use redis::Value;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// One node, as it was just found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeReport {
    /// Its address.
    pub address: String,
    /// The member that it is, or was when it was last there; empty where it never said.
    pub id: String,
    /// voter, joining, adopting, or away.
    pub role: &'static str,
    /// The generation of members that it is in.
    pub generation: u64,
    /// How many rejoins that generation has seen, as far as it knows.
    pub epoch: u64,
    /// Changes with every start of the server.
    pub run_id: String,
    /// The server's version.
    pub version: String,
    /// Keys, the protocol's included.
    pub keys: u64,
    /// Bytes that the server uses.
    pub memory: u64,
    /// Registers that it remembers another node to have missed a write of.
    pub dirty: u64,
    /// Its clock less this machine's, in ms, as far as that is certain.
    pub clock_offset_ms: i64,
    /// What to do.
    pub advice: String,
}

/// The cluster, and all its nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The cluster's id.
    pub cluster: String,
    /// Counts the changes of members.
    pub generation: u64,
    /// Nodes that there should be.
    pub members: usize,
    /// Nodes that vote.
    pub voters: usize,
    /// Nodes that must vote.
    pub majority: usize,
    /// Registers that a node is known to miss a write of: repairs that were dropped or failed, and have not been done again. 0 at rest.
    pub backlog: u64,
    /// How the last heal pass of anybody ended; none where no node remembers one.
    pub last_sweep: Option<LastSweep>,
    /// The nodes.
    pub nodes: Vec<NodeReport>,
}

/// How a heal pass ended, as the nodes remember it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LastSweep {
    /// When, in milliseconds since 1970, by the clock of who made it.
    pub ended_ms: u64,
    /// Registers compared.
    pub registers: u64,
    /// Those that differed at the first look.
    pub differing: u64,
    /// How often a node was given one.
    pub repaired: u64,
    /// Those that could not be brought to all nodes.
    pub failed: u64,
    /// Whether all nodes voted at the end, and were found identical.
    pub complete: bool,
}

impl LastSweep {
    fn of(summary: &Summary, ended_ms: u64) -> LastSweep {
        LastSweep {
            ended_ms,
            registers: summary.seen,
            differing: summary.differing,
            repaired: summary.given(),
            failed: summary.failed,
            complete: summary.complete,
        }
    }

    fn text(&self) -> String {
        let LastSweep { ended_ms, registers, differing, repaired, failed, complete } = self;
        format!("{ended_ms} {registers} {differing} {repaired} {failed} {}", u8::from(*complete))
    }

    fn parse(text: &str) -> Option<LastSweep> {
        let numbers: Vec<u64> = text.split(' ').map_while(|word| word.parse().ok()).collect();
        let [ended_ms, registers, differing, repaired, failed, complete] = numbers[..] else { return None };
        Some(LastSweep { ended_ms, registers, differing, repaired, failed, complete: complete == 1 })
    }
}

impl Status {
    /// Whether every node votes.
    pub fn is_whole(&self) -> bool {
        self.voters == self.members
    }
}

impl Healer {
    /// Asks every node how it is.
    pub async fn status(&self) -> Status {
        let pass = self.pass_here();
        let nodes = join_all(pass.nodes().iter().map(report)).await;
        let cluster = pass.nodes().first().map(|node| node.cluster().id.clone()).unwrap_or_default();
        Status {
            cluster,
            generation: pass.roster.configuration.generation,
            members: pass.roster.configuration.members.len(),
            voters: pass.voters(),
            majority: self.client.coordinator().quorum().majority(),
            // A register is marked on each of the nodes that have it.
            backlog: nodes.iter().map(|node| node.dirty).max().unwrap_or(0),
            last_sweep: pass.last_sweep().await,
            nodes,
        }
    }
}

impl Pass {
    /// Leaves a note on every node for who asks.
    pub(super) async fn note_sweep(&self, summary: &Summary) {
        let text = LastSweep::of(summary, self.client.coordinator().now_ms()).text();
        let notes = self.nodes().iter().map(|node| {
            let text = &text;
            async move {
                let note = node.send(&|ticket| swept_call(ticket.fence, text), PATIENCE);
                if let Err(error) = note.await {
                    tracing::debug!(node = node.name(), %error, "does not remember this sweep");
                }
            }
        });
        join_all(notes).await;
    }

    async fn last_sweep(&self) -> Option<LastSweep> {
        let ask =
            |_: &crate::script::Ticket<'_>| redis::cmd("HGET").arg("anrcho_node").arg("swept").to_owned();
        let asked = self.nodes().iter().map(|node| node.send(&ask, PATIENCE));
        let notes = join_all(asked).await.into_iter().flatten();
        let notes = notes.filter_map(|note| match note {
            Value::BulkString(text) => LastSweep::parse(&String::from_utf8_lossy(&text)),
            _ => None,
        });
        notes.max_by_key(|sweep| sweep.ended_ms)
    }

    pub(super) fn voters(&self) -> usize {
        self.nodes().iter().filter(|node| matches!(node.seat(), Seat::Voter(_))).count()
    }
}

async fn report(node: &Arc<RemoteNode>) -> NodeReport {
    let (role, advice) = match node.seat() {
        Seat::Voter(_) => ("voter", "nothing".to_owned()),
        Seat::Joining if node.session().is_some_and(|session| session.adopting) => {
            ("adopting", crate::node::Refusal::Adopting.to_string())
        }
        Seat::Joining => {
            ("joining", "it is filled by anarcho-heal before it votes; start that, or wait".to_owned())
        }
        Seat::Away(reason) => ("away", reason),
    };
    let id = node.member().map(|id| id.to_string()).unwrap_or_default();
    let mut report = NodeReport {
        address: node.name().to_owned(),
        id,
        role,
        generation: 0,
        epoch: 0,
        run_id: String::new(),
        version: String::new(),
        keys: 0,
        memory: 0,
        dirty: 0,
        clock_offset_ms: 0,
        advice,
    };
    let Ok(opened) = node.look().await else { return report };
    report.generation = opened.look.epoch.generation();
    report.epoch = opened.look.epoch.0 % crate::protocol::Epoch::first_of(1).0;
    report.run_id = opened.info.run_id;
    report.version = opened.info.version;
    report.memory = opened.info.used_memory;
    report.keys = opened.look.keys;
    report.clock_offset_ms = opened.offset_ms;
    report.dirty = match node.send(&|_| redis::cmd("HLEN").arg("anrcho_dirty").to_owned(), PATIENCE).await {
        Ok(Value::Int(number)) => u64::try_from(number).unwrap_or(0),
        _ => 0,
    };
    report
}
