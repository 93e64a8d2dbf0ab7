//! Who may vote: rules over what was observed of nodes at a (re)connect.
//!
//! A node votes while its server remembers everything that it has answered. A server that lost its data has lost
//! the fence token with it; one that came back with older data shows another run id than the one recorded at its
//! admission.

use super::quorum::NodeIndex;

/// The number of a configuration of voters. The answers of a round count together only under one epoch.
///
/// It is a *generation*, which has one set of members and one life of the data, and a count of the rejoins in it. A new generation
/// begins where a member is added or removed, or where everything is deleted (FLUSHALL).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// So many rejoins may fall into one generation.
const REJOINS: u64 = 1_000_000;

impl Epoch {
    /// The generation that the epoch belongs to.
    pub fn generation(self) -> u64 {
        self.0 / REJOINS
    }

    /// The first epoch of a generation.
    pub fn first_of(generation: u64) -> Epoch {
        Epoch(generation * REJOINS)
    }
}

/// What a node is in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its answers count.
    Voter,
    /// It is being filled from the voters; its answers do not count.
    Joining,
}

/// The token of admission that a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// None: never admitted, or its data is gone.
    Missing,
    /// This cluster's, for this node.
    Ours,
    /// None, and taken for this cluster by an initialisation that ended before it came to this node.
    Claimed,
    /// Another cluster's, or this cluster's for another node.
    Foreign,
}

/// What was observed of one server, in one script call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The token that it holds.
    pub fence: Fence,
    /// The role that it holds; of no meaning without a fence of ours.
    pub role: Role,
    /// Whether its run id is the one recorded at its last admission: it has not restarted since.
    pub same_run: bool,
    /// Whether it fsyncs every write before answering (appendonly yes, appendfsync always).
    pub fsyncs_every_write: bool,
    /// Whether it holds no keys at all.
    pub is_empty: bool,
}

/// What becomes of a server at a (re)connect, where its cluster exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It votes.
    Votes,
    /// It restarted and lost nothing: record its new run id, then it votes.
    Readmit,
    /// It restarted, perhaps with older data, or was claimed and not started: mark it joining before anything else. It votes after a
    /// full heal pass.
    Demote,
    /// It is joining already: repairs go to it, its answers do not count.
    Joins,
    /// Its data is gone, token included: it joins as an empty node.
    Rejoins,
    /// It holds data that this cluster did not put there: refused, until an operator adopts or empties it.
    HoldsOtherData,
    /// It belongs to another cluster, or is another node than its address says: refused.
    Foreign,
}

impl Facts {
    /// Decides the admission.
    pub fn admission(&self) -> Admission {
        match (self.fence, self.role) {
            (Fence::Foreign, _) => Admission::Foreign,
            // It may have voted before: a claim that arrives late finds a node that was flushed since it was asked for.
            (Fence::Claimed, _) => Admission::Demote,
            (Fence::Missing, _) if self.is_empty => Admission::Rejoins,
            (Fence::Missing, _) => Admission::HoldsOtherData,
            (Fence::Ours, Role::Joining) => Admission::Joins,
            (Fence::Ours, Role::Voter) if self.same_run => Admission::Votes,
            (Fence::Ours, Role::Voter) if self.fsyncs_every_write => Admission::Readmit,
            (Fence::Ours, Role::Voter) => Admission::Demote,
        }
    }
}

/// Which answers of a round count together: those given under the highest epoch among them. `None`: no answer.
///
/// Without this rule an answer given before a node lost its memory could be added to one given after it was
/// refilled from nodes that did not have that answer yet, and a commit would exist on one node only.
pub fn count_together(answers: &[Option<Epoch>]) -> Vec<NodeIndex> {
    let newest = answers.iter().flatten().max();
    let counts = |(_, epoch): &(usize, &Option<Epoch>)| epoch.is_some() && epoch.as_ref() == newest;
    answers.iter().enumerate().filter(counts).map(|(node, _)| NodeIndex(node)).collect()
}
