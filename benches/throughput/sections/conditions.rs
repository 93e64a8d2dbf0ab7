//! A node that is slow, hung, killed, and on its way back.

use super::{faults, place};
use crate::bench::{Bench, fill};
use crate::contender::{Contender, Kind};
use crate::harness::{Link, Nodes};
use crate::load::Load;
use crate::options::Options;
use crate::record::Place;
use crate::site::{Storage, connection, connections, pids};
use crate::workload::Workload;
use anarchoredis::Client;
use futures_util::future::join_all;
use std::time::Duration;

pub const HEALTHY: &str = "healthy";
pub const DOWN: &str = "one node down";
pub const REJOIN: &str = "during its rejoin";
pub const LINKED: &str = "one node behind a link";
pub const SLOW: &str = "one node 20 ms slower";

const TASKS: usize = 64;
/// Each way half of it.
const DELAY: Duration = Duration::from_millis(20);
const WORKLOADS: [Workload; 4] = [Workload::Set, Workload::Get, Workload::Incr, Workload::YcsbA];

pub fn at(workload: Workload, condition: &str) -> Place {
    Place { condition: condition.to_owned(), ..place("conditions", workload, 100, TASKS) }
}

pub async fn run(bench: &mut Bench, options: &Options) {
    for _ in 0..bench.rounds {
        killed(bench).await;
        faults::hung(bench).await;
        slow(bench).await;
    }
    if options.contenders().contains(&Kind::Etcd) {
        faults::etcd(bench).await;
    }
    for condition in [HEALTHY, DOWN, REJOIN, LINKED, SLOW] {
        for workload in WORKLOADS {
            crate::table::print(&at(workload, condition), &bench.cells);
        }
    }
    for fault in [faults::NONE, faults::KILLED, faults::HUNG] {
        crate::table::print(&faults::at(fault), &bench.cells);
    }
}

/// Fresh nodes with a client and a fan-out that does with two of three.
pub async fn fresh() -> (Nodes, Vec<Contender>) {
    let nodes = Nodes::with((0..3).map(|_| Storage::Memory.server())).await;
    let client = Client::builder().nodes(nodes.urls()).connect().await;
    let client = client.expect("three fresh nodes make a store");
    let two = Contender::fan(Kind::RawTwo, connections(&nodes).await, 2, pids(&nodes)).await;
    let scripts = Contender::fan(Kind::Evalsha, connections(&nodes).await, 2, pids(&nodes)).await;
    let contenders = vec![Contender::ours(&client, pids(&nodes)), scripts.named("evalsha2"), two];
    (nodes, contenders)
}

/// Healthy, killed under load, without it, and while it is filled again.
async fn killed(bench: &mut Bench) {
    let (nodes, contenders) = fresh().await;
    for contender in &contenders {
        fill(contender, &bench.load(Workload::Get, 100, TASKS)).await;
        fill(contender, &bench.load(Workload::Incr, 100, TASKS)).await;
    }
    all(bench, &contenders, HEALTHY, &WORKLOADS).await;
    faults::kill(bench, &nodes, &contenders[0]).await;
    all(bench, &contenders, DOWN, &WORKLOADS).await;
    faults::rejoin(bench, &nodes, &contenders[0]).await;
}

async fn slow(bench: &mut Bench) {
    let nodes = Nodes::with((0..3).map(|_| Storage::Memory.server())).await;
    let link = Link::before(&nodes[2]).await;
    let mut urls = nodes.urls();
    urls[2] = link.url();
    let client = Client::builder().nodes(urls.clone()).connect().await;
    let client = client.expect("three fresh nodes make a store");
    let linked = join_all(urls.into_iter().map(connection)).await;
    let contenders = [
        Contender::ours(&client, pids(&nodes)),
        Contender::fan(Kind::Raw, linked.clone(), 3, pids(&nodes)).await,
        Contender::fan(Kind::RawTwo, linked, 2, pids(&nodes)).await,
    ];
    for contender in &contenders {
        fill(contender, &bench.load(Workload::Get, 100, TASKS)).await;
    }
    all(bench, &contenders, LINKED, &WORKLOADS[..2]).await;
    link.delay(DELAY / 2);
    all(bench, &contenders, SLOW, &WORKLOADS[..2]).await;
}

async fn all(bench: &mut Bench, contenders: &[Contender], condition: &str, workloads: &[Workload]) {
    for workload in workloads {
        let load: Load = bench.load(*workload, 100, TASKS);
        for contender in contenders {
            let place = at(*workload, condition);
            let measure = bench.warm(&place, &load, contender).await;
            bench.note(&place, &contender.name, measure);
        }
    }
}
