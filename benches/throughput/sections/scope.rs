//! Keys that are one register, next to keys that are one each.

use super::place;
use crate::bench::{Bench, Several, fill};
use crate::contender::Contender;
use crate::record::Place;
use crate::site::{Site, pids};
use crate::workload::Workload;
use anarchoredis::Client;

/// The scope of this benchmark; no key of the other sections begins so.
pub const PREFIX: &str = "scope:";
const TASKS: usize = 64;

pub const SCOPED: &str = "one scope";
pub const INDEPENDENT: &str = "independent keys";

pub fn at(condition: &str, coordinators: usize) -> Place {
    Place {
        condition: condition.to_owned(),
        coordinators,
        ..place("scope", Workload::Mixed, 100, TASKS / coordinators)
    }
}

pub async fn run(bench: &mut Bench, site: &Site) {
    let second = Client::builder().nodes(site.nodes.urls()).connect().await;
    let second = second.expect("another client of the same nodes");
    let load = bench.load(Workload::Mixed, 100, TASKS);
    let setups = [(SCOPED, PREFIX.trim_end_matches(':')), (INDEPENDENT, "mixed")];
    let on = |client: &Client, prefix: &str| Contender::ours(client, pids(&site.nodes)).with_prefix(prefix);
    for (_, prefix) in setups {
        fill(&on(&site.client, prefix), &load).await;
    }
    for _ in 0..bench.rounds {
        for (condition, prefix) in setups {
            for coordinators in [1, 2] {
                let both = [on(&site.client, prefix), on(&second, prefix)];
                let several = Several(both[..coordinators].to_vec());
                let place = at(condition, coordinators);
                let measure = bench.measure(&place, &load, &several, &pids(&site.nodes)).await;
                bench.note(&place, "ours", measure);
                bench.rest(&place, &[&site.client, &second]).await;
            }
        }
    }
    for (condition, _) in setups {
        for coordinators in [1, 2] {
            crate::table::print(&at(condition, coordinators), &bench.cells);
        }
    }
}
