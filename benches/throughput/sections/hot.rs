//! One key that everybody increments.

use super::place;
use crate::bench::{Bench, Several};
use crate::contender::Contender;
use crate::load::Load;
use crate::record::Place;
use crate::site::{Site, pids};
use crate::workload::Workload;
use anarchoredis::{Client, Config};

/// Coordinators, tasks of each, and whether queued operations of a coordinator share rounds.
const SETUPS: [(usize, usize, bool); 6] =
    [(1, 1, false), (2, 1, false), (4, 1, false), (16, 1, false), (1, 16, true), (4, 16, true)];

pub fn condition(batching: bool) -> &'static str {
    if batching { "batching" } else { "no batching" }
}

pub async fn run(bench: &mut Bench, site: &Site) {
    let alone = coordinators(site, Config { batch: 1, ..Config::default() }, 16).await;
    let batching = coordinators(site, Config::default(), 4).await;
    for _ in 0..bench.rounds {
        for (count, tasks, batches) in SETUPS {
            let clients = if batches { &batching } else { &alone };
            let several = Several(clients[..count].to_vec());
            let place = self::at(count, tasks, batches);
            // Collisions come in waves: it takes longer until a measure is typical.
            let length = bench.length * 2;
            let load = Load { keys: 1, length, ..bench.load(Workload::Incr, 100, count * tasks) };
            let measure = bench.measure(&place, &load, &several, &pids(&site.nodes)).await;
            bench.note(&place, "ours", measure);
            bench.rest(&place, &[&site.client]).await;
        }
    }
    for (count, tasks, batches) in SETUPS {
        crate::table::print(&at(count, tasks, batches), &bench.cells);
    }
}

pub fn at(coordinators: usize, tasks: usize, batches: bool) -> Place {
    let condition = condition(batches).to_owned();
    Place { coordinators, condition, ..place("hot", Workload::Incr, 100, tasks) }
}

async fn coordinators(site: &Site, config: Config, count: usize) -> Vec<Contender> {
    let mut all = Vec::new();
    for _ in 0..count {
        let client = Client::builder().nodes(site.nodes.urls()).config(config.clone()).connect().await;
        let client = client.expect("another client of the same nodes");
        all.push(Contender::ours(&client, pids(&site.nodes)).with_prefix("hot"));
    }
    all
}
