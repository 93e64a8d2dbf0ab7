//! One node at a time is killed, hung or cut off, chosen by a seed, for as long as a certain number of operations takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Cluster, Coordinator, Rng, Tally, try_run};
use crate::harness::Link;

type Cut = (&'static str, fn(&Link));

/// What a network does to a connection until it is healed.
pub const CUTS: [Cut; 6] = [
    ("cut", Link::cut),
    ("requests cut", Link::cut_requests),
    ("answers cut", Link::cut_answers),
    ("held", Link::hold),
    ("requests held", Link::hold_requests),
    ("answers held", Link::hold_answers),
];

const CLOSED: Cut = ("connections closed", Link::close_all);

/// Who is hurt, how, and how often so far.
pub struct Faults {
    pub cluster: Arc<Cluster>,
    pub coordinators: Arc<Vec<Coordinator>>,
    pub rng: Rng,
    pub count: BTreeMap<&'static str, u32>,
}

impl Faults {
    /// Hurts one node after the other until that many operations have ended; all are well again at the end.
    pub async fn run(mut self, tally: &Tally, operations: u64) -> BTreeMap<&'static str, u32> {
        while tally.operations() < operations {
            let node = self.rng.place(self.cluster.len());
            let lasts = (tally.operations() + 50 + self.rng.below(1_000)).min(operations);
            let name = match self.rng.below(4) {
                0 => self.kill(tally, node, lasts).await,
                1 => self.hang(tally, node, lasts).await,
                _ => self.cut(tally, node, lasts).await,
            };
            *self.count.entry(name).or_default() += 1;
            for coordinator in self.coordinators.iter() {
                // A client learns that a connection is gone when it uses it. What comes of this one use is not the question: that all nodes
                // vote again is.
                let _ = try_run::<()>(&coordinator.client, "SET probe 1").await;
                self.cluster.until_all_vote(&coordinator.client).await;
            }
            let pause = tally.operations() + self.rng.below(500);
            tally.until(pause.min(operations)).await;
        }
        self.count
    }

    async fn kill(&mut self, tally: &Tally, node: usize, lasts: u64) -> &'static str {
        self.cluster[node].kill();
        tally.until(lasts).await;
        self.cluster[node].restart().await;
        "killed"
    }

    async fn hang(&mut self, tally: &Tally, node: usize, lasts: u64) -> &'static str {
        self.cluster[node].pause();
        tally.until(lasts).await;
        self.cluster[node].resume();
        "hung"
    }

    /// For all coordinators, or only for some.
    async fn cut(&mut self, tally: &Tally, node: usize, lasts: u64) -> &'static str {
        let (name, fault) = *CUTS.get(self.rng.place(CUTS.len() + 1)).unwrap_or(&CLOSED);
        let reach = 1 + self.rng.place(self.coordinators.len());
        for coordinator in self.coordinators.iter().take(reach) {
            fault(&coordinator.links[node]);
        }
        tally.until(lasts).await;
        for coordinator in self.coordinators.iter() {
            coordinator.links[node].heal();
        }
        name
    }
}
