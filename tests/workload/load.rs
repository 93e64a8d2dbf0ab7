//! Tasks that write and read keys of their own and check each reply, while something happens to the nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anarchoredis::{Client, Error};
use redis::{FromRedisValue, Value};
use tokio::task::JoinHandle;

use super::PATIENCE;
use crate::harness::eventually;

/// Work under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    slowest_us: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Outcome>>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub succeeded: u64,
    /// Errors, and replies that are wrong.
    pub failures: Vec<String>,
    /// The longest that any operation took.
    pub longest_gap: Duration,
}

impl Load {
    /// Starts this many tasks. Keys and replies are each task's own, so every reply is known beforehand.
    pub fn start(client: &Client, name: &str, tasks: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let slowest_us = Arc::new(AtomicU64::new(0));
        let start = |task| {
            let worker = Worker {
                client: client.clone(),
                key: format!("{name}:{task}"),
                done: done.clone(),
                slowest_us: slowest_us.clone(),
                outcome: Outcome::default(),
            };
            tokio::spawn(worker.run(stop.clone()))
        };
        let tasks = (0..tasks).map(start).collect();
        Load { stop, done, slowest_us, tasks }
    }

    /// The longest that any operation took since this was asked last.
    pub fn slowest(&self) -> Duration {
        Duration::from_micros(self.slowest_us.swap(0, Ordering::Relaxed))
    }

    /// Waits until this many further operations have succeeded.
    pub async fn further(&self, operations: u64) {
        let goal = self.done.load(Ordering::Relaxed) + operations;
        let reached = async || self.done.load(Ordering::Relaxed) >= goal;
        eventually("the load goes on", PATIENCE, reached).await;
    }

    /// Ends after the operations under way.
    pub async fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Outcome::default();
        for task in self.tasks {
            let part = task.await.expect("a task of the load");
            sum.succeeded += part.succeeded;
            sum.failures.extend(part.failures);
            sum.longest_gap = sum.longest_gap.max(part.longest_gap);
        }
        sum
    }
}

impl Outcome {
    pub fn assert_none_failed(&self) {
        assert!(self.failures.is_empty(), "{:#?}", self.failures);
    }

    /// Nothing failed, and nothing took long.
    pub fn assert_unharmed(&self) {
        self.assert_none_failed();
        assert!(self.longest_gap < super::LONGEST_GAP, "an operation took {:?}", self.longest_gap);
    }
}

struct Worker {
    client: Client,
    key: String,
    done: Arc<AtomicU64>,
    slowest_us: Arc<AtomicU64>,
    outcome: Outcome,
}

impl Worker {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Outcome {
        for turn in 1_i64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (counter, register, list) = (self.key("counter"), self.key("register"), self.key("list"));
            let text = turn.to_string();
            self.expect(&["INCR", &counter], turn).await;
            self.expect(&["SET", &register, &text], "OK".to_owned()).await;
            self.expect(&["RPUSH", &list, &text], turn).await;
            self.expect(&["GET", &register], text).await;
            self.expect(&["GET", &counter], turn).await;
        }
        self.outcome
    }

    fn key(&self, sort: &str) -> String {
        format!("{}:{sort}", self.key)
    }

    async fn expect<T>(&mut self, command: &[&str], expected: T)
    where
        T: FromRedisValue + PartialEq + std::fmt::Debug,
    {
        let words: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
        let began = Instant::now();
        let reply: Result<Value, Error> = self.client.run(&words).await;
        let took = began.elapsed();
        self.outcome.longest_gap = self.outcome.longest_gap.max(took);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(took_us, Ordering::Relaxed);
        match reply.map(T::from_redis_value) {
            Ok(Ok(value)) if value == expected => {
                self.outcome.succeeded += 1;
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            other => {
                let failure = format!("{command:?} after {took:?}: {other:?} instead of {expected:?}");
                self.outcome.failures.push(failure);
            }
        }
    }
}
