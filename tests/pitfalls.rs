//! What a naive replication layer over plain Redis gets wrong, on real servers, twice each: the naive coordinator of
//! `tests/naive` must show the bad outcome, and this crate must not.
//!
//! A, B and C are the nodes, X and Y coordinators; each coordinator has a network of its own. Not here yet:
//!
//! | pitfall | why |
//! |---|---|
//! | P08 tombstones collected while a node is away | no tombstone is collected yet: nothing purges |
//! | P09 a repair that lands after its tombstone was collected | the same |
//! | P34-P56 | each has its test where the feature is: admission, commands, faults; or comes with a later one |

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
