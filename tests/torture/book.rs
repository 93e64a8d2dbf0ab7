//! What became of every operation, and when: gaps, recoveries and the timeline are made from it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::store::Failure;
use crate::workload::Fate;

/// How many errors are kept word for word.
const KEPT: usize = 40;

/// The ends of all operations of one run.
pub struct Book {
    began: Instant,
    over: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ends: BTreeMap<&'static str, Vec<End>>,
    errors: BTreeMap<String, u64>,
    slowest: Duration,
}

#[derive(Clone, Copy)]
struct End {
    at: Duration,
    fate: Fate,
}

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub acked: u64,
    pub unknown: u64,
    pub refused: u64,
}

impl Count {
    pub fn total(&self) -> u64 {
        self.acked + self.unknown + self.refused
    }

    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Acknowledged => self.acked += 1,
            Fate::Indeterminate => self.unknown += 1,
            Fate::NotApplied => self.refused += 1,
        }
    }
}

impl Book {
    pub fn open() -> Book {
        Book { began: Instant::now(), over: AtomicBool::new(false), inner: Mutex::default() }
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Workers end after what they are at.
    pub fn finish(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// An operation ended with this answer.
    pub fn answered<T>(&self, workload: &'static str, began: Duration, answer: &Result<T, Failure>) -> Fate {
        let fate = match answer {
            Ok(_) => Fate::Acknowledged,
            Err(Failure::NotApplied(_)) => Fate::NotApplied,
            Err(Failure::Unknown(_)) => Fate::Indeterminate,
        };
        self.ended(workload, began, fate);
        if let Err(failure) = answer {
            self.error(workload, failure.text());
        }
        fate
    }

    pub fn ended(&self, workload: &'static str, began: Duration, fate: Fate) {
        let at = self.now();
        let mut inner = self.inner.lock().expect("a lock");
        inner.slowest = inner.slowest.max(at.saturating_sub(began));
        inner.ends.entry(workload).or_default().push(End { at, fate });
    }

    /// Keeps an error in words, without the numbers that make each one different.
    pub fn error(&self, workload: &str, text: &str) {
        let mut inner = self.inner.lock().expect("a lock");
        let plain: String = text.chars().filter(|sign| !sign.is_ascii_digit()).take(160).collect();
        let key = format!("{workload}: {plain}");
        if inner.errors.len() < KEPT || inner.errors.contains_key(&key) {
            *inner.errors.entry(key).or_default() += 1;
        }
    }

    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.inner.lock().expect("a lock").errors.clone()
    }

    pub fn slowest(&self) -> Duration {
        self.inner.lock().expect("a lock").slowest
    }

    pub fn count(&self, workload: &str) -> Count {
        let inner = self.inner.lock().expect("a lock");
        let mut count = Count::default();
        inner.ends.get(workload).into_iter().flatten().for_each(|end| count.add(end.fate));
        count
    }

    /// By stretch of this length: how many operations of all workloads ended how.
    pub fn buckets(&self, length: Duration) -> Vec<Count> {
        let inner = self.inner.lock().expect("a lock");
        let mut buckets = Vec::new();
        for end in inner.ends.values().flatten() {
            let place = (end.at.as_micros() / length.as_micros()) as usize;
            if buckets.len() <= place {
                buckets.resize(place + 1, Count::default());
            }
            buckets[place].add(end.fate);
        }
        buckets
    }

    /// The longest time in which nobody's operation of this workload was acknowledged, but for the times given, in which no majority
    /// could answer.
    pub fn longest_gap(&self, workload: &str, but: &[(Duration, Duration)]) -> Duration {
        let acks = self.acks(|name| name == workload);
        let gaps = acks.windows(2).map(|pair| (pair[0], pair[1]));
        let outside = |(from, to): &(Duration, Duration)| but.iter().all(|(a, b)| to < a || from > b);
        gaps.filter(outside).map(|(from, to)| to - from).max().unwrap_or_default()
    }

    /// How long after this moment the next operation of this workload was acknowledged.
    pub fn next_after(&self, workload: &str, moment: Duration) -> Option<Duration> {
        let acks = self.acks(|name| name == workload);
        acks.iter().find(|at| **at > moment).map(|at| *at - moment)
    }

    fn acks(&self, of: impl Fn(&str) -> bool) -> Vec<Duration> {
        let inner = self.inner.lock().expect("a lock");
        let ends = inner.ends.iter().filter(|(name, _)| of(name)).flat_map(|(_, ends)| ends);
        let mut acks: Vec<Duration> =
            ends.filter(|end| end.fate == Fate::Acknowledged).map(|end| end.at).collect();
        acks.sort_unstable();
        acks
    }
}
