//! What nodes answer to apply and settle, and what a write round tells its driver.

use crate::protocol::ballot::Ballot;
use crate::protocol::quorum::{Decided, NodeIndex};
use crate::protocol::repair::Repairs;
use crate::protocol::version::{Position, Standing};

/// A node executed the round's commands, or holds the op in its history already, and promises the round's ballot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ack<R> {
    /// Where the node stands after the op.
    pub standing: Standing,
    /// The ballot under which the op ran in this node's history; `None` where it is not in it: the command
    /// failed, only reads, or held at another digest only.
    pub ran: Option<Ballot>,
    /// The reply, and whatever else the driver wants back (state, say).
    pub reply: R,
}

/// Why a node's answer does not count. Unreachable is not absent: none of these enters a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoVote {
    /// The call never left: the op certainly did not run there.
    NotSent,
    /// The node says that nothing changed: FENCED, EXPIRED, out of memory, STRAY, AHEAD.
    Refused,
    /// Sent, and no answer: the op may have run there, or may still.
    Unknown,
}

/// One node's answer to apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ApplyAnswer<R> {
    /// Done, and promised.
    Ack(Ack<R>),
    /// The node has promised this ballot, which is not below the round's; nothing changed (W3).
    Nack {
        /// What it has promised.
        promised: Ballot,
    },
    /// By the node's clock a key has expired that is alive at the ballot's time; nothing changed. Try later than
    /// this.
    Expiring {
        /// The expiry, in ms since the epoch.
        at_ms: u64,
    },
    /// There is no such register, and the commands would not make one: no promise, counts for nothing but R3.
    Absent {
        /// What the commands answered to nothing.
        reply: R,
    },
    /// No vote of any kind.
    NoVote(NoVote),
}

/// One node's answer to settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SettleAnswer {
    /// The node holds the position as settled.
    Accepted,
    /// The node has promised a higher ballot; nothing changed (W3).
    Nack {
        /// What it has promised.
        promised: Ballot,
    },
    /// A confirmation, or a delta, for a history that the node does not hold; nothing changed.
    NeedsState,
    /// No answer, or a refusal.
    NoVote,
}

/// What a write round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Commands that may change the register.
    Mutation,
    /// Read-only commands under a ballot: what R4 falls back to.
    SlowRead,
}

/// What the driver of a write round does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteStep {
    /// Bring more answers.
    Wait,
    /// Send these settles and bring their answers (W2).
    Settle(SettlePlan),
    /// The round is over, and the op committed (or, by R3, had nothing to change).
    Decided(Decided),
    /// The round is over without a decision: start another under a new ballot and the same op id.
    Retry(Retry),
}

/// The settles of W2: one position, at the round's own ballot, to all N nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlePlan {
    /// The ballot, which is the round's.
    pub ballot: Ballot,
    /// Whose answer brings the state, the remembered ops and the reply.
    pub winner: NodeIndex,
    /// What is settled.
    pub position: Position,
    /// What each node gets: a confirmation where its digest is the winner's, the state otherwise. Nodes that have not
    /// answered are in it; a driver may leave out those that it knows to be down, and reports `NoVote` for them.
    pub sends: Repairs,
}

/// How to start the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// W3: the highest ballot that a node named in refusing; the next one must be above it.
    pub above: Option<Ballot>,
    /// The next ballot's time must be later than this, in ms since the epoch.
    pub expiring_at_ms: Option<u64>,
    /// Whether the next round, and every later one of this op, must make absent nodes store their promise.
    pub keep: bool,
}

/// W4: what is known of an op whose round was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// It may have run somewhere, so it can still become visible.
    Indeterminate,
    /// No node ran it in this round, or ever will.
    NotApplied,
}
