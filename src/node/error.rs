//! What can be wrong with a node, each with what to do.

use std::fmt;
use std::time::Duration;

/// A call that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The call never left: it certainly did not run.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Sent, and no answer came: it may have run.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// Why a node is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The address cannot be used.
    #[error(
        "the URL is not valid: {0}; write redis://[user:password@]host[:port][/db], or rediss:// for TLS"
    )]
    Url(String),
    /// No connection, or none that answers.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The server follows another one.
    #[error(
        "it is a replica of another server; nodes follow nobody: send it REPLICAOF NO ONE, or name its master"
    )]
    Replica,
    /// The server may drop keys by itself.
    #[error("its maxmemory-policy is {0}, which drops keys that were acknowledged; set it to noeviction")]
    Evicts(String),
    /// Too old.
    #[error("its version {0} is too old; Redis 6.2 is the oldest that works")]
    TooOld(String),
    /// It runs in cluster mode.
    #[error("it runs in Redis Cluster mode; nodes are independent servers: set cluster-enabled no")]
    ClusterMode,
    /// The clocks differ too much.
    #[error(
        "its clock differs from this machine's by {offset_ms} ms, more than the {limit_ms} ms that are allowed; run NTP on both"
    )]
    ClockOffset {
        /// The node's clock less ours.
        offset_ms: i64,
        /// `max_clock_offset`.
        limit_ms: u64,
    },
    /// It holds keys that the cluster did not put there.
    #[error(
        "it holds {keys} keys and no admission of ours, so nothing was changed; empty it, or make it and empty servers a new cluster with `anarcho-heal adopt`"
    )]
    HoldsData {
        /// DBSIZE.
        keys: u64,
    },
    /// It belongs elsewhere.
    #[error("it belongs to cluster {found}, not to {expected}; check the list of nodes")]
    OtherCluster {
        /// Its cluster id.
        found: String,
        /// Ours.
        expected: String,
    },
    /// Its cluster has other scopes.
    #[error(
        "its cluster was initialised with {found}, not with {expected}, and that never changes; name the same, or none to take what it has"
    )]
    OtherScopes {
        /// As the node knows them.
        found: String,
        /// As this client, or another node, says.
        expected: String,
    },
    /// Its cluster keeps another contract of the scripts.
    #[error(
        "its cluster keeps contract {found} of the scripts and this program keeps contract {ours}, so nothing was changed; use a version of this program that keeps contract {found}"
    )]
    OtherContract {
        /// The node's.
        found: String,
        /// This program's.
        ours: String,
    },
    /// An initialisation by another list, or with other scopes, began and did not finish.
    #[error(
        "it was taken for another, unfinished cluster of nodes {members}; connect once with that list and the same scopes, or FLUSHALL this node if that list was wrong"
    )]
    Claimed {
        /// Node ids of that list.
        members: String,
    },
    /// An adoption has begun and not finished.
    #[error(
        "its data is being adopted, and not all of it is on the other nodes yet; run `anarcho-heal adopt` again, it goes on where it stopped"
    )]
    Adopting,
    /// It is a node of ours without its data.
    #[error(
        "it lost its data (restarted empty, or was flushed), so it does not vote; run `anarcho-heal --once` to fill it from the others"
    )]
    Emptied,
    /// Two addresses lead to one server.
    #[error("it is the same server as {0}; name each server once")]
    SameServer(String),
    /// Two servers say that they are one member.
    #[error(
        "it and {0} both say that they are the same member of the cluster; one replaced the other: leave the replaced one out"
    )]
    SameMember(String),
    /// Another healer changed its admission meanwhile.
    #[error("another heal pass is under way ({0}); run it again")]
    HealedByAnother(String),
    /// A right is missing, or a command was renamed.
    #[error("it does not allow what nodes need: {0}; give the user these rights, or undo the renaming")]
    Forbidden(String),
}

/// Why the nodes cannot be used together.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The list itself is wrong.
    #[error("{0}")]
    List(String),
    /// One node is refused for what it is.
    #[error("{node}: {refusal}")]
    Node {
        /// Its address.
        node: String,
        /// Why.
        refusal: Refusal,
    },
    /// A new cluster needs every node.
    #[error("a new cluster starts only when all nodes answer and are empty; {0}")]
    NotAllThere(Failures),
    /// The list does not name all nodes of the cluster.
    #[error("the cluster has {members} nodes and the list names {named}; name each of them")]
    Members {
        /// As the nodes know it.
        members: usize,
        /// As the list says.
        named: usize,
    },
    /// Too few voters.
    #[error(
        "{voters} of the {needed} nodes that are needed can vote ({failures}); start the missing nodes; where nodes came back without their data, run `anarcho-heal --once`, and where most of them did, `anarcho-heal recover`"
    )]
    NoQuorum {
        /// How many vote.
        voters: usize,
        /// A majority.
        needed: usize,
        /// The others.
        failures: Failures,
    },
    /// Nothing answered in time.
    #[error("no decision within {0:?}")]
    TimedOut(Duration),
}

/// What one node said, or why it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFailure {
    /// The node's address.
    pub node: String,
    /// Why it does not count.
    pub reason: String,
}

/// The nodes that did not help, as one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(pub Vec<NodeFailure>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, failure) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {}", failure.node, failure.reason)?;
        }
        Ok(())
    }
}
