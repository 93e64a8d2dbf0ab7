//! Mixed operations whose every reply is checked while they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anarchoredis::{Client, Error, Outcome};

use super::{Counter, Fate, Pool, Register, Rng, Sort, Tally, run, try_run};

const COUNTERS: usize = 256;
const REGISTERS: usize = 128;
const POOLS: usize = 32;
/// So many operations in a hundred go to the first key of their sort, where all coordinators meet.
const HOT: u64 = 5;

/// Every other register is two keys with one hash tag, which are set and read together.
fn is_pair(place: usize) -> bool {
    !place.is_multiple_of(2)
}

fn some(rng: &mut Rng, keys: usize) -> usize {
    if rng.below(100) < HOT { 0 } else { rng.place(keys) }
}

/// The keys that all coordinators share, and what is known of them.
pub struct Mix {
    counters: Vec<Counter>,
    registers: Vec<Register>,
    pools: Vec<Pool>,
    pub tally: Tally,
    ended: AtomicBool,
}

impl Mix {
    pub fn new() -> Arc<Mix> {
        let pool = |number: usize| {
            let (name, sort) =
                if number.is_multiple_of(2) { ("list", Sort::List) } else { ("set", Sort::Set) };
            Pool::new(format!("{name}:{number}"), sort)
        };
        Arc::new(Mix {
            counters: (0..COUNTERS).map(|_| Counter::default()).collect(),
            registers: (0..REGISTERS).map(|_| Register::default()).collect(),
            pools: (0..POOLS).map(pool).collect(),
            tally: Tally::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// All tasks end after the operation that each is at.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// One task's work, until this many operations of all tasks have ended.
    pub async fn work(self: Arc<Mix>, client: Client, mut rng: Rng, operations: u64) {
        while self.tally.operations() < operations && !self.ended.load(Ordering::Relaxed) {
            match rng.below(100) {
                0..30 => self.increment(&client, some(&mut rng, COUNTERS)).await,
                30..40 => self.read_counter(&client, some(&mut rng, COUNTERS)).await,
                40..55 => self.write(&client, some(&mut rng, REGISTERS)).await,
                55..75 => self.read(&client, some(&mut rng, REGISTERS)).await,
                _ => self.add(&client, some(&mut rng, POOLS)).await,
            }
        }
    }

    async fn call<T: redis::FromRedisValue>(&self, client: &Client, command: &str) -> Result<T, Error> {
        let began = Instant::now();
        let reply = try_run(client, command).await;
        self.tally.ended(command, began, &reply);
        reply
    }

    async fn increment(&self, client: &Client, place: usize) {
        let (key, counter) = (format!("counter:{place}"), &self.counters[place]);
        let started = counter.begin_increment();
        let verdict = match self.call(client, &format!("INCR {key}")).await {
            Ok(reply) => counter.incremented(started, reply),
            Err(error) if error.outcome() == Outcome::NotApplied => counter.not_applied(),
            Err(_) => {
                counter.indeterminate();
                Ok(())
            }
        };
        self.tally.judge(&key, verdict);
    }

    async fn read_counter(&self, client: &Client, place: usize) {
        let (key, counter) = (format!("counter:{place}"), &self.counters[place]);
        let started = counter.begin_read();
        if let Ok(reply) = self.call::<Option<u64>>(client, &format!("GET {key}")).await {
            self.tally.judge(&key, counter.read(started, reply.unwrap_or(0)));
        }
    }

    async fn write(&self, client: &Client, place: usize) {
        let (key, register) = (format!("register:{place}"), &self.registers[place]);
        let (begun, value) = register.begin_write();
        let command = if is_pair(place) {
            format!("MSET {{{key}}}:a {value} {{{key}}}:b {value}")
        } else {
            format!("SET {key} {value}")
        };
        match self.call::<()>(client, &command).await {
            Ok(()) => register.written(begun, value),
            Err(error) if error.outcome() == Outcome::NotApplied => {
                self.tally.judge(&key, register.not_applied(value));
            }
            Err(_) => {}
        }
    }

    async fn read(&self, client: &Client, place: usize) {
        let (key, register) = (format!("register:{place}"), &self.registers[place]);
        let begun = register.begin_read();
        let command =
            if is_pair(place) { format!("MGET {{{key}}}:a {{{key}}}:b") } else { format!("MGET {key}") };
        if let Ok(reply) = self.call::<Vec<Option<u64>>>(client, &command).await {
            let halves = if reply.iter().all(|half| *half == reply[0]) {
                Ok(())
            } else {
                Err(format!("stale: the two keys of one MSET answered {reply:?}"))
            };
            self.tally.judge(&key, halves);
            self.tally.judge(&key, register.read(begun, reply[0].unwrap_or(0)));
        }
    }

    async fn add(&self, client: &Client, place: usize) {
        let pool = &self.pools[place];
        let element = pool.begin();
        let key = pool.key(element);
        let command = if pool.sort() == Sort::List { "RPUSH" } else { "SADD" };
        let reply = self.call::<u64>(client, &format!("{command} {key} {element}")).await;
        let (fate, length) = match reply {
            Ok(length) => (Fate::Acknowledged, (pool.sort() == Sort::List).then_some(length)),
            Err(error) if error.outcome() == Outcome::NotApplied => (Fate::NotApplied, None),
            Err(_) => (Fate::Indeterminate, None),
        };
        let (verdict, due) = pool.added(element, fate, length);
        self.tally.judge(&key, verdict);
        if due {
            pool.compare(client, &self.tally, element).await;
        }
    }

    /// When nothing is under way any more and all nodes are back: totals, and elements that were not compared yet.
    pub async fn finish(&self, client: &Client) {
        for (place, counter) in self.counters.iter().enumerate() {
            let key = format!("counter:{place}");
            let total: Option<u64> = run(client, &format!("GET {key}")).await;
            self.tally.judge(&key, counter.finished(total.unwrap_or(0)));
        }
        for place in 0..REGISTERS {
            self.read(client, place).await;
        }
        for pool in &self.pools {
            pool.compare_rest(client, &self.tally).await;
        }
    }
}
