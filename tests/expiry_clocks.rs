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
use std::time::Duration;

use anarchoredis::{Client, Error};
#[cfg(target_os = "linux")]
use clock::Clock;
use futures_util::future::join_all;
use harness::{Server, Version, eventually};
use linearizable::{Call, End, check};
use model::{Form, Op, Possible};
use persist::{Expiry, ROWS, Row};
use play::{Game, counted, now_ms};
use redis::Value;
use workload::{Cluster, PATIENCE, Rng, Shifted, difference, eventually_same, run, words};

const REGISTERS: usize = 20;
const CLIENTS: usize = 4;
/// Of each client on each register.
const OPS: usize = 30;

fn some_seed() -> u64 {
    let given = env::var("ANARCHO_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(now_ms)
}

/// Clients with these clocks play on so many registers at once, each on every one; what they were told.
async fn play(
    cluster: &Cluster,
    seed: u64,
    clocks_ms: &[i64; CLIENTS],
    apart_ms: u64,
) -> (Vec<Client>, Vec<Arc<Game>>) {
    let clients =
        join_all(clocks_ms.iter().map(|by_ms| Shifted { by_ms: *by_ms }.client(cluster.urls()))).await;
    let games: Vec<Arc<Game>> = (0..REGISTERS).map(|number| Game::new(number, apart_ms)).collect();
    // A register that was never there holds no promise, and so remembers nobody's time.
    for register in names("r", REGISTERS) {
        run::<()>(&clients[0], &format!("SET {{{register}}}a 0")).await;
        run::<()>(&clients[0], &format!("DEL {{{register}}}a")).await;
    }
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
    let [answered, read, lived] = counted(calls.iter().flatten());
    println!("{answered} answered, {read} read a value, {lived} set a time to live");
    // Clients that meet on one key at all times may run out of time on a busy machine; what is left must still be a test.
    let asked = REGISTERS * CLIENTS * OPS;
    assert!(answered > asked / 2 && read > 0 && lived > 0, "seed {seed}: {answered} of {asked} answered");
    for (register, calls) in calls.iter().enumerate() {
        let verdict = check(&Possible::default(), calls);
        assert!(verdict.is_linearizable(), "seed {seed}, register {register}: {verdict}");
    }
}

/// Of both keys of every register: the key, what the record says of it, and its expiry by the server.
async fn expiries(server: &Server, registers: &[String]) -> Vec<(String, Option<u64>, i64)> {
    let mut connection = server.connection().await;
    let mut all = Vec::new();
    for register in registers {
        for key in ["a", "b"].map(|key| format!("{{{register}}}{key}")) {
            let mut looks = redis::pipe();
            looks.hget(format!("anrcho_version:{{{register}}}"), format!("k{key}"));
            looks.cmd("PEXPIRETIME").arg(&key);
            let (entry, at_ms) = looks.query_async(&mut connection).await.expect("a record");
            all.push((key, entry, at_ms));
        }
    }
    all
}

/// Values, digests, and absolute expiry, which the record knows to the millisecond.
async fn are_the_same(cluster: &Cluster, client: &Client, registers: &[String]) {
    // What expires soon is gone on one node and not yet on another.
    let is_calm = async || {
        let all = join_all(cluster.iter().map(|server| expiries(server, registers))).await;
        let soon = now_ms() as i64 + 60_000;
        all.into_iter().flatten().all(|(_, _, at_ms)| at_ms < 0 || at_ms > soon)
    };
    eventually("what expires soon has expired", PATIENCE, is_calm).await;
    eventually_same(cluster, client).await;
    let first = expiries(&cluster[0], registers).await;
    for server in &cluster[1..] {
        assert_eq!(expiries(server, registers).await, first);
    }
    for (key, entry, at_ms) in first {
        let told = entry.map(|entry| if entry == 0 { -1 } else { entry as i64 });
        assert!(at_ms == -2 || Some(at_ms) == told, "{key}: the record says {entry:?}, the server {at_ms}");
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

#[tokio::test]
async fn clients_whose_clocks_differ_meet_one_moment_of_expiry() {
    let seed = some_seed();
    println!("seed {seed}");
    let cluster = Cluster::start().await;
    let (clients, games) = play(&cluster, seed, &[400, 0, -400, -400], 400).await;
    are_the_same(&cluster, &clients[1], &names("r", REGISTERS)).await;
    judge(&games, seed);
}

/// Calls one after the other: when it happens at the earliest and at the latest, the command, the reply.
fn is_linearizable(history: &[(u64, u64, &str, &str)]) -> bool {
    let call = |(number, (earliest, latest, line, reply)): (usize, &(u64, u64, &str, &str))| Call {
        client: 0,
        op: Op {
            form: if line.contains(';') { Form::Transaction } else { Form::Alone },
            commands: line.split(';').map(|line| line.split(' ').map(str::to_owned).collect()).collect(),
            between: (*earliest, *latest),
        },
        invoked: 2 * number as u64 + 1,
        end: End::Returned { at: 2 * number as u64 + 2, reply: (*reply).to_owned() },
    };
    let calls: Vec<_> = history.iter().enumerate().map(call).collect();
    check(&Possible::default(), &calls).is_linearizable()
}

#[test]
fn the_judge_knows_good_histories_from_bad_ones() {
    let set = (0, 90, "SET {r}a 17 PXAT 50", "OK");
    let good: &[&[(u64, u64, &str, &str)]] = &[
        &[set, (10, 90, "GET {r}a", "17"), (10, 90, "GET {r}a", "nil"), (10, 90, "SETNX {r}a 2", "1")],
        &[
            set,
            (10, 90, "APPEND {r}a 3", "3"),
            (10, 90, "PEXPIRETIME {r}a", "50"),
            (10, 90, "APPEND {r}a 3", "1"),
        ],
        &[set, (10, 90, "PERSIST {r}a", "1"), (60, 90, "INCR {r}a", "18")],
        &[
            set,
            (10, 90, "PEXPIREAT {r}a 40 GT;PEXPIREAT {r}a 70 GT;PEXPIREAT {r}a 60 NX", "0;1;0"),
            (60, 65, "GET {r}a", "17"),
        ],
        &[
            set,
            (10, 90, "RENAME {r}a {r}b", "OK"),
            (10, 90, "MGET {r}a {r}b", "[nil 17]"),
            (60, 90, "EXISTS {r}b", "0"),
        ],
    ];
    for history in good {
        assert!(is_linearizable(history), "{history:?}");
    }
    let bad: &[&[(u64, u64, &str, &str)]] = &[
        // Read again after it was gone.
        &[set, (10, 90, "GET {r}a", "nil"), (10, 90, "GET {r}a", "17")],
        // Two win one life.
        &[set, (10, 90, "SETNX {r}a 2", "1"), (10, 90, "SETNX {r}a 3", "1")],
        // One length twice.
        &[set, (10, 40, "APPEND {r}a 3", "3"), (10, 40, "APPEND {r}a 4", "3")],
        // Gone before any clock said so, alive when every clock says that it is not.
        &[set, (10, 49, "GET {r}a", "nil")],
        &[set, (50, 90, "GET {r}a", "17")],
        // A time to live that was kept, or was not.
        &[set, (10, 40, "SET {r}a 2 KEEPTTL", "OK"), (51, 90, "GET {r}a", "2")],
        &[set, (10, 40, "GETSET {r}a 2", "17"), (51, 90, "GET {r}a", "nil")],
        // Half a transaction before it, half behind.
        &[set, (10, 90, "GET {r}a;GET {r}a", "17;nil")],
        // The later one is past, the earlier is not.
        &[set, (10, 40, "SET {r}b 3 PXAT 60", "OK"), (10, 90, "MGET {r}a {r}b", "[17 nil]")],
        // Time ran back.
        &[set, (10, 90, "GET {r}a", "nil"), (10, 90, "SET {r}a 2 PXAT 45;GETSET {r}a 3", "OK;2")],
    ];
    for history in bad {
        assert!(!is_linearizable(history), "{history:?}");
    }
}

/// Three nodes whose clocks are ahead by so much.
#[cfg(target_os = "linux")]
async fn shifted_nodes(clocks_ms: [i64; 3]) -> (Cluster, [Clock; 3]) {
    let clocks = clocks_ms.map(|ahead_ms| {
        let clock = Clock::new();
        clock.set(ahead_ms);
        clock
    });
    // Each program reads the clock in its own way.
    let versions = [Version::V7_0, Version::V7_4, Version::Valkey9];
    let setups = clocks.iter().zip(versions).map(|(clock, version)| clock.server(version));
    let cluster = Cluster::with(setups).await;
    for (server, ahead_ms) in cluster.iter().zip(clocks_ms) {
        let is_off = async || {
            let before_ms = now_ms() as i64;
            (before_ms..=now_ms() as i64 + 20).contains(&(clock_of(server).await - ahead_ms))
        };
        eventually("the server goes by its clock", PATIENCE, is_off).await;
    }
    (cluster, clocks)
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
    let mut rng = Rng::new(seed);
    // While the clients play, the nodes' clocks go too fast and too slowly, as those that are being corrected do.
    let moving = async {
        let (mut ahead_ms, mut towards_ms) = ([300, 0, -300], [-300, 300, 0]);
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            for (clock, (ahead_ms, towards_ms)) in clocks.iter().zip(ahead_ms.iter_mut().zip(&mut towards_ms))
            {
                *ahead_ms += (*towards_ms - *ahead_ms).clamp(-2, 2);
                clock.set(*ahead_ms);
                if ahead_ms == towards_ms {
                    *towards_ms = [300, 0, -300][rng.place(3)];
                }
            }
        }
    };
    let (clients, games) = tokio::select! {
        played = play(&cluster, seed, &[190, 0, -190, -190], 310) => played,
        () = moving => unreachable!("it ends with the game"),
    };
    are_the_same(&cluster, &clients[1], &names("r", REGISTERS)).await;
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
    let ours = async |line: String| answer(&client, &line).await;
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

/// How often each row is played.
const ROUNDS: usize = 3;

/// Every row with a time to live that ends while three clients run its command: they come before it, behind it, and on it.
#[tokio::test]
async fn whatever_is_written_at_the_moment_of_expiry_leaves_the_nodes_alike() {
    let seed = some_seed();
    println!("seed {seed}");
    let cluster = Cluster::start().await;
    let clients = join_all([400, 0, -400].map(|by_ms| Shifted { by_ms }.client(cluster.urls()))).await;
    // One that waits for an element waits longer than a key lives.
    let rows: Vec<&Row> = ROWS.iter().filter(|row| !row.1.starts_with("BLPOP")).collect();
    let play = async |number: usize| {
        let row = rows[number % rows.len()];
        let mut rng = Rng::new(seed + number as u64);
        let named = |line: &str| line.replace("{}", &format!("{{k{number}}}"));
        let live_ms = 5 + rng.below(300);
        let setup =
            row.0.replace("EX ", "PX ").replace("|EXPIRE", "|PEXPIRE").replace("1000", &live_ms.to_string());
        for line in setup.split('|') {
            answer(&clients[1], &named(line)).await;
        }
        let ends_ms = now_ms() + live_ms;
        tokio::time::sleep(Duration::from_millis(live_ms.saturating_sub(20))).await;
        let line = named(row.1);
        let repeat = async |client: &Client| {
            while now_ms() < ends_ms + 50 {
                answer(client, &line).await;
            }
        };
        join_all(clients.iter().map(repeat)).await;
    };
    let count = rows.len() * ROUNDS;
    join_all((0..count).map(play)).await;
    are_the_same(&cluster, &clients[1], &names("k", count)).await;
}

/// A command that may fail as Redis lets it fail.
async fn answer(client: &Client, line: &str) -> Value {
    match client.run(&words(line)).await {
        Ok(reply) => reply,
        Err(Error::Command(_) | Error::Refused(_)) => Value::Nil,
        Err(error) => panic!("{line}: {error}"),
    }
}
