//! Writers and readers, and what they were promised.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anarchoredis::Client;
use redis::{AsyncCommands, RedisResult};
use tokio::task::JoinSet;

use crate::tally::{Pulse, Tally};

const SETTERS: usize = 4;
const KEYS_EACH: usize = 50;
const COUNTERS: usize = 4;
const COUNTER_WRITERS: usize = 4;
const JOURNALS: usize = 8;
const JOURNAL_WRITERS: usize = 2;
const READERS: usize = 4;
/// Between two operations of one task: the demo is to be watched, not to be heard.
const PACE: Duration = Duration::from_millis(2);

/// Everything that was acknowledged.
pub struct Acknowledged {
    /// By key `NAME:SETTER:PLACE`: the number of the last write that was acknowledged. Only one writer writes each key.
    pub sets: Vec<[AtomicU64; KEYS_EACH]>,
    /// By counter: how many increments.
    pub increments: Vec<AtomicU64>,
    /// By counter: the replies, which must all differ.
    replies: Vec<Mutex<HashSet<u64>>>,
    /// Increments whose call failed: each may have been counted, or not.
    pub unsure_increments: AtomicU64,
    /// By journal: the entries that were pushed, each unique.
    pub entries: Vec<Mutex<Vec<String>>>,
    /// Replies of INCR that were given twice.
    pub repeated_replies: AtomicU64,
}

impl Acknowledged {
    fn new() -> Acknowledged {
        Acknowledged {
            sets: (0..SETTERS).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect(),
            increments: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            replies: (0..COUNTERS).map(|_| Mutex::default()).collect(),
            unsure_increments: AtomicU64::new(0),
            entries: (0..JOURNALS).map(|_| Mutex::default()).collect(),
            repeated_replies: AtomicU64::new(0),
        }
    }
}

/// The key that a setter writes.
pub fn set_key(setter: usize, place: usize) -> String {
    format!("profile:{setter}:{place}")
}

/// The key of a counter that all of its writers share.
pub fn counter_key(counter: usize) -> String {
    format!("visits:{counter}")
}

/// The key of a list that all of its writers share.
pub fn journal_key(journal: usize) -> String {
    format!("journal:{journal}")
}

/// Tasks at work.
pub struct Load {
    tasks: JoinSet<()>,
    stopping: Arc<AtomicBool>,
    acknowledged: Arc<Acknowledged>,
}

/// What each task knows.
#[derive(Clone)]
struct Worker {
    store: Client,
    tally: Arc<Tally>,
    acknowledged: Arc<Acknowledged>,
    stopping: Arc<AtomicBool>,
}

impl Load {
    /// Starts all tasks; they share the clients, as the processes of a service would have one each.
    pub fn start(clients: &[Client], tally: &Arc<Tally>) -> Load {
        let acknowledged = Arc::new(Acknowledged::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let worker = |number: usize| Worker {
            store: clients[number % clients.len()].clone(),
            tally: Arc::clone(tally),
            acknowledged: Arc::clone(&acknowledged),
            stopping: Arc::clone(&stopping),
        };
        (0..SETTERS).for_each(|number| drop(tasks.spawn(worker(number).set(number))));
        (0..COUNTER_WRITERS).for_each(|number| drop(tasks.spawn(worker(number).increment())));
        (0..JOURNAL_WRITERS).for_each(|number| drop(tasks.spawn(worker(number).push(number))));
        (0..READERS).for_each(|number| drop(tasks.spawn(worker(number).read())));
        Load { tasks, stopping, acknowledged }
    }

    /// Lets every task finish the operation under way.
    pub async fn stop(mut self) -> Result<Arc<Acknowledged>, tokio::task::JoinError> {
        self.stopping.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(self.acknowledged)
    }
}

impl Worker {
    async fn goes_on(&self) -> bool {
        tokio::time::sleep(PACE).await;
        !self.stopping.load(Ordering::Relaxed)
    }

    /// SET of values that grow.
    async fn set(mut self, setter: usize) {
        let tally = Arc::clone(&self.tally);
        let mut pulse = Pulse::of(&tally);
        let mut number = 0;
        while self.goes_on().await {
            number += 1;
            let place = rand::random_range(0..KEYS_EACH);
            let written: RedisResult<()> = self.store.set(set_key(setter, place), number).await;
            match written {
                Ok(()) => {
                    self.acknowledged.sets[setter][place].store(number, Ordering::SeqCst);
                    pulse.acknowledged();
                }
                Err(error) => tally.failed("SET", &error),
            }
        }
    }

    /// INCR of counters that other writers increment too.
    async fn increment(mut self) {
        let tally = Arc::clone(&self.tally);
        let mut pulse = Pulse::of(&tally);
        while self.goes_on().await {
            let counter = rand::random_range(0..COUNTERS);
            let counted: RedisResult<u64> = self.store.incr(counter_key(counter), 1).await;
            match counted {
                Ok(count) => {
                    self.acknowledged.increments[counter].fetch_add(1, Ordering::SeqCst);
                    let mut replies =
                        self.acknowledged.replies[counter].lock().expect("no panic under this lock");
                    if !replies.insert(count) {
                        self.acknowledged.repeated_replies.fetch_add(1, Ordering::SeqCst);
                    }
                    pulse.acknowledged();
                }
                Err(error) => {
                    self.acknowledged.unsure_increments.fetch_add(1, Ordering::SeqCst);
                    tally.failed("INCR", &error);
                }
            }
        }
    }

    /// RPUSH of unique entries to lists that other writers push to.
    async fn push(mut self, writer: usize) {
        let tally = Arc::clone(&self.tally);
        let mut pulse = Pulse::of(&tally);
        let mut number = 0_u64;
        while self.goes_on().await {
            number += 1;
            let journal = rand::random_range(0..JOURNALS);
            let entry = format!("{writer}-{number}");
            let pushed: RedisResult<u64> = self.store.rpush(journal_key(journal), &entry).await;
            match pushed {
                Ok(_) => {
                    self.acknowledged.entries[journal].lock().expect("no panic under this lock").push(entry);
                    pulse.acknowledged();
                }
                Err(error) => tally.failed("RPUSH", &error),
            }
        }
    }

    /// GET of what the setters write: what was acknowledged before it began must be in it, or something newer.
    async fn read(mut self) {
        while self.goes_on().await {
            let (setter, place) = (rand::random_range(0..SETTERS), rand::random_range(0..KEYS_EACH));
            let promised = self.acknowledged.sets[setter][place].load(Ordering::SeqCst);
            let found: RedisResult<Option<u64>> = self.store.get(set_key(setter, place)).await;
            match found {
                Ok(found) => self.tally.read(found.unwrap_or(0) < promised),
                Err(error) => self.tally.failed("GET", &error),
            }
        }
    }
}
