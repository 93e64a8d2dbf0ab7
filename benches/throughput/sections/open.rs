//! Operations that arrive by a schedule: latency against throughput.

use super::place;
use crate::bench::{Bench, fill};
use crate::contender::Kind;
use crate::load::Load;
use crate::options::Options;
use crate::record::Place;
use crate::site::{MOST_TASKS, Site};
use crate::workload::Workload;

/// In hundredths of what the contender does in the closed loop with 64 tasks.
pub const SHARES: [u32; 5] = [10, 30, 50, 70, 90];

pub fn condition(share: u32) -> String {
    format!("{share} % of its closed loop")
}

pub async fn run(bench: &mut Bench, site: &Site, options: &Options) {
    let kinds = [Kind::Ours, Kind::Evalsha, Kind::Raw, Kind::WaitTwo, Kind::Etcd];
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| options.contenders().contains(kind)).collect();
    for workload in [Workload::Set, Workload::Get] {
        let able: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.can(workload)).collect();
        let contenders = site.contenders(&able).await;
        let load = bench.load(workload, 100, 64);
        let mut capacities = Vec::new();
        for contender in &contenders {
            let known = place("closed", workload, 100, 64);
            let cell =
                bench.cells.iter().find(|cell| cell.place == known && cell.contender == contender.name);
            capacities.push(match cell.map(|cell| cell.middle(|round| round.per_second)) {
                Some(capacity) => capacity,
                None => {
                    fill(contender, &load).await;
                    bench.warm(&known, &load, contender).await.per_second
                }
            });
        }
        for share in SHARES {
            let place = Place { condition: condition(share), ..place("open", workload, 100, MOST_TASKS) };
            for _ in 0..bench.rounds {
                for (contender, capacity) in contenders.iter().zip(&capacities) {
                    let offered = Some(capacity * f64::from(share) / 100.0);
                    let load = Load { offered, tasks: MOST_TASKS, ..load };
                    let measure = bench.measure(&place, &load, contender, &contender.servers).await;
                    bench.note(&place, &contender.name, measure);
                }
            }
            crate::table::print(&place, &bench.cells);
        }
    }
}
