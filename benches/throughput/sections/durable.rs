//! Nodes whose every write is on the disk before its answer. Another thing than the figures in memory, and never mixed with them.

use super::place;
use crate::bench::Bench;
use crate::contender::Kind;
use crate::options::Options;
use crate::record::Place;
use crate::site::{Site, Storage};
use crate::workload::Workload;

const KINDS: [Kind; 4] = [Kind::Ours, Kind::Evalsha, Kind::Raw, Kind::Etcd];

pub fn at(tasks: usize) -> Place {
    Place { condition: "appendfsync always".to_owned(), ..place("durable", Workload::Set, 100, tasks) }
}

pub async fn run(bench: &mut Bench, options: &Options) {
    let kinds: Vec<Kind> = KINDS.into_iter().filter(|kind| options.contenders().contains(kind)).collect();
    let site = Site::start(Storage::Disk, &kinds, &[]).await;
    site.missing.iter().for_each(|missing| bench.remark(missing.clone()));
    let contenders = site.contenders(&kinds).await;
    for tasks in [1, 64] {
        let load = bench.load(Workload::Set, 100, tasks);
        bench.take_turns(&at(tasks), &load, &contenders).await;
    }
}
