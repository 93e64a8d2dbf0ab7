//! Mixed operations of four coordinators while one node at a time is killed, hung or cut off.
//!
//! `ANARCHO_SOAK_OPS` sets how many operations, `ANARCHO_SEED` which: the choice of operations and faults follows from the
//! seed, their timing does not.

#[path = "workload/controls.rs"]
mod controls;
mod harness;
mod workload;

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use workload::{Cluster, Faults, Mix, Rng, eventually_same};

const COORDINATORS: usize = 4;
const TASKS: u64 = 16;
const DEFAULT_OPERATIONS: u64 = 20_000;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_coordinators_under_random_faults_lose_nothing_double_nothing_and_read_nothing_stale() {
    let operations = from_env("ANARCHO_SOAK_OPS", DEFAULT_OPERATIONS);
    let seed = from_env("ANARCHO_SEED", rand::random::<u32>().into());
    println!("seed {seed}, {operations} operations");
    let cluster = Arc::new(Cluster::durable(3).await);
    let coordinators = Arc::new(cluster.coordinators(COORDINATORS).await);
    let mix = Mix::new();
    let mut tasks = Vec::new();
    for (place, coordinator) in coordinators.iter().enumerate() {
        for task in 0..TASKS {
            let rng = Rng::new(seed + 1 + task + TASKS * place as u64);
            let work = mix.clone().work(coordinator.client.clone(), rng, operations);
            tasks.push(tokio::spawn(work));
        }
    }
    let faults = Faults {
        cluster: cluster.clone(),
        coordinators: coordinators.clone(),
        rng: Rng::new(seed),
        count: BTreeMap::new(),
    };
    let count = faults.run(&mix.tally, operations).await;
    for task in tasks {
        task.await.expect("a task of the soak");
    }
    mix.finish(&coordinators[0].client).await;
    println!("{}\n  faults          {count:?}", mix.tally);
    mix.tally.assert_clean();
    eventually_same(&cluster, &coordinators[1].client).await;
    println!("  nodes at the end: identical");
}
