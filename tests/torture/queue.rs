//! A queue: some push numbered jobs, others wait for them with BLPOP. Each job has one taker, in order, and none is lost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::book::Book;
use super::model::numbers;
use super::row::Row;
use super::store::{Failure, Store};
use crate::workload::Fate;

const KEY: &str = "queue";
pub const NAME: &str = "queue";

/// What is known of the queue.
#[derive(Default)]
pub struct Queue {
    next: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    jobs: BTreeMap<u64, Job>,
    /// Takes of which nobody knows whether they took something.
    unknown_takes: u64,
    /// Jobs that nobody pushed, or that were taken twice.
    doubled: u64,
    invented: u64,
}

#[derive(Debug, Clone)]
struct Job {
    pushing: (Duration, Duration),
    fate: Fate,
    taking: Option<(Duration, Duration)>,
}

impl Queue {
    pub async fn push(&self, store: &mut Store, book: &Book) {
        let job = self.next.fetch_add(1, Ordering::SeqCst);
        let began = book.now();
        let unknown = Job { pushing: (began, Duration::MAX), fate: Fate::Indeterminate, taking: None };
        self.inner.lock().expect("a lock").jobs.insert(job, unknown);
        let answer = store.call(&["RPUSH".into(), KEY.into(), job.to_string()]).await;
        let fate = book.answered(NAME, began, &answer);
        let mut inner = self.inner.lock().expect("a lock");
        let pushed = inner.jobs.get_mut(&job).expect("a job");
        pushed.fate = fate;
        pushed.pushing.1 = book.now();
    }

    /// Waits up to a second for a job; false where none came.
    pub async fn take(&self, store: &mut Store, book: &Book) -> bool {
        let began = book.now();
        let answer = store.call(&["BLPOP".into(), KEY.into(), "1".into()]).await;
        let mut inner = self.inner.lock().expect("a lock");
        match answer {
            Ok(redis::Value::Nil) => false,
            Ok(redis::Value::Array(found)) => {
                book.ended(NAME, began, Fate::Acknowledged);
                for job in numbers(&found[1]) {
                    inner.taken(job as u64, (began, book.now()));
                }
                true
            }
            Ok(other) => panic!("BLPOP answered {other:?}"),
            Err(failure) => {
                if let Failure::Unknown(_) = failure {
                    inner.unknown_takes += 1;
                }
                book.error(NAME, failure.text());
                true
            }
        }
    }

    /// What is left is read; then every acknowledged job was taken or is there, but for those that takes without a known end took.
    pub async fn conclude(&self, system: &str, store: &mut Store, book: &Book) -> Row {
        let mut left = None;
        for _ in 0..300 {
            match store.call(&["LRANGE".into(), KEY.into(), "0".into(), "-1".into()]).await {
                Ok(value) => {
                    left = Some(numbers(&value));
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let inner = self.inner.lock().expect("a lock");
        let mut row = Row::new(system, NAME);
        row.gap = book.longest_gap(NAME, &[]);
        let Some(left) = left else {
            row.complaints.push("queue: the last read never succeeded".into());
            return row;
        };
        inner.judge(&left, &mut row);
        row
    }
}

impl Inner {
    fn taken(&mut self, job: u64, when: (Duration, Duration)) {
        match self.jobs.get_mut(&job) {
            Some(job) if job.taking.is_none() && job.fate != Fate::NotApplied => job.taking = Some(when),
            Some(job) if job.taking.is_none() => {
                self.invented += 1;
                job.taking = Some(when);
            }
            Some(_) => self.doubled += 1,
            None => self.invented += 1,
        }
    }

    fn judge(&self, left: &[i64], row: &mut Row) {
        let mut there: BTreeMap<u64, u64> = BTreeMap::new();
        left.iter().for_each(|job| *there.entry(*job as u64).or_default() += 1);
        row.doubled = self.doubled + there.values().map(|times| times - 1).sum::<u64>();
        row.invented = self.invented;
        let mut missing = 0;
        for (number, job) in &self.jobs {
            let is_there = there.contains_key(number);
            row.total += 1;
            row.doubled += u64::from(is_there && job.taking.is_some());
            match job.fate {
                Fate::Acknowledged => {
                    row.acked += 1;
                    missing += u64::from(!is_there && job.taking.is_none());
                }
                Fate::Indeterminate => {
                    row.unknown += 1;
                    row.surplus += u64::from(is_there || job.taking.is_some());
                }
                Fate::NotApplied => row.invented += u64::from(is_there),
            }
        }
        row.lost = missing.saturating_sub(self.unknown_takes);
        row.survivors = row.acked - missing;
        row.reordered = self.overtaken(&there);
    }

    /// Jobs that were taken before one was that had been pushed before they were.
    fn overtaken(&self, there: &BTreeMap<u64, u64>) -> u64 {
        let acked = || self.jobs.iter().filter(|(_, job)| job.fate == Fate::Acknowledged);
        // When each began to be taken at the earliest; one that is still there, never.
        let mut earlier: Vec<(Duration, Duration)> = acked()
            .filter_map(|(number, job)| match job.taking {
                Some((began, _)) => Some((job.pushing.1, began)),
                None => there.contains_key(number).then_some((job.pushing.1, Duration::MAX)),
            })
            .collect();
        earlier.sort_unstable();
        let mut taken: Vec<(Duration, Duration)> =
            acked().filter_map(|(_, job)| Some((job.pushing.0, job.taking?.1))).collect();
        taken.sort_unstable();
        let (mut place, mut latest, mut overtaken) = (0, Duration::ZERO, 0);
        for (pushing, ended) in taken {
            while place < earlier.len() && earlier[place].0 < pushing {
                latest = latest.max(earlier[place].1);
                place += 1;
            }
            overtaken += u64::from(latest > ended);
        }
        overtaken
    }
}
