//! What a coordinator decides.
//!
//! No I/O, no async, no clock, no randomness, std only: a round is a value that is told each answer as it
//! arrives and says what to do next. The client, the healer, the simulator and the search for counter-examples
//! drive these very types.
//!
//! ```text
//!            coordinator                          node A       node B       node C
//!   W1   apply(ballot, op) ───────────────────────▶│───────────▶│───────────▶│
//!        all N: same position ◀── ACK ─────────────┘◀───────────┘◀───────────┘   decided, one round trip
//!
//!   W2   M acks, one differs or is missing: take the highest (accepted, version, digest)
//!        settle(same ballot, state | nothing) ────▶│───────────▶│───────────▶│
//!        M accepted ◀──────────────────────────────┘◀───────────┘                decided, two round trips
//! ```
//!
//! It is CASPaxos (Rystsov, arXiv 1802.07000) with the command executed inside the prepare step, unanimity as
//! the fast quorum, and the accept step doubling as read repair.
//!
//! # Rules
//!
//! | rule | says | coded in |
//! |---|---|---|
//! | W1 | all N acknowledged this ballot with the same position: committed | [`WriteRound`] |
//! | W2 | M acknowledged: settle the highest (accepted, version, digest); M accepted: committed | [`WriteRound`], [`Standing::rank`] |
//! | W3 | refused by a higher ballot: start again above it with the same op id | [`Retry`], [`BallotClock::observe`] |
//! | W4 | out of time: indeterminate if any node may have run it, else not applied | [`WriteRound::outcome_if_abandoned`] |
//! | R1 | all N report the same promise and the same position: answer | [`ReadRound`] |
//! | R2 | M report the same accepted ballot, the same digest, version = settled, no key due since: answer | [`ReadRound`], [`Standing::is_settled`] |
//! | R3 | M report that the register is absent: it does not exist | [`ReadRound`], [`WriteRound`] |
//! | R4 | otherwise: read again, then the slow read, which is a write round of [`Kind::SlowRead`] | [`Disagreement`] |
//!
//! Each rule is a table in `tests/protocol_write.rs`, `tests/protocol_read.rs` or `tests/protocol_repair.rs`.
//!
//! # Invariants
//!
//! | | says | kept by |
//! |---|---|---|
//! | I1 | promised never goes down; accepted ≤ promised; settled ≤ version | the scripts; an answer that contradicts it is no vote |
//! | I2 | equal digests: same ops, same order, same state | the scripts; [`Digest`] |
//! | I3 | at one ballot at most one position is ever settled | [`BallotClock::next`]; a [`WriteRound`] fixes its winner once |
//! | I4 | every later committed history extends every earlier one | the rules above, together |
//! | I5 | an op id occurs at most once in any history | the scripts; [`OpId`] survives every [`Retry`] |
//!
//! `tests/protocol_search.rs` checks all five, and linearizability, over random schedules of these types and
//! model nodes; each unsound shortcut is a switch in its driver that the same checks must catch.
//! `tests/model/traces.rs` tells the counter-examples.
//!
//! # ABSENT
//!
//! A node that has no record of a register, and would not have one after the commands, answers ABSENT: no
//! promise. For a read M of them decide (R3), since a commit leaves a record on M nodes. **For a mutation all N
//! must say it**, in the op's first round. With M of N this happens:
//!
//! 1. X's `RPUSH k e` has reached only A. Y's `LPOP k` goes to all: A runs it and pops `e`; B and C are absent.
//! 2. If two ABSENTs decided, Y would answer "nil".
//! 3. X retries `RPUSH` under the same op id. B and C run it now; A has it in its history, with the LPOP behind it.
//!    A's history is the longest, so it wins: X's RPUSH is committed, and `e` is gone, popped by an op that returned nil.
//!
//! The same happens where an *earlier round* of the LPOP is still on its way to A while all N answer ABSENT to a
//! later one. So every [`Retry`] of a mutation asks for `keep`: nodes then store the promise and acknowledge,
//! and an old call meets a newer promise. And a transport must never deliver one apply twice: the second copy is
//! such an old call.

mod ballot;
mod membership;
mod parse;
mod quorum;
mod read;
mod repair;
mod version;
mod write;

pub use ballot::{Ballot, BallotClock, CoordinatorId, OpId};
pub use membership::{Admission, Epoch, Facts, Fence, Formation, Role, count_together, formation};
pub use parse::ParseError;
pub use quorum::{Decided, NodeIndex, Quorum, Rule};
pub use read::{Disagreement, ReadAnswer, ReadRound, ReadStep};
pub use repair::{RepairNeed, Repairs};
pub use version::{Digest, Position, Standing, Version};
pub use write::{
    Abandoned, Ack, ApplyAnswer, Kind, NoVote, Retry, SettleAnswer, SettlePlan, WriteRound, WriteStep,
};
