//! Increments of one counter that may fail, and what its total may be in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use anarchoredis::{Client, Outcome};
use tokio::task::JoinHandle;

use super::{PATIENCE, run, try_run};
use crate::harness::eventually;

const KEY: &str = "incremented";

/// Tasks that increment one counter, whatever comes back.
pub struct Increments {
    ends: Arc<Ends>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Ends {
    stop: AtomicBool,
    acked: AtomicI64,
    open: AtomicI64,
    not_applied: AtomicI64,
}

impl Increments {
    pub fn start(client: &Client, tasks: usize) -> Increments {
        let ends = Arc::new(Ends::default());
        let start = |_| tokio::spawn(increment(client.clone(), ends.clone()));
        let tasks = (0..tasks).map(start).collect();
        Increments { ends, tasks }
    }

    /// Waits until this many further increments were acknowledged.
    pub async fn further(&self, increments: i64) {
        let goal = self.ends.acked.load(Ordering::Relaxed) + increments;
        let reached = async || self.ends.acked.load(Ordering::Relaxed) >= goal;
        eventually("increments go on", PATIENCE, reached).await;
    }

    /// Waits until this many increments have failed, so far.
    pub async fn until_failed(&self, increments: i64) {
        let failed =
            || self.ends.open.load(Ordering::Relaxed) + self.ends.not_applied.load(Ordering::Relaxed);
        eventually("increments fail", PATIENCE, async || failed() >= increments).await;
    }

    /// Ends them. The counter holds every acknowledged one, and beyond that at most those of unknown outcome.
    pub async fn assert_exact(self, client: &Client) {
        self.ends.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a task that increments");
        }
        let (acked, open) = (self.ends.acked.load(Ordering::Relaxed), self.ends.open.load(Ordering::Relaxed));
        let total: i64 = run(client, &format!("GET {KEY}")).await;
        println!("{acked} acknowledged, {:?}, total {total}", self.ends);
        assert!(acked <= total, "lost: {acked} were acknowledged, the total is {total}");
        assert!(total <= acked + open, "doubled: {acked} acknowledged, {open} open, the total is {total}");
    }
}

async fn increment(client: Client, ends: Arc<Ends>) {
    while !ends.stop.load(Ordering::Relaxed) {
        let reply = try_run::<i64>(&client, &format!("INCR {KEY}")).await;
        let count = match reply.map_err(|error| error.outcome()) {
            Ok(_) | Err(Outcome::Applied) => &ends.acked,
            Err(Outcome::Indeterminate) => &ends.open,
            Err(Outcome::NotApplied) => &ends.not_applied,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
