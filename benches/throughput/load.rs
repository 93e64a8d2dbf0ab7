//! One measure: so many tasks, each one operation after the other, for so long.

use crate::KEYS;
use crate::contender::{Contender, Operation};
use crate::processor::Processor;
use futures_util::future::join_all;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// How many tasks prepare the keys.
const FILLERS: usize = 64;

/// What a contender is asked to do.
pub struct Load {
    pub operation: Operation,
    pub tasks: usize,
    pub length: Duration,
}

/// What came of it. Times are in microseconds.
pub struct Measure {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// Processor time of this process for one operation.
    pub client: f64,
    /// Processor time of all three servers together for one operation.
    pub servers: f64,
}

impl Load {
    pub async fn run(&self, contender: &Contender, processor: &mut Processor) -> Measure {
        self.for_tasks(contender, self.length / 10).await;
        let before = processor.used().await;
        let began = Instant::now();
        let mut latencies = self.for_tasks(contender, self.length).await;
        let took = began.elapsed().as_secs_f64();
        let used = processor.used().await - before;
        latencies.sort_unstable();
        let count = latencies.len() as f64;
        Measure {
            per_second: count / took,
            p50: quantile(&latencies, 0.5),
            p99: quantile(&latencies, 0.99),
            p999: quantile(&latencies, 0.999),
            client: used.client * 1e6 / count,
            servers: used.servers * 1e6 / count,
        }
    }

    /// The time that each operation took, in nanoseconds.
    async fn for_tasks(&self, contender: &Contender, length: Duration) -> Vec<u64> {
        let end = Instant::now() + length;
        let tasks = (0..self.tasks)
            .map(|task| tokio::spawn(one_task(contender.clone(), self.operation, task as u64, end)));
        let latencies = join_all(tasks).await;
        latencies.into_iter().flat_map(|task| task.expect("no task panics")).collect()
    }
}

async fn one_task(mut contender: Contender, operation: Operation, seed: u64, end: Instant) -> Vec<u64> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut latencies = Vec::new();
    let mut began = Instant::now();
    while began < end {
        contender.run(operation, random.random_range(0..KEYS)).await;
        let now = Instant::now();
        latencies.push(u64::try_from((now - began).as_nanos()).unwrap_or(u64::MAX));
        began = now;
    }
    latencies
}

fn quantile(sorted: &[u64], of: f64) -> f64 {
    let place = (sorted.len() as f64 * of) as usize;
    sorted.get(place).or(sorted.last()).map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1e3)
}

/// Makes all keys of the operation exist.
pub async fn fill(contender: &Contender, operation: Operation) {
    each_key(contender, async |contender, number| contender.prepare(operation, number).await).await;
}

/// Drops all keys of the operation.
pub async fn empty(contender: &Contender, operation: Operation) {
    each_key(contender, async |contender, number| contender.drop_key(operation, number).await).await;
}

async fn each_key(contender: &Contender, work: impl AsyncFn(&mut Contender, usize)) {
    let fillers = (0..FILLERS).map(async |first| {
        let mut contender = contender.clone();
        for number in (first..KEYS).step_by(FILLERS) {
            work(&mut contender, number).await;
        }
    });
    join_all(fillers).await;
}
