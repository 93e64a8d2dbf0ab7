//! Lists and sets that fill up, are compared with what was acknowledged, and make room for the next.

use std::collections::HashMap;
use std::sync::Mutex;

use anarchoredis::Client;

use super::{Fate, Members, Tally, Verdict, try_run};

/// How many elements a key takes before the next one begins.
const FULL: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    List,
    Set,
}

/// A row of keys of one sort, of which one is being filled.
pub struct Pool {
    name: String,
    sort: Sort,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next_element: u64,
    open: HashMap<u64, Generation>,
}

#[derive(Default)]
struct Generation {
    members: Members,
    under_way: u64,
}

impl Pool {
    pub fn new(name: String, sort: Sort) -> Pool {
        Pool { name, sort, inner: Mutex::default() }
    }

    pub fn sort(&self) -> Sort {
        self.sort
    }

    pub fn key(&self, element: u64) -> String {
        format!("{}:{}", self.name, element / FULL)
    }

    /// The next element to add.
    pub fn begin(&self) -> u64 {
        let mut inner = self.inner.lock().expect("a lock");
        let element = inner.next_element;
        inner.next_element += 1;
        inner.open.entry(element / FULL).or_default().under_way += 1;
        element
    }

    /// What became of it. With the last one of a full key the whole key is due: compare it.
    pub fn added(&self, element: u64, fate: Fate, length: Option<u64>) -> (Verdict, bool) {
        let mut inner = self.inner.lock().expect("a lock");
        let all_begun = inner.next_element / FULL > element / FULL;
        let generation = inner.open.get_mut(&(element / FULL)).expect("an open generation");
        generation.under_way -= 1;
        generation.members.added(element, fate);
        let verdict = length.map_or(Ok(()), |length| generation.members.length_after(length));
        (verdict, all_begun && generation.under_way == 0)
    }

    /// Compares the key of this element with what was acknowledged, and deletes it.
    pub async fn compare(&self, client: &Client, tally: &Tally, element: u64) {
        let key = self.key(element);
        let read = match self.sort {
            Sort::List => format!("LRANGE {key} 0 -1"),
            Sort::Set => format!("SMEMBERS {key}"),
        };
        let found: Vec<u64> = insist(client, &read).await;
        let generation = self.inner.lock().expect("a lock").open.remove(&(element / FULL));
        let verdict = generation.map_or(Ok(()), |generation| generation.members.finished(&found));
        tally.judge(&key, verdict);
        insist::<()>(client, &format!("DEL {key}")).await;
    }

    /// Compares what has not been compared yet, when nothing is under way any more.
    pub async fn compare_rest(&self, client: &Client, tally: &Tally) {
        let rest: Vec<u64> = self.inner.lock().expect("a lock").open.keys().copied().collect();
        for generation in rest {
            self.compare(client, tally, generation * FULL).await;
        }
    }
}

/// Until it succeeds: both commands may be run any number of times.
async fn insist<T: redis::FromRedisValue>(client: &Client, command: &str) -> T {
    loop {
        match try_run(client, command).await {
            Ok(reply) => return reply,
            Err(error) => println!("{command}: {error}"),
        }
    }
}
