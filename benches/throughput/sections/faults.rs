//! What callers notice in the moment of a fault: an open loop below what all can do, and the fault in the middle of it.

use super::conditions::{DOWN, HEALTHY, REJOIN, at as condition_at, fresh};
use super::place;
use crate::bench::{Bench, fill};
use crate::contender::{Contender, Kind};
use crate::etcd_servers::EtcdServers;
use crate::harness::Nodes;
use crate::load::Load;
use crate::record::Place;
use crate::site::{Storage, pids};
use crate::workload::Workload;
use anarchoredis::Config;
use anarchoredis::heal::{Healer, Silent};
use std::time::Duration;

/// The same load without a fault: what the machine itself makes callers wait.
pub const NONE: &str = "no fault";
pub const KILLED: &str = "one node killed";
pub const HUNG: &str = "one node hung";

/// Arrivals per second: far below what any contender can do, so that only the fault makes anybody wait.
const OFFERED: f64 = 1_000.0;
const TASKS: usize = 64;
const BEFORE: Duration = Duration::from_millis(500);
const LENGTH: Duration = Duration::from_millis(1_500);
/// etcd needs its election timeout of a second to find out.
const LENGTH_OF_ETCD: Duration = Duration::from_secs(5);

pub fn at(fault: &str) -> Place {
    Place { condition: fault.to_owned(), ..place("faults", Workload::YcsbA, 100, TASKS) }
}

fn load(bench: &Bench, length: Duration) -> Load {
    Load { offered: Some(OFFERED), length, ..bench.load(Workload::YcsbA, 100, TASKS) }
}

/// Runs the load, and the fault in the middle of it.
async fn under_load(
    bench: &mut Bench,
    place: &Place,
    contender: &Contender,
    length: Duration,
    fault: impl FnOnce(),
) {
    let load = load(bench, length);
    let breaking = async {
        tokio::time::sleep(BEFORE).await;
        fault();
    };
    // Its own servers' time is not asked for: one of them is gone at the end.
    let (measure, ()) = tokio::join!(bench.measure(place, &load, contender, &[]), breaking);
    bench.note(place, &contender.name, measure);
}

pub async fn kill(bench: &mut Bench, nodes: &Nodes, ours: &Contender) {
    under_load(bench, &at(KILLED), ours, LENGTH, || nodes[2].kill()).await;
}

/// Without a fault, and then a node that stands still.
pub async fn hung(bench: &mut Bench) {
    let (nodes, contenders) = fresh().await;
    fill(&contenders[0], &bench.load(Workload::Get, 100, TASKS)).await;
    under_load(bench, &at(NONE), &contenders[0], LENGTH, || ()).await;
    under_load(bench, &at(HUNG), &contenders[0], LENGTH, || nodes[2].pause()).await;
    nodes[2].resume();
}

/// The killed node comes back with nothing, and a healer fills it while the closed loop goes on.
pub async fn rejoin(bench: &mut Bench, nodes: &Nodes, ours: &Contender) {
    nodes[2].restart_empty().await;
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let healing = tokio::spawn(async move {
        while healer.once(&Silent).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    for workload in [Workload::Set, Workload::Get] {
        let (place, load) = (condition_at(workload, REJOIN), bench.load(workload, 100, TASKS));
        let measure = bench.measure(&place, &load, ours, &pids(nodes)).await;
        bench.note(&place, &ours.name, measure);
        if healing.is_finished() {
            bench.remark(format!(
                "a node was whole again before the {} beside its rejoin had ended",
                workload.name()
            ));
        }
    }
    healing.abort();
}

/// etcd by a node that stays, while the one that leads is killed.
pub async fn etcd(bench: &mut Bench) {
    let Ok(servers) = EtcdServers::start(&Storage::Memory.folder()).await else { return };
    for _ in 0..bench.rounds {
        let leader = servers.leader().await;
        let contender = Contender::etcd(&servers.connect((leader + 1) % 3).await, servers.pids());
        fill(&contender, &bench.load(Workload::Get, 100, TASKS)).await;
        let workloads = [Workload::Set, Workload::Get, Workload::YcsbA];
        both(bench, &contender, HEALTHY, &workloads).await;
        under_load(bench, &at(KILLED), &contender, LENGTH_OF_ETCD, || servers.kill(leader)).await;
        both(bench, &contender, DOWN, &workloads).await;
        servers.restart(leader).await;
    }
}

async fn both(bench: &mut Bench, contender: &Contender, condition: &str, workloads: &[Workload]) {
    for workload in workloads {
        let place = condition_at(*workload, condition);
        let load = bench.load(*workload, 100, TASKS);
        let measure = bench.warm(&place, &load, contender).await;
        bench.note(&place, Kind::Etcd.word(), measure);
    }
}
