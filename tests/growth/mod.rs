//! A model of what grows on the core: restarts and rejoins, deletion and purge, expiry under clocks that differ, changes of
//! membership, deltas.
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
//! *Copies in bulk.* Before the sweep, a joining node takes the record of one voter as it is, also late; the sweep compares and mends as
//! ever. What the node held before or was given since is not replaced by what is older in promise or settle. No schedule needs that
//! last rule: by then M voters hold what the sweep settled, and the clone's own answers never counted. It spares a second repair.
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
//! tombstone need not be settled, and where its promise may be young.
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
//! older than the expiry: the promise turns such an op away. So a node reports what is due, R2 compares, and the slow read settles
//! at a ballot that is late enough.
//!
//! # Membership
//!
//! An epoch is a *generation* and a count of the rejoins in it; each generation has one set of members, and N and M are its own. The
//! register of the configuration lists the sets. It is a register as any other, decided by rounds under the generation that it ends.
//! A change from generation g with members C to g+1 with members C', one server more or one less:
//!
//! 1. *The sweep.* Under an epoch of g, every register (the configuration's too) is decided by a slow read with `keep`, so that M of C
//!    hold it. All of C that stay vote under that epoch.
//! 2. *The decision.* One op at the configuration: "where the list has the length g, append C'". Where it did not apply, another change
//!    was decided, and is followed.
//! 3. *The move.* Each member of C', in any order, and in one step there: where its generation is below g+1, it takes the first epoch of
//!    g+1, C' and a new token, so that it refuses every older call. A voter of g votes on. Anyone else is *joining*, whether new, back, or
//!    left behind in an older generation. A server that was removed need not be told.
//! 4. *The fill.* The pass of "Fences", under g+1: M of C' hold its next epoch, the sweep fills who joins, and then it votes.
//!
//! Any healer goes on where another stopped: where a node shows a newer generation than M nodes hold, or the list is longer, the
//! move is repeated first, and a pass that meets a newer generation than its voters' ends.
//!
//! **A new server is filled after the move, not before the decision** (`FilledBefore`, which was the first rule). Where a fill gives the
//! new server what W1 decided, it alone has accepted that ballot, and outranks every op that W1 commits later. Where the fill is first
//! settled on M of C, it may still lose a commit. That took 56,611 schedules; the control leaves this settle out. C is {0, 1, 2}:
//!
//! 1. The fill settles v4 at ballot b on 1, 2 and the new server 3. A later op commits v5 by W1 on 0, 1 and 2: no settle, so 1 has accepted
//!    b with v5, and 3 has accepted b with v4. 2 takes a settle of a later write, which does not come to its end.
//! 2. 3 votes. An op of another coordinator reaches 0 and 3, and runs there: 3 has accepted b with *another* v5.
//! 3. 0, 1 and 3 answer a slow read. 1 and 3 are level in (accepted, version), the digest decides, and the v5 that was committed is gone.
//!
//! A server that joins is one of N: nothing commits by W1 without it, so whatever it missed since its fill was settled on M of C' at
//! a higher ballot.
//!
//! Each change needs a sweep of its own, a removal too (`ChangesUnswept`): a write is on 0, 1 and 2 of five; 0 is removed, then 1; 3 and
//! 4 are a majority of what is left. And a majority of C must meet one of C' (`TwoAtOnce`: five become three). A server replaced in
//! one step was not caught in 30,000 schedules, as the new one does not vote before M of those that stay have moved; it is not claimed.
//!
//! A new member that is not filled counts as one that forgot. With one more that forgets, fewer than M may be left to vote: nothing is
//! lost, and nothing is decided until an operator steps in. The searches count those schedules.
//!
//! # Recovery
//!
//! All servers end at once. What they come back with is all that they answered, but for one that may come back empty; nobody can prove
//! that, so fewer than M vote, and healers that overlap, stop anywhere and stand still decide the register from what all N hold.
//!
//! * **All N, or nothing** (`RecoversFromSome`): what M nodes settled may be on one of those that are there, and on one that is not.
//! * **What was settled outranks what is longer** (`RecoversByVersion`), as in any round.
//! * **Only under the tokens of the pass**: otherwise a pass may read what all hold and stand still; another one ends, nodes vote, and a write
//!   is settled; the first one settles what it read, under a ballot above the write's where its clock is ahead. That is an argument: 60,000
//!   schedules without the tokens did not come to it.
//!
//! A node with *older* data is left out: what it settled last may outrank what W1 committed later, and such an op is lost, as
//! `src/heal/recover.rs` says.
//!
//! # Bounds
//!
//! Schedules of the sound rules without a violation, from seed 1. Membership has 3 or 4 members of 4 servers, and 3 to 5 of 5.
//!
//! | subject | 3 nodes (4 servers) | 5 nodes (5 servers) | in them |
//! |---|---|---|---|
//! | fences | 60,000 | 20,000 | |
//! | purge | 100,000, and 1,005,155, which an earlier rule failed | 8,000 | 60,308 records purged with 3 nodes |
//! | expiry | 60,000 | | |
//! | recovery | 10,000 | | one outage each |
//! | membership | 120,000 | 60,000 | 48,495 and 27,519 changes; 812 and 20 schedules left without a majority |
//!
//! # Controls
//!
//! How many schedules from seed 1 each takes; `tests/growth.rs` begins shortly before. A change of the model moves those seeds: then
//! search with `ANARCHO_CONTROL=<name> ANARCHO_CONTROL_SEED=1 ANARCHO_CONTROL_SCHEDULES=400000`, and write the new one down.
//!
//! | subject | controls |
//! |---|---|
//! | fences | RolledBackVotes 125, PlainCopies 6,988, CountsAwayAsFilled 24,253 |
//! | purge | PurgeByDeadlinesAlone 48,989, PurgeByMajority 473, PurgeWithoutAge 6,734, AwayVotes 473, FencesTheAway 13,719, KeepsPurged 1,765, DeadlineStandsStill 17 |
//! | expiry | OwnClocks 20, RelativeTtl 1, NoExpiringAnswer 2, DueByMajority 14,647 |
//! | membership | VotesUnfilled 2,452, FilledBefore 40, OldMajority 5 (3 or 4 members); ChangesUnswept 530, TwoAtOnce 1,264, OlderCalls 5,750 (4 or 5) |
//! | recovery | RecoversFromSome 1,038, RecoversByVersion 198 |
//! | deltas | BaseNotCompared 1, ForgetsDeletions 28, ForgetsTheTargetsChanges 412 |
//!
//! # Not modelled
//!
//! Fewer than three members; several data registers; a cluster of which more than N-M nodes forget anything that they answered; batches and replies too long to
//! remember; membership together with purge, expiry or deletion.

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
mod recover;
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
