//! The coordinators of other languages in `examples/`, next to this one: each replays the vectors, and all work on the same keys while
//! nodes die; their joint history must be linearizable, counters exact and sets complete.
//!
//! They need what `scripts/get-languages` fetches: `make conformance` runs all of it, `make test` the vectors in the languages that are there.

mod harness;
#[path = "conformance/history.rs"]
mod history;
mod linearizable;
#[path = "conformance/program.rs"]
mod program;
mod workload;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::{Server, Version, eventually};
use history::{Ended, Line, judge};
use program::{Program, languages, replay};
use workload::{Cluster, PATIENCE, Rng, run};

#[tokio::test(flavor = "multi_thread")]
async fn every_language_that_is_there_replays_the_vectors_on_every_version() {
    for language in languages() {
        for version in Version::ALL {
            let server = Server::start(version).await;
            println!("{language} on {version}: {}", replay(&language, &server.url()).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_language_leaves_nodes_of_another_contract_alone_and_says_why() {
    let cluster = Cluster::start().await;
    cluster.client().await;
    for node in cluster.iter() {
        node.run::<()>(&["HSET", "anrcho_node", "contract", "99"]).await.expect("HSET");
    }
    for language in languages().iter().filter(|language| *language != "ruby") {
        let said = program::refusal(language, &cluster.urls()).await;
        assert!(said.contains("keeps contract 99 of the scripts"), "{language}: {said}");
    }
}

const TASKS: usize = 3;
const KEYS: u64 = 6;
/// Operations, of all languages together, between two faults.
const BETWEEN: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn coordinators_in_four_languages_make_one_linearizable_history_while_nodes_die() {
    // Servers of three lines, which have every write on disk before they answer.
    let versions = [Version::V6_2, Version::V7_0, Version::Valkey9];
    let cluster = Cluster::with(versions.map(|version| Server::with(version).appendonly("always"))).await;
    let client = cluster.client().await;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut programs = Vec::new();
    for language in languages().iter().filter(|language| *language != "ruby") {
        programs.push(Program::start(language, '1', &cluster.urls(), TASKS, Arc::clone(&done)).await);
    }
    assert_eq!(programs.len(), 3, "scripts/get-languages --all");
    let ours: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(work(client.clone(), task, Arc::clone(&done), Arc::clone(&stop))))
        .collect();
    let further = async |count: u64| {
        let goal = done.load(Ordering::Relaxed) + count;
        eventually("the work goes on", PATIENCE * 4, async || done.load(Ordering::Relaxed) >= goal).await;
    };
    further(BETWEEN).await;
    for victim in [0, 1, 2, 0] {
        cluster[victim].kill();
        further(BETWEEN).await;
        cluster[victim].restart().await;
        cluster.until_votes(&client, victim).await;
        further(BETWEEN).await;
    }
    cluster[1].pause();
    further(BETWEEN).await;
    // Others come while it hangs.
    for language in languages().iter().filter(|language| *language != "ruby") {
        programs.push(Program::start(language, '2', &cluster.urls(), 1, Arc::clone(&done)).await);
    }
    further(BETWEEN).await;
    cluster[1].resume();
    further(BETWEEN).await;
    stop.store(true, Ordering::Relaxed);
    let mut lines = Vec::new();
    for task in ours {
        lines.extend(task.await.expect("a task of ours"));
    }
    for program in programs {
        lines.extend(program.stop().await);
    }
    let mut finals = Vec::new();
    for key in 0..KEYS {
        let count: Option<i64> = run(&client, &format!("GET count:{key}")).await;
        let members: BTreeSet<String> = run(&client, &format!("SMEMBERS set:{key}")).await;
        finals.push((count.unwrap_or(0), members));
    }
    judge(&lines, &finals);
}

/// The same mix as the `load` of each other language.
async fn work(
    client: anarchoredis::Client,
    task: usize,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Vec<Line> {
    let name = format!("r1{task}");
    let mut rng = Rng::new(task as u64);
    let mut lines = Vec::new();
    for count in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = rng.below(KEYS);
        let value = 1_000_000 * (name.bytes().fold(0, |sum, byte| sum << 8 | u64::from(byte))) + count;
        let command = match rng.below(100) {
            0..40 => format!("GET n:{key}"),
            40..60 => format!("SET n:{key} {value}"),
            60..70 => format!("INCR n:{key}"),
            70..85 => format!("INCR count:{key}"),
            _ => format!("SADD set:{key} {name}-{count}"),
        };
        let begin = history::now();
        let reply = workload::try_run::<redis::Value>(&client, &command).await;
        let ended = Ended::of(reply);
        lines.push(Line {
            client: name.clone(),
            command: command.split(' ').map(str::to_owned).collect(),
            begin,
            end: history::now(),
            ended,
        });
        done.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    lines
}
