//! What callers notice in the moment in which a node falls silent, in virtual time: nobody waits for it twice.
//!
//! ```text
//!   a read   read round · hedge delay ─▶ slow read · (hedge delay) · settle
//!   behind   an op on the same register that waits for the same node
//! ```

mod command_support;
mod linearizable;
mod server_model;
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use anarchoredis::{Client, Config};
use simulated::faults::addresses;
use simulated::run::config_of;
use simulated::weather::Weather;
use simulated::wire::Party;
use simulated::world::World;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Shorter than the time after which a silent node is not asked at all, and longer than all round trips of an operation.
const HEDGE: Duration = Duration::from_millis(45);
/// A message takes 3 ms at most, and timers another one.
const ROUND_TRIP: Duration = Duration::from_millis(7);
/// A read, behind another operation's two, and two of its own.
const ROUND_TRIPS: u32 = 5;
const OPERATIONS: usize = 120;
/// The node falls silent in the middle of them.
const BEFORE: usize = 40;
const SEEDS: u64 = 40;

/// One register, so that operations also stand in line.
const COMMANDS: [&[&[u8]]; 4] =
    [&[b"GET", b"k"], &[b"SET", b"k", b"v"], &[b"STRLEN", b"k"], &[b"APPEND", b"k", b"x"]];

/// How long the operations took, one every so often, of which most come after a node has fallen silent.
fn durations(seed: u64, every: Duration) -> Vec<Duration> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::in_weather(seed, Weather::fair(3, 1));
        let config = Config { hedge: (HEDGE, HEDGE), ..config_of(Arc::new(Party::new(&world, 0))) };
        let client = Client::builder().nodes(addresses(3)).config(config).connect().await.expect("a store");
        let mut running = JoinSet::new();
        for number in 0..OPERATIONS {
            if number == BEFORE {
                world.host(2).stands_until_us = u64::MAX;
            }
            let (client, command) = (client.clone(), world.rng().pick(&COMMANDS));
            running.spawn(async move {
                let began = Instant::now();
                client.run(command).await.expect("two of three nodes answer");
                began.elapsed()
            });
            tokio::time::sleep(every).await;
        }
        running.join_all().await
    })
}

fn longest(every: Duration) -> Duration {
    (1..=SEEDS).flat_map(|seed| durations(seed, every)).max().expect("there are seeds")
}

#[test]
fn with_a_node_that_falls_silent_no_operation_takes_longer_than_two_hedge_delays_and_its_round_trips() {
    for every in [1, 5, 10, 20, 30].map(Duration::from_millis) {
        let (longest, bound) = (longest(every), HEDGE * 2 + ROUND_TRIP * ROUND_TRIPS);
        println!("one every {every:?}: the longest took {longest:?}, of {bound:?}");
        assert!(longest > HEDGE, "nobody has waited for the node: {longest:?}");
        assert!(longest <= bound, "one every {every:?}: {longest:?}, more than {bound:?}");
    }
}
