//! The moment of expiry gives one result, on all nodes and for all clients, though their clocks differ by up to `max_clock_offset`.

mod harness;
mod linearizable;
mod workload;

#[cfg(target_os = "linux")]
#[path = "expiry_clocks/clock.rs"]
mod clock;
#[path = "expiry_clocks/model.rs"]
mod model;
#[path = "expiry_clocks/persist.rs"]
mod persist;
#[path = "expiry_clocks/play.rs"]
mod play;

use std::collections::BTreeSet;
use std::env;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::time::Duration;

use anarchoredis::{Client, Error};
#[cfg(target_os = "linux")]
use clock::Clock;
use futures_util::future::join_all;
use harness::{Server, Version, eventually};
use linearizable::check;
use model::Possible;
use persist::{Expiry, ROWS, Row};
use play::{Game, counted, now_ms};
use redis::Value;
use workload::{Cluster, PATIENCE, Rng, Shifted, difference, eventually_same, words};

const REGISTERS: usize = 24;
const OPS: usize = 30;

fn some_seed() -> u64 {
    let given = env::var("ANARCHO_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(now_ms)
}

/// Clients with these clocks play on so many registers at once, each on every one; what they were told.
async fn play(
    cluster: &Cluster,
    seed: u64,
    clocks_ms: &[i64],
    apart_ms: u64,
) -> (Vec<Client>, Vec<Arc<Game>>) {
    let clients =
        join_all(clocks_ms.iter().map(|by_ms| Shifted { by_ms: *by_ms }.client(cluster.urls()))).await;
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
        let latest =
            expiries(&cluster[0]).await.into_iter().filter(|entry| entry.3 > 0).map(|entry| entry.3).max();
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

/// Three nodes whose clocks are ahead by so much.
#[cfg(target_os = "linux")]
async fn shifted_nodes(clocks_ms: [i64; 3]) -> (Cluster, [Clock; 3]) {
    let clocks = clocks_ms.map(|ahead_ms| {
        let clock = Clock::new();
        clock.set(ahead_ms);
        clock
    });
    (Cluster::with(clocks.iter().map(|clock| clock.server(Version::V7_0))).await, clocks)
}

#[cfg(target_os = "linux")]
async fn clock_of(server: &Server) -> i64 {
    let (seconds, us): (i64, i64) = server.run(&["TIME"]).await.expect("TIME");
    seconds * 1_000 + us / 1_000
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nodes_whose_clocks_differ_meet_one_moment_of_expiry() {
    let seed = some_seed();
    println!("seed {seed}");
    let (cluster, clocks) = shifted_nodes([300, 0, -300]).await;
    let [ahead, _, behind] = [clock_of(&cluster[0]).await, 0, clock_of(&cluster[2]).await];
    assert!((500..).contains(&(ahead - behind + 100)), "{ahead} and {behind}");
    let mut rng = Rng::new(seed);
    // While the clients play, the nodes' clocks are set, as by somebody who does not know the time either.
    let moving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(rng.below(200))).await;
            clocks[rng.place(3)].set([300, 0, -300][rng.place(3)]);
        }
    };
    let (clients, games) = tokio::select! {
        played = play(&cluster, seed, &[190, 0, -190, -190], 310) => played,
        () = moving => unreachable!("it ends with the game"),
    };
    are_the_same(&cluster, &clients[1]).await;
    judge(&games, seed);
}

/// The control: each node asked for itself.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nodes_whose_clocks_differ_and_that_are_asked_one_by_one_come_apart() {
    let (cluster, _clocks) = shifted_nodes([300, 0, -300]).await;
    let mut came_apart = false;
    for round in 0..10 {
        let key = format!("k{round}");
        let at = (now_ms() + 500).to_string();
        for server in cluster.iter() {
            server.run::<()>(&["SET", &key, "v", "PXAT", &at]).await.expect("SET");
        }
        let is_gone = async || !cluster[0].run::<bool>(&["EXISTS", &key]).await.expect("EXISTS");
        eventually("it has expired where the clock is ahead", PATIENCE, is_gone).await;
        for server in cluster.iter() {
            server.run::<u64>(&["APPEND", &key, "w"]).await.expect("APPEND");
        }
        came_apart |= difference(&cluster).await.contains_key(&key);
    }
    assert!(came_apart);
}

/// Where no clock can be put before a server's, only the clocks of ops are shifted.
#[cfg(not(target_os = "linux"))]
#[test]
fn nodes_whose_clocks_differ_meet_one_moment_of_expiry() {
    eprintln!(
        "not run: this system gives a server no clock of its own (LD_PRELOAD); the clients' clocks were shifted"
    );
}

async fn expiry_of(answers: &(impl AsyncFn(String) -> Value + ?Sized), key: &str) -> Expiry {
    match answers(format!("PTTL {key}")).await {
        Value::Int(-2) => Expiry::Gone,
        Value::Int(-1) => Expiry::None,
        Value::Int(0..) => Expiry::Set,
        other => panic!("PTTL {key}: {other:?}"),
    }
}

async fn outcome(
    answers: &impl AsyncFn(String) -> Value,
    number: usize,
    row: &Row,
) -> (Value, Expiry, Expiry) {
    let named = |line: &str| line.replace("{}", &format!("{{k{number}}}"));
    for line in row.0.split('|') {
        answers(named(line)).await;
    }
    let reply = answers(named(row.1)).await;
    let [a, b] = ["{}a", "{}b"].map(named);
    (reply, expiry_of(answers, &a).await, expiry_of(answers, &b).await)
}

#[tokio::test]
async fn each_command_keeps_takes_off_or_replaces_a_time_to_live_as_in_a_lone_redis() {
    let (cluster, lone) = (Cluster::start().await, Server::start(Version::V7_0).await);
    let client = cluster.client().await;
    let ours = async |line: String| match client.run(&words(&line)).await {
        Ok(reply) => reply,
        Err(Error::Command(_) | Error::Refused(_)) => Value::Nil,
        Err(error) => panic!("{line}: {error}"),
    };
    let connection = lone.connection().await;
    let plain = async |line: String| {
        let mut command = redis::Cmd::new();
        for word in words(&line) {
            command.arg(word);
        }
        command.query_async::<Value>(&mut connection.clone()).await.unwrap_or(Value::Nil)
    };
    let lines: BTreeSet<_> = ROWS.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(lines.len(), ROWS.len(), "no row stands there twice");
    for (number, row) in ROWS.iter().enumerate() {
        let (reply, a, b) = outcome(&plain, number, row).await;
        assert_eq!((a, b), (row.2, row.3), "a lone Redis after {row:?}, which answered {reply:?}");
        let (our_reply, a, b) = outcome(&ours, number, row).await;
        assert_eq!((a, b), (row.2, row.3), "after {row:?}, which answered {our_reply:?}");
        assert_eq!(std::mem::discriminant(&our_reply), std::mem::discriminant(&reply), "{row:?}");
    }
    eventually_same(&cluster, &client).await;
}
