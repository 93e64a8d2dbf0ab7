//! A model of what grows on the core: restarts and rejoins, deletion and purge, expiry under clocks that differ, deltas.
//!
//! Nodes do what the scripts do, coordinators drive the real rounds as `src/coordinator` does, and healers take the steps of
//! `src/heal` with every call lost, late or cut short. Actors are `async` functions over virtual time ([`sim`]); a schedule
//! follows from its seed alone. Checked: I1 to I4 on the nodes ([`checker`]; I4 not where a purge lets histories begin anew) and
//! linearizability of all replies, two reads at rest included ([`linear`]).
//!
//! # Fences
//!
//! Assumed: at any time at most N-M nodes are without something that they answered, from their crash until they are promoted.
//! A node comes back whole, as it was at some earlier moment, or empty; passes stop anywhere, overlap, and nodes crash in them.
//!
//! What a pass must do beyond what was first written down:
//!
//! * **A node is promoted only by a pass that swept it.** It must have been there for every page, and hold every register that the
//!   pass mended. Otherwise (the control `CountsAwayAsFilled`): A is back with older data and marked as joining; for one moment it
//!   does not answer; the sweep compares B and C, counts A as away, and ends well; A answers again and is promoted, unfilled. A and
//!   one more node now outvote an acknowledged write. With another node away the same follows from any register that could not be
//!   brought to A.
//! * **A pass leaves alone what votes by the time it comes to it.** A slow pass that listed A as joining would demote it after
//!   another pass promoted it; if a third node has restarted since, fewer than M are left to vote, though nothing was lost.
//!
//! # Purge
//!
//! D is the purge age: more than twice the longest time that any client tries an op, plus four times the largest clock offset.
//!
//! 1. *The guard.* A node that has no record of a register refuses each apply and settle whose ballot is older than D by its own
//!    clock. So a node forgets a promise only when everything which that promise turned away is turned away by age: purging is
//!    the same as remembering.
//! 2. *The question.* All N nodes vote under one epoch and answer. Each has no record, or one that may go: no value (none, or
//!    expired), version = settled, nothing promised beyond the accepted ballot, and that ballot and the expiry older than D by
//!    its own clock. Those that have one agree on position and accepted ballot.
//! 3. *The purge.* Each node is told position and ballot, under the fence with which it answered. It checks 2 for itself again,
//!    and drops the record, or does nothing.
//! 4. *The rejoin.* What no voter has, a joining node drops before it is promoted.
//!
//! While a node is away or joining, nothing is purged. What is not settled alike on all nodes is mended first, and is old
//! enough D later. Two parts of 2 are stricter than any schedule needed: in 100,000 schedules each, nothing was found where the
//! tombstone need not be settled, and where its promise may be young. The whole was searched in 300,000 schedules with 3 nodes and 60,000 with 5.
//!
//! Nobody may go on without a node that is away, not even by moving on to an epoch that it does not hold (`FencesTheAway`): 0 and 2
//! leave 1 behind and purge; then 0 does not vote, fewer than M hold the newest epoch, and 1 and 2 move to the next one
//! together. 1 votes with the old value and was never filled.
//!
//! A purge may stop half-way: `{absent, tombstone}` both mean "nothing". A read decides by R2 or R3, a write settles over both, and
//! the next purge takes a missing record for a purged one. All N ABSENT still decides a mutation: its one round ran nowhere.
//!
//! Without the guard (`PurgeByDeadlinesAlone`) the age of the ballot proves nothing, because a repair sends an old ballot under a new
//! deadline: a read finds `v3` settled and C behind; the state is fetched; the machine stands still, or the state is large;
//! DEL is committed and settled everywhere, and purged; the settle of `v3` reaches C, which has no promise any more; the next slow
//! read finds `v3` accepted there and nothing elsewhere, and brings it back.
//!
//! Purge also forgets the ops that were remembered for retries, as the retry window does. Both rest on this: **the end of an
//! op's time is one moment, fixed when it starts**. A time that is counted by a clock which stands still with its machine
//! (`DeadlineStandsStill`) lets a retry run after the nodes forgot the op: it runs twice, and no purge is needed for that.
//!
//! # Expiry
//!
//! **R2 must not answer from an expiry that is later than the settle.** M nodes whose clocks are ahead have dropped a key, and a read
//! answers nil from them (`DueByMajority`). The third node's clock is behind: it runs a PERSIST from a coordinator that is behind
//! too, so that its history is longer, wins the next settle, and the key is alive again, after nil was read. R1 is sound: all
//! N have dropped it, so that every op from before the expiry meets EXPIRING. R2 is sound where the accepted ballot is not
//! older than the expiry: the promise turns such an op away. The model's nodes report such a record as not settled, and the
//! slow read settles it at a ballot that is late enough.
//!
//! # Controls
//!
//! Each is caught from the seed that `tests/growth.rs` names. A change of the model moves those seeds: then search with
//! `ANARCHO_CONTROL=<name> ANARCHO_CONTROL_SEED=1 ANARCHO_CONTROL_SCHEDULES=400000`, and write the new one down.
//!
//!
//! # Not modelled
//!
//! Several data registers; a cluster of which more than N-M nodes forget; batches and replies too long to remember.

mod admission;
mod change;
mod checker;
mod client;
mod control;
mod deltas;
mod heal;
mod history;
mod linear;
mod members;
mod mend;
mod node;
mod purge;
mod reads;
mod run;
mod sessions;
mod sim;
mod transfer;
mod watch;
mod weather;
mod world;

use super::rng;

pub use control::{Control, Topic};
pub use deltas::{DeltaControl, run_deltas};
pub use run::{run, trace};
