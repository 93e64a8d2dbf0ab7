//! Tasks that do one operation after the other.

use super::place;
use crate::bench::{Bench, fill};
use crate::contender::{Contender, Kind};
use crate::options::Options;
use crate::site::Site;
use crate::workload::Workload;

const LARGE: usize = 10 * 1024;

/// All workloads with 1 and 64 tasks; SET and GET with more numbers of tasks, and with large values.
fn plan(options: &Options) -> Vec<(Workload, usize, usize)> {
    let or = |given: &[usize], otherwise: &[usize]| {
        if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
    };
    let mut plan = Vec::new();
    let named = !options.only.is_empty();
    for workload in if named { options.only.clone() } else { Workload::ALL.to_vec() } {
        let basic = matches!(workload, Workload::Set | Workload::Get);
        for bytes in or(&options.bytes, if basic && !named { &[100, LARGE] } else { &[100] }) {
            let counts: &[usize] = if basic && bytes == 100 { &[1, 16, 64, 256] } else { &[1, 64] };
            plan.extend(or(&options.tasks, counts).into_iter().map(|tasks| (workload, bytes, tasks)));
        }
    }
    plan
}

pub async fn run(bench: &mut Bench, site: &Site, options: &Options) {
    let kinds = options.contenders();
    let mut contenders: Vec<(Kind, Contender)> = Vec::new();
    for kind in kinds {
        contenders.extend(site.contender(kind).await.map(|contender| (kind, contender)));
    }
    let mut filled = Vec::new();
    for (workload, bytes, tasks) in plan(options) {
        let able = contenders.iter().filter(|(kind, _)| kind.can(workload));
        let able: Vec<Contender> = able.map(|(_, contender)| contender.with_bytes(bytes)).collect();
        let load = bench.load(workload, bytes, tasks);
        for contender in &able {
            let keys = (contender.prefix.clone(), workload.makers());
            if !filled.contains(&keys) {
                fill(contender, &load).await;
                filled.push(keys);
            }
        }
        bench.take_turns(&place("closed", workload, bytes, tasks), &load, &able).await;
    }
}
