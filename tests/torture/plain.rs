//! The workload of 2013 and its kin: unique elements into one set or list, or one counter, and at the end what is there is compared with
//! what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::book::Book;
use super::model::numbers;
use super::row::Row;
use super::store::Store;
use crate::workload::Fate;

/// How long the last read is tried for.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Set,
    List,
    Counter,
}

/// One key that grows.
pub struct Plain {
    name: &'static str,
    shape: Shape,
    next: AtomicU64,
    limit: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    fates: BTreeMap<u64, Fate>,
    /// What INCR and RPUSH answered: nobody else's.
    replies: BTreeSet<i64>,
    repeated: u64,
}

impl Plain {
    /// At most `limit` operations.
    pub fn new(name: &'static str, shape: Shape, limit: u64) -> Plain {
        Plain { name, shape, next: AtomicU64::new(0), limit, inner: Mutex::default() }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    fn words(&self, element: u64) -> Vec<String> {
        let key = format!("plain:{}", self.name);
        match self.shape {
            Shape::Set => vec!["SADD".into(), key, element.to_string()],
            Shape::List => vec!["RPUSH".into(), key, element.to_string()],
            Shape::Counter => vec!["INCR".into(), key],
        }
    }

    /// One operation; false when there are no more.
    pub async fn once(&self, store: &mut Store, book: &Book) -> bool {
        let element = self.next.fetch_add(1, Ordering::SeqCst);
        if element >= self.limit {
            return false;
        }
        let began = book.now();
        let answer = store.call(&self.words(element)).await;
        let fate = book.answered(self.name, began, &answer);
        let mut inner = self.inner.lock().expect("a lock");
        inner.fates.insert(element, fate);
        if self.shape != Shape::Set
            && let Ok(value) = answer
            && !inner.replies.insert(numbers(&value).first().copied().unwrap_or_default())
        {
            inner.repeated += 1;
        }
        true
    }

    /// Reads it, until that succeeds.
    async fn read(&self, store: &mut Store) -> Option<Vec<i64>> {
        let key = format!("plain:{}", self.name);
        let words: Vec<String> = match self.shape {
            Shape::Set => vec!["SMEMBERS".into(), key],
            Shape::List => vec!["LRANGE".into(), key, "0".into(), "-1".into()],
            Shape::Counter => vec!["GET".into(), key],
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match store.call(&words).await {
                Ok(value) => return Some(numbers(&value)),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        None
    }

    /// What survived, next to what was acknowledged.
    pub async fn conclude(&self, system: &str, store: &mut Store, book: &Book) -> Row {
        let found = self.read(store).await;
        let inner = self.inner.lock().expect("a lock");
        let count = |wanted: Fate| inner.fates.values().filter(|fate| **fate == wanted).count() as u64;
        let mut row = Row::new(system, self.name);
        (row.total, row.acked) = (inner.fates.len() as u64, count(Fate::Acknowledged));
        row.unknown = count(Fate::Indeterminate);
        row.gap = book.longest_gap(self.name, &[]);
        let Some(found) = found else {
            row.complaints.push(format!("{}: the last read never succeeded", self.name));
            return row;
        };
        row.doubled = inner.repeated;
        match self.shape {
            Shape::Counter => compare_totals(&mut row, found.first().copied().unwrap_or_default() as u64),
            Shape::Set | Shape::List => compare_elements(&mut row, &inner.fates, &found),
        }
        row
    }
}

fn compare_totals(row: &mut Row, total: u64) {
    row.survivors = total.min(row.acked);
    row.lost = row.acked.saturating_sub(total);
    row.surplus = total.saturating_sub(row.acked).min(row.unknown);
    row.doubled += total.saturating_sub(row.acked + row.unknown);
}

fn compare_elements(row: &mut Row, fates: &BTreeMap<u64, Fate>, found: &[i64]) {
    let mut seen = BTreeSet::new();
    for element in found {
        if !seen.insert(*element as u64) {
            row.doubled += 1;
        }
    }
    for element in &seen {
        match fates.get(element) {
            Some(Fate::Acknowledged) => row.survivors += 1,
            Some(Fate::Indeterminate) => row.surplus += 1,
            // It was said not to have happened, or nobody added it.
            Some(Fate::NotApplied) | None => row.invented += 1,
        }
    }
    row.lost = row.acked - row.survivors;
}
