//! What writers and readers count while they work.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Counts of all writers and readers together. Every failed operation is kept in words.
#[derive(Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

/// The counts of a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Operations that failed.
    pub failed: u64,
    /// The first of those failures.
    pub first_failure: Option<String>,
    /// Reads that did not show a write acknowledged before they began.
    pub stale: u64,
    /// The longest time between two successes of one and the same writer.
    pub longest_gap: Duration,
}

impl Counts {
    /// All that was asked of the store.
    pub fn operations(&self) -> u64 {
        self.writes + self.reads + self.failed
    }

    /// These and later ones together.
    pub fn add(&mut self, later: &Counts) {
        self.writes += later.writes;
        self.reads += later.reads;
        self.failed += later.failed;
        self.stale += later.stale;
        self.first_failure = self.first_failure.take().or_else(|| later.first_failure.clone());
        self.longest_gap = self.longest_gap.max(later.longest_gap);
    }
}

impl Tally {
    /// What was counted since this was called last.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.lock())
    }

    /// A read was answered.
    pub fn read(&self, is_stale: bool) {
        let mut counts = self.lock();
        counts.reads += 1;
        counts.stale += u64::from(is_stale);
    }

    /// An operation failed.
    pub fn failed(&self, what: &str, error: &dyn std::error::Error) {
        let mut counts = self.lock();
        counts.failed += 1;
        counts.first_failure.get_or_insert_with(|| format!("{what}: {error}"));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics while it counts")
    }
}

/// One writer's way of counting: it knows when it succeeded last.
pub struct Pulse<'a> {
    tally: &'a Tally,
    last_success: Instant,
}

impl<'a> Pulse<'a> {
    /// A writer begins.
    pub fn of(tally: &'a Tally) -> Pulse<'a> {
        Pulse { tally, last_success: Instant::now() }
    }

    /// A write was acknowledged.
    pub fn acknowledged(&mut self) {
        let gap = std::mem::replace(&mut self.last_success, Instant::now()).elapsed();
        let mut counts = self.tally.lock();
        counts.writes += 1;
        counts.longest_gap = counts.longest_gap.max(gap);
    }
}

impl Drop for Pulse<'_> {
    /// A writer that ends without another success was waiting for it until now.
    fn drop(&mut self) {
        let gap = self.last_success.elapsed();
        let mut counts = self.tally.lock();
        counts.longest_gap = counts.longest_gap.max(gap);
    }
}
