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
//! # What is proven, and what is only believed
//!
//! "Proven" means: the check found no counter-example within its bounds, and finds one for every unsound variant (a *control*) that
//! it names. All checks drive the types of this module, not copies; each prints its seeds, and runs as long as it is asked to.
//!
//! | claim | check | bounds |
//! |---|---|---|
//! | I1-I5, linearizability, W4; a lone coordinator decides with any majority, within two rounds (N = 2: three) | `tests/exhaustive.rs`: every state | 1 to 3 nodes, 2 or 3 coordinators with an op or two, a retry, loss, any order, late coordinators, repeats of what may be repeated; 13 setups in every run (up to 23,465 states each), 6 more by `ANARCHO_EXHAUSTIVE=1` (up to 1,662,551); 13 controls |
//! | the same, deeper: more ops, retries, repairs, levels | `tests/protocol_search.rs`: random schedules | 1 to 5 nodes, 2 or 3 coordinators; 14 controls, each unsound shortcut among them; `tests/model/traces.rs` tells the counter-examples |
//! | the nodes of these two searches do what the scripts do | `tests/abstract_node.rs`, `tests/model_is_scripts.rs`: random calls in lock-step with a model of the scripts, and that with real servers | Redis 6.2, 7.0, 7.4, Valkey 9: every answer, every byte of every record; 10 controls |
//! | the client, coordinator, node supervisors, admission, formation and healer that users run | `tests/simulation.rs`: the whole system in virtual time | 3 or 5 nodes, 2 or 3 coordinators, all value types, expiry, keys that share a tag, kill, restart (intact, older, empty), standstill, cuts, held messages, late and repeated ones, FLUSHALL, SCRIPT FLUSH, clocks up to 200 ms off; histories judged by `tests/linearizable` (itself held to tables and to two other judges); 6 controls |
//! | restarts and rejoin; purge; changes of membership; expiry under clock offsets; deltas | `tests/growth.rs`: random schedules | 3 and 5 nodes; see the table there for schedules and controls |
//! | what a naive coordinator gets wrong, this one does not | `tests/simulated_pitfalls.rs` | the pitfalls by name, and random schedules |
//!
//! Only believed, or only tested on real servers: that no more happens with more nodes, longer histories or rarer timing than the
//! searches reach; streams and other `DUMP` values; memory limits and refusals half-way through a batch; keys moved in slices; the
//! end of the retry window; clocks that are further off than `max_clock_offset`; more than N-M nodes forgetting at once (data *is*
//! lost then). Purge and changes of membership are designs: `tests/growth/` says how far they hold; neither is in the code yet.
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
pub use membership::{Admission, Epoch, Facts, Fence, Role, count_together};
pub use parse::ParseError;
pub use quorum::{Decided, NodeIndex, Quorum, Rule};
pub use read::{Disagreement, ReadAnswer, ReadRound, ReadStep};
pub use repair::{RepairNeed, Repairs};
pub use version::{Digest, Position, Standing, Version};
pub use write::{
    Abandoned, Ack, ApplyAnswer, Kind, NoVote, Retry, SettleAnswer, SettlePlan, WriteRound, WriteStep,
};
