//! What a naive replication layer gets wrong, in the simulator: each trace is run with the naive coordinator of
//! `simulated_pitfalls/naive.rs`, which must show the bad outcome, and with ours, which must not; and both live through the
//! same random schedules.
//!
//! Time is virtual, so an hour costs nothing, two writes can have one and the same microsecond, and a message waits exactly
//! until the trace lets it go. `tests/pitfalls.rs` has most of these traces on real servers. Not here:
//!
//! | pitfall | why not, and where instead |
//! |---|---|
//! | P19 | model servers have no SRANDMEMBER, with which ours chooses; tests/pitfalls/effects.rs |
//! | P20 | they have no streams; tests/pitfalls/effects.rs |
//! | P25 | they have no INCRBYFLOAT; tests/pitfalls/effects.rs |
//! | P26 | they have no HyperLogLog; tests/pitfalls/effects.rs |
//! | P27 | their sets have one order; tests/pitfalls/effects.rs |
//! | P28 | they are all of one version; tests/pitfalls/values.rs |
//! | P33, P34 | they have all the memory that they want; tests/pitfalls/scripts.rs, and admission refuses eviction |
//! | P35-P37 | they run no Lua: no doubles, no `unpack`, no script that hangs; tests/scripts |
//! | P38, P51, P52 | cost and load: the benchmarks |
//! | P39 | no client of these lists keys; tests/command_table.rs refuses it |
//! | P40 | there are no slots and one database; tests/command_table.rs |
//! | P41 | FLUSHALL is refused for the whole cluster, and a node emptied directly is P05 |
//! | P43, P44 | beside the protocol: tests/transactions.rs, tests/blocking.rs, tests/pubsub.rs |
//! | P48 | the naive versions come from no clock; tests/protocol_write.rs |
//! | P49, P50 | the naive healer is told its keys and has no queue; tests/heal.rs |
//! | P53 | model servers refuse nobody; tests/system_faults.rs |
//! | P55 | the naive one waits for every node; tests/system_cancel.rs |

mod command_support;
mod linearizable;
mod server_model;
mod simulated;

#[path = "simulated_pitfalls/deletes.rs"]
mod deletes;
#[path = "simulated_pitfalls/expiry.rs"]
mod expiry;
#[path = "simulated_pitfalls/membership.rs"]
mod membership;
#[path = "simulated_pitfalls/naive.rs"]
mod naive;
#[path = "simulated_pitfalls/party.rs"]
mod party;
#[path = "simulated_pitfalls/random.rs"]
mod random;
#[path = "simulated_pitfalls/repairs.rs"]
mod repairs;
#[path = "simulated_pitfalls/replies.rs"]
mod replies;
#[path = "simulated_pitfalls/restarts.rs"]
mod restarts;
#[path = "simulated_pitfalls/rig.rs"]
mod rig;
#[path = "simulated_pitfalls/scripts.rs"]
mod scripts;
#[path = "simulated_pitfalls/writes.rs"]
mod writes;

use std::fmt::Debug;

use rig::{Kind, Rig};

/// How many runs of a trace there are; each draws other delays, and all must come to the same.
const SEEDS: u64 = 5;

/// What a trace comes to with the naive coordinator, and with ours.
fn both<T: Debug + PartialEq>(trace: impl AsyncFn(Rig) -> T) -> (T, T) {
    (each_seed(Kind::Naive, &trace), each_seed(Kind::Ours, &trace))
}

fn each_seed<T: Debug + PartialEq>(kind: Kind, trace: &impl AsyncFn(Rig) -> T) -> T {
    let first = rig::in_virtual_time(async || trace(Rig::start(kind, 1)).await);
    for seed in 2..=SEEDS {
        let other = rig::in_virtual_time(async || trace(Rig::start(kind, seed)).await);
        assert_eq!(other, first, "{kind:?}: seed {seed} comes to something else than seed 1");
    }
    first
}
