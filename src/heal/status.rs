//! How the nodes are, and what to do about it.

use super::{Healer, Pass};
use crate::node::{Node, RemoteNode, Seat};
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
    /// The nodes.
    pub nodes: Vec<NodeReport>,
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
            nodes,
        }
    }
}

impl Pass {
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
