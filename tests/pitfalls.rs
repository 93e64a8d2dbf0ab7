//! What a naive replication layer over plain Redis gets wrong, on real servers, twice each: the naive coordinator of
//! `tests/naive` must show the bad outcome, and this crate must not.
//!
//! A, B and C are the nodes, X and Y coordinators; each coordinator has a network of its own. Where the others are:
//!
//! | pitfall | test |
//! |---|---|
//! | P08 tombstones collected while a node is away | `purge`: `while_a_node_is_away_nothing_is_purged_and_it_brings_nothing_back`, `a_joining_node_drops_what_the_others_have_purged`; `deletes` |
//! | P09 a repair that lands after its tombstone was collected | `scripts_contract`: `a_node_without_a_record_takes_no_ballot_that_is_older_than_the_purge_age` |
//! | P41 FLUSHALL that one node missed | `flush`: `a_node_that_missed_a_flush_brings_nothing_back` |
//! | P45 one server twice | `bad_input`: `one_server_named_twice_is_refused_under_whatever_name`; `operation_pitfalls` |
//! | P46 lists that overlap, old majorities | `bad_input`: `a_list_that_overlaps_a_cluster_does_not_become_another_one`; `membership` |
//! | P34, P39, P45, P47-P51, P53, P54 | `operation_pitfalls` |
//! | P35-P38, P40, P42-P44, P52, P55, P56 | each where the feature is: scripts, commands, faults |

mod harness;
mod naive;

#[path = "pitfalls/deletes.rs"]
mod deletes;
#[path = "pitfalls/direct.rs"]
mod direct;
#[path = "pitfalls/effects.rs"]
mod effects;
#[path = "pitfalls/expiry.rs"]
mod expiry;
#[path = "pitfalls/repairs.rs"]
mod repairs;
#[path = "pitfalls/replies.rs"]
mod replies;
#[path = "pitfalls/restarts.rs"]
mod restarts;
#[path = "pitfalls/rig.rs"]
mod rig;
#[path = "pitfalls/scripts.rs"]
mod scripts;
#[path = "pitfalls/values.rs"]
mod values;
#[path = "pitfalls/writes.rs"]
mod writes;

use rig::Kind;

/// What a trace comes to with the naive coordinator, and with ours.
async fn both<T>(trace: impl AsyncFn(Kind) -> T) -> (T, T) {
    tokio::join!(trace(Kind::Naive), trace(Kind::Ours))
}
