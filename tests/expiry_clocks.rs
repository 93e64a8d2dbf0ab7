//! The moment of expiry gives one result, on all nodes and for all clients, though their clocks differ by up to `max_clock_offset`.

mod harness;
mod linearizable;
mod workload;

#[cfg(target_os = "linux")]
#[path = "expiry_clocks/clock.rs"]
mod clock;
#[path = "expiry_clocks/model.rs"]
mod model;
#[path = "expiry_clocks/play.rs"]
mod play;

use std::env;
use std::sync::Arc;

use anarchoredis::Client;
use futures_util::future::join_all;
use harness::{Server, eventually};
use linearizable::check;
use model::Possible;
use play::{Game, counted, now_ms};
use workload::{Cluster, PATIENCE, Rng, Shifted, difference, eventually_same};

const REGISTERS: usize = 24;
const OPS: usize = 30;

fn some_seed() -> u64 {
    let given = env::var("ANARCHO_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(now_ms)
}

/// Clients with these clocks play on so many registers at once, each on every one; what they were told.
async fn play(cluster: &Cluster, seed: u64, clocks_ms: &[i64], apart_ms: u64) -> (Vec<Client>, Vec<Arc<Game>>) {
    let clients = join_all(clocks_ms.iter().map(|by_ms| Shifted { by_ms: *by_ms }.client(cluster.urls()))).await;
    let games: Vec<Arc<Game>> = (0..REGISTERS).map(|number| Game::new(number, apart_ms)).collect();
    let mut playing = Vec::new();
    for (register, game) in games.iter().enumerate() {
        for (number, client) in clients.iter().enumerate() {
            let rng = Rng::new(seed.wrapping_mul(1_000_003) + (register * clients.len() + number) as u64);
            playing.push(Arc::clone(game).play(number, client.clone(), rng, OPS));
        }
    }
    join_all(playing).await;
    (clients, games)
}

fn judge(games: &[Arc<Game>], seed: u64) {
    let calls: Vec<_> = games.iter().map(|game| game.calls()).collect();
    println!("{:?}", counted(calls.iter().flatten()));
    for (register, calls) in calls.iter().enumerate() {
        let verdict = check(&Possible::default(), calls);
        assert!(verdict.is_linearizable(), "seed {seed}, register {register}: {verdict}");
    }
}

/// Of every register what the record says of each key, and each key's expiry by the server.
async fn expiries(server: &Server) -> Vec<(String, String, u64, i64)> {
    let mut all = Vec::new();
    for register in 0..REGISTERS {
        let record = format!("anrcho_version:{{r{register}}}");
        for key in ["a", "b"].map(|key| format!("{{r{register}}}{key}")) {
            let entry: Option<u64> = server.run(&["HGET", &record, &format!("k{key}")]).await.expect("HGET");
            let at: i64 = server.run(&["PEXPIRETIME", &key]).await.expect("PEXPIRETIME");
            all.push((record.clone(), key, entry.unwrap_or(u64::MAX), at));
        }
    }
    all
}

/// Values, digests, and absolute expiry.
async fn are_the_same(cluster: &Cluster, client: &Client) {
    // What expires soon is gone on one node and not yet on another.
    let is_calm = async || {
        let latest = expiries(&cluster[0]).await.into_iter().filter(|entry| entry.3 > 0).map(|entry| entry.3).max();
        latest.is_none_or(|at| at as u64 > now_ms() + 60_000)
    };
    eventually("what expires soon has expired", PATIENCE, is_calm).await;
    eventually_same(cluster, client).await;
    let first = expiries(&cluster[0]).await;
    for server in &cluster[1..] {
        assert_eq!(expiries(server).await, first);
    }
}

#[tokio::test]
async fn clients_whose_clocks_differ_meet_one_moment_of_expiry() {
    let seed = some_seed();
    println!("seed {seed}");
    let cluster = Cluster::start().await;
    let (clients, games) = play(&cluster, seed, &[400, 0, -400, -400], 400).await;
    are_the_same(&cluster, &clients[1]).await;
    judge(&games, seed);
}
