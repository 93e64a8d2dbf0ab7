//! What a long run adds up to.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anarchoredis::{Error, Outcome};

use super::Verdict;
use crate::harness::eventually;

/// How many complaints and errors are kept word for word.
const KEPT: usize = 20;
/// A run that stands still for this long has failed.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How many of the slowest operations are named in the summary.
const SLOWEST: usize = 5;

pub struct Tally {
    began: Instant,
    ended: AtomicU64,
    acked: AtomicU64,
    indeterminate: AtomicU64,
    not_applied: AtomicU64,
    violations: AtomicU64,
    longest_us: AtomicU64,
    complaints: Mutex<Vec<String>>,
    errors: Mutex<Vec<String>>,
    slowest: Mutex<Vec<(Duration, String)>>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            began: Instant::now(),
            ended: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            indeterminate: AtomicU64::new(0),
            not_applied: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
            complaints: Mutex::default(),
            errors: Mutex::default(),
            slowest: Mutex::default(),
        }
    }
}

impl Tally {
    /// An operation has ended, somehow.
    pub fn ended<T>(&self, command: &str, began: Instant, reply: &Result<T, Error>) {
        let (at, took) = (began - self.began, began.elapsed());
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if self.longest_us.fetch_max(took_us, Ordering::Relaxed) / 2 < took_us {
            self.keep_slow(took, format!("{command} at {at:?}"));
        }
        let count = match reply.as_ref().map_err(Error::outcome) {
            Ok(_) | Err(Outcome::Applied) => &self.acked,
            Err(Outcome::Indeterminate) => &self.indeterminate,
            Err(Outcome::NotApplied) => &self.not_applied,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = reply {
            keep(&self.errors, format!("{command} at {at:?}, after {took:?}: {error}"));
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers what a check found.
    pub fn judge(&self, about: &str, verdict: Verdict) {
        if let Err(complaint) = verdict {
            self.violations.fetch_add(1, Ordering::Relaxed);
            keep(&self.complaints, format!("{about}: {complaint}"));
        }
    }

    pub fn operations(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    fn keep_slow(&self, took: Duration, what: String) {
        let mut slowest = self.slowest.lock().expect("a lock");
        slowest.push((took, what));
        slowest.sort_by(|a, b| b.cmp(a));
        slowest.truncate(SLOWEST);
    }

    /// Waits until this many operations have ended.
    pub async fn until(&self, operations: u64) {
        eventually("the run goes on", STANDSTILL, async || self.operations() >= operations).await;
    }

    /// Nothing was lost, doubled or stale, whatever failed.
    pub fn assert_nothing_wrong(&self) {
        let complaints = self.complaints.lock().expect("a lock").clone();
        assert!(complaints.is_empty(), "{self}\n{complaints:#?}");
    }

    /// Nothing was lost, doubled or stale, and with one node away at a time nothing failed either.
    pub fn assert_clean(&self) {
        // Copies: the tally is shown with them, and takes the same locks.
        let complaints = self.complaints.lock().expect("a lock").clone();
        assert!(complaints.is_empty(), "{self}\n{complaints:#?}");
        let errors = self.errors.lock().expect("a lock").clone();
        assert!(errors.is_empty(), "{self}\n{errors:#?}");
    }
}

fn keep(list: &Mutex<Vec<String>>, text: String) {
    let mut list = list.lock().expect("a lock");
    if list.len() < KEPT {
        list.push(text);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = load(&self.ended) as f64 / seconds;
        let complaints = self.complaints.lock().expect("a lock");
        let lost = complaints.iter().filter(|text| text.contains("lost:")).count();
        writeln!(f, "  operations      {}", load(&self.ended))?;
        writeln!(f, "  acknowledged    {}", load(&self.acked))?;
        writeln!(f, "  indeterminate   {}", load(&self.indeterminate))?;
        writeln!(f, "  not applied     {}", load(&self.not_applied))?;
        writeln!(f, "  lost            {lost}")?;
        writeln!(f, "  violations      {}", load(&self.violations))?;
        writeln!(f, "  longest gap     {:?}", Duration::from_micros(load(&self.longest_us)))?;
        for (took, what) in self.slowest.lock().expect("a lock").iter() {
            writeln!(f, "                  {took:?}: {what}")?;
        }
        write!(f, "  operations/s    {rate:.0} over {seconds:.1} s")
    }
}
