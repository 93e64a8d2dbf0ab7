//! Random moments: a push on its way to nodes that it reaches at different times, while somebody begins to wait. A waiter that is sure of
//! its subscriptions tries by itself only every few seconds; what it finds then, though no node told of it, is a wake that was lost.
//!
//! `ANARCHO_SEED` begins with another seed, `ANARCHO_SEEDS` tries more of them.

mod harness;
mod workload;

use std::time::Duration;

use anarchoredis::Error;
use futures_util::future::join_all;
use redis::Value;
use workload::{Cluster, Coordinator, PATIENCE, Rng, try_run, words};

/// How many wait at a time, each for a key of its own.
const AT_ONCE: usize = 12;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

async fn pause(rng: &mut Rng, below_us: u64) {
    tokio::time::sleep(Duration::from_micros(rng.below(below_us))).await;
}

/// One waits, one pushes, neither knows of the other; whether the waiter was woken.
async fn is_woken(takers: &Coordinator, givers: &Coordinator, key: &str, seed: u64) -> bool {
    let (mut first, mut second) = (Rng::new(seed), Rng::new(seed + 1));
    let wait = format!("BLPOP {key}:a {key}:b 0");
    let waiting = async {
        pause(&mut first, 12_000).await;
        tokio::time::timeout(PATIENCE, takers.client.run(&words(&wait))).await
    };
    let pushing = async {
        // While it begins to wait; or later, when nothing but the wake tells it.
        let below_us = [12_000, 250_000][second.place(2)];
        pause(&mut second, below_us).await;
        let end = if second.below(2) == 0 { "a" } else { "b" };
        // Pushed twice is as good as once; not at all would leave the waiter asleep for a good reason.
        while try_run::<i64>(&givers.client, &format!("RPUSH {key}:{end} v")).await.is_err() {}
    };
    let (woken, ()) = tokio::join!(waiting, pushing);
    // A try whose outcome is not known ends the waiting, and says so.
    let is_woken = matches!(woken, Ok(Ok(Value::Array(_)) | Err(Error::Indeterminate { .. })));
    if !is_woken {
        println!("{wait}: {woken:?}");
    }
    is_woken
}

#[tokio::test]
async fn no_wake_is_lost_whatever_reaches_which_node_when() {
    let begin = number("ANARCHO_SEED", 1);
    for seed in begin..begin + number("ANARCHO_SEEDS", 2) {
        println!("ANARCHO_SEED={seed}");
        let cluster = Cluster::start().await;
        let (takers, givers) = (cluster.coordinator().await, cluster.coordinator().await);
        let mut rng = Rng::new(seed);
        for round in 0..12u64 {
            // One node is out of reach for one side, another for the other side: what both reach is one node of three.
            let cut = rng.place(3);
            let other = 3 + (cut + 1 + rng.place(2)) % 3;
            for (place, link) in takers.links.iter().chain(&givers.links).enumerate() {
                link.delay(Duration::from_micros(rng.below(5_000)));
                if place == cut || place == other {
                    link.hold();
                }
            }
            let all = (0..AT_ONCE).map(|place| {
                let key = format!("k{{{round}:{place}}}");
                let seed = seed * 1_000_000 + round * 1_000 + place as u64 * 10;
                let (takers, givers) = (&takers, &givers);
                async move { is_woken(takers, givers, &key, seed).await }
            });
            let woken = join_all(all).await;
            assert!(woken.iter().all(|woken| *woken), "seed {seed}, round {round}: {woken:?}");
            let metrics = takers.client.metrics();
            let is_none_lost = metrics.lines().any(|line| line == "anarcho_waiters_unheard_total 0");
            assert!(is_none_lost, "seed {seed}, round {round}: a wake was lost\n{metrics}");
            takers.links.iter().chain(&givers.links).for_each(|link| link.heal());
            cluster.until_all_vote(&takers.client).await;
            cluster.until_all_vote(&givers.client).await;
        }
    }
}
