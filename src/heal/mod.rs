//! Anti-entropy: finds what differs between the nodes and mends it through the normal read; brings nodes back that lost their data.
//!
//! The healer is one more coordinator. It has no write path of its own: a register that differs is decided by a slow read, and the
//! settle that ends it is the repair (R4, W2).
//!
//! A node that does not vote comes back in this order (protocol.md, "Fences"):
//!
//! 1. the voters move to a new epoch, so that no answer that the node gave before can be counted with one from now on;
//! 2. the node is marked as joining under that epoch, with a token that only this pass knows;
//! 3. every register that any voter holds is copied to it, and what no voter holds is dropped;
//! 4. it becomes a voter, if it is still the same server process with that same token.

mod dirty;
mod members;
mod purge;
mod rejoin;
mod sweep;

pub use purge::PurgeSummary;

use crate::client::{Client, Roster};
use crate::config::Config;
use crate::coordinator::Mended;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{Node, RemoteNode, Seat};
use serde::Serialize;
use std::sync::Arc;

/// Hears how far a sweep is.
pub trait Progress: Send + Sync {
    /// So many registers were compared, of about so many; so many were repaired.
    fn compared(&self, seen: u64, about: u64, repaired: u64);
    /// Something that an operator wants to read.
    fn note(&self, line: &str);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}
    fn note(&self, _line: &str) {}
}

/// What one node got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRepairs {
    /// The node's address.
    pub node: String,
    /// How many registers it was given.
    pub registers: u64,
}

/// What a heal pass came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Registers compared, tombstones included.
    pub seen: u64,
    /// Registers that all nodes held alike at the first look.
    pub identical: u64,
    /// What each node was given.
    pub repaired: Vec<NodeRepairs>,
    /// Registers that could not be brought to all nodes.
    pub failed: u64,
    /// Registers that were marked dirty and are not any more.
    pub cleaned: u64,
    /// Nodes that vote again.
    pub rejoined: Vec<String>,
    /// Nodes that were not there, and why.
    pub away: Vec<String>,
    /// Whether all nodes vote and a last look found every register identical on all of them.
    pub complete: bool,
}

/// Heals one cluster.
#[derive(Clone, Debug)]
pub struct Healer {
    client: Client,
}

/// How often a pass is repeated while writes keep making registers differ.
const PASSES: usize = 3;

impl Healer {
    /// Connects to all nodes of a cluster, also where fewer than a majority vote.
    pub async fn connect<I, S>(nodes: I, config: Config) -> Result<Healer, Error>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let client = Client::builder().nodes(nodes).config(config).even_without_quorum().connect().await?;
        Ok(Healer { client })
    }

    /// One whole pass: brings back the nodes that do not vote, sweeps all registers of all nodes, drains the dirty sets.
    pub async fn once(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        self.pass().await.run(progress).await
    }

    /// Lets go of deleted and expired registers that no node, late call or backup can bring back any more. While a node is away or
    /// joining, nothing is let go.
    pub async fn purge(&self) -> Result<PurgeSummary, Error> {
        self.pass().await.purge().await
    }

    /// A pass over the newest generation that can be known.
    async fn pass(&self) -> Pass {
        let inner = self.client.inner();
        inner.catch_up().await;
        // A change that was decided and that nobody has begun yet; without a majority there is no telling.
        if let Err(error) = self.client.follow_decision(&inner.roster().configuration).await {
            tracing::warn!(%error, "it is not known whether a change of the cluster was decided");
        }
        let roster = inner.roster();
        Pass { client: self.client.clone(), roster }
    }
}

/// One pass over the nodes of one generation; where the cluster goes on to the next one, it ends.
struct Pass {
    client: Client,
    roster: Arc<Roster>,
}

impl Pass {
    async fn run(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        let mut summary = self.empty_summary();
        let rejoin = self.begin_rejoin(progress).await?;
        let mut last = self.sweep(&mut summary, progress).await?;
        (summary.seen, summary.identical) = (last.seen, last.identical);
        if let Some(rejoin) = rejoin {
            if last.failed > 0 {
                progress.note(
                    "some registers could not be copied, so the joining nodes do not vote yet; run it again",
                );
            } else {
                self.finish_rejoin(rejoin, &last.joining, &mut summary, progress).await?;
            }
        }
        self.drain_dirty(&mut summary, progress).await;
        for _ in 1..PASSES {
            if last.differing == 0 && self.all_vote() {
                break;
            }
            last = self.sweep(&mut summary, progress).await?;
        }
        summary.failed = last.failed;
        summary.away = self.away();
        summary.complete = last.differing == 0 && last.failed == 0 && self.all_vote();
        Ok(summary)
    }

    fn nodes(&self) -> &[Arc<RemoteNode>] {
        &self.roster.nodes
    }

    fn empty_summary(&self) -> Summary {
        Summary {
            seen: 0,
            identical: 0,
            repaired: self.named_zeroes(),
            failed: 0,
            cleaned: 0,
            rejoined: Vec::new(),
            away: Vec::new(),
            complete: false,
        }
    }

    /// Whether the cluster was still in the generation of this pass.
    fn is_of_this(&self, mended: &Mended) -> bool {
        mended.generation == self.roster.configuration.generation
    }

    fn named_zeroes(&self) -> Vec<NodeRepairs> {
        let nodes = self.nodes().iter();
        nodes.map(|node| NodeRepairs { node: node.name().to_owned(), registers: 0 }).collect()
    }

    fn all_vote(&self) -> bool {
        self.nodes().iter().all(|node| matches!(node.seat(), Seat::Voter(_)))
    }

    fn away(&self) -> Vec<String> {
        let nodes = self.nodes().iter();
        let away = nodes.filter_map(|node| match node.seat() {
            Seat::Voter(_) => None,
            Seat::Joining => Some(format!("{}: it does not vote yet", node.name())),
            Seat::Away(reason) => Some(format!("{}: {reason}", node.name())),
        });
        away.collect()
    }

    fn no_quorum(&self, voters: usize) -> Error {
        let failures = self.away().into_iter().map(|line| match line.split_once(": ") {
            Some((node, reason)) => NodeFailure { node: node.to_owned(), reason: reason.to_owned() },
            None => NodeFailure { node: line.clone(), reason: String::new() },
        });
        let needed = self.client.coordinator().quorum().majority();
        Error::NoQuorum { needed, reached: voters, failures: Failures(failures.collect()) }
    }
}
