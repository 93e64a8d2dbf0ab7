//! The load generator: tasks that do one operation after the other, or operations that arrive by a schedule.
//!
//! In the closed loop a slow answer also delays the next question, so that a stall is met once by each task and the
//! operations that it would have hurt are never asked for. The open loop counts each latency from the moment at which the
//! operation was to begin: those that wait behind a stall are counted with their waiting.

use crate::record::Measure;
use crate::schedule::Schedule;
use crate::workload::{Draw, Draws, Workload};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What is loaded: it gives each task what does its operations.
pub trait Subject {
    type Worker: Worker;

    fn worker(&self, task: usize) -> Self::Worker;
}

/// Does the operations of one task.
pub trait Worker: Send + 'static {
    fn run(&mut self, draw: Draw) -> impl Future<Output = Result<(), String>> + Send;
}

/// What a contender is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub workload: Workload,
    pub keys: usize,
    pub tasks: usize,
    pub length: Duration,
    /// Arrivals per second; `None` is the closed loop.
    pub offered: Option<f64>,
}

/// A task that failed waits so long: whoever refuses at once must not be asked all the time.
const AFTER_FAILURE: Duration = Duration::from_millis(1);

/// How long before its first arrival an open loop's tasks are made.
const AHEAD: Duration = Duration::from_millis(20);

/// What several tasks have seen.
pub struct Seen {
    latencies: Histogram<u32>,
    failed: u64,
    /// What one of the failures said.
    pub said: Option<String>,
}

/// When something succeeded last, over all tasks.
struct Pulse {
    began: Instant,
    last: AtomicU64,
    gap: AtomicU64,
}

impl Pulse {
    fn beat(&self, now: Instant) {
        let now = nanoseconds(now - self.began);
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        self.gap.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
    }
}

impl Seen {
    fn nothing() -> Seen {
        let latencies = Histogram::new(3).expect("three digits are allowed");
        Seen { latencies, failed: 0, said: None }
    }

    fn note(&mut self, result: Result<(), String>, intended: Instant, pulse: &Pulse) {
        let now = Instant::now();
        match result {
            Ok(()) => {
                pulse.beat(now);
                let latency = nanoseconds(now.saturating_duration_since(intended));
                self.latencies.record(latency).expect("the histogram grows with what it is told");
            }
            Err(said) => {
                self.failed += 1;
                self.said = Some(said);
            }
        }
    }

    /// Without the processor time, which others know.
    fn measure(&self, took: Duration, gap: u64) -> Measure {
        let at = |share| self.latencies.value_at_quantile(share) as f64 / 1e3;
        Measure {
            per_second: self.latencies.len() as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            longest: self.latencies.max() as f64 / 1e3,
            gap: gap as f64 / 1e3,
            done: self.latencies.len(),
            failed: self.failed,
            ..Measure::default()
        }
    }

    fn add(&mut self, other: Seen) {
        self.latencies.add(other.latencies).expect("the histogram grows with what it is told");
        self.failed += other.failed;
        self.said = self.said.take().or(other.said);
    }
}

impl Load {
    /// Runs it, and says what was seen: a measure without the processor time, and what a failure said.
    pub async fn run(&self, subject: &impl Subject) -> (Measure, Option<String>) {
        // In the open loop all tasks are to wait at the door before the first arrival.
        let ahead = if self.offered.is_some() { AHEAD } else { Duration::ZERO };
        let began = Instant::now() + ahead;
        let pulse = Arc::new(Pulse { began, last: AtomicU64::new(0), gap: AtomicU64::new(0) });
        let seen = match self.offered {
            None => self.closed(subject, &pulse).await,
            Some(rate) => self.open(subject, &pulse, Schedule::new(rate, self.length)).await,
        };
        let gap = pulse.gap.load(Ordering::Relaxed);
        let measure =
            Measure { offered: self.offered.unwrap_or_default(), ..seen.measure(began.elapsed(), gap) };
        (measure, seen.said)
    }

    async fn closed(&self, subject: &impl Subject, pulse: &Arc<Pulse>) -> Seen {
        let end = pulse.began + self.length;
        let tasks = (0..self.tasks).map(|task| {
            let (worker, draws) = (subject.worker(task), self.draws(task));
            tokio::spawn(one_after_the_other(worker, draws, Arc::clone(pulse), end))
        });
        all_of(join_all(tasks).await)
    }

    async fn open(&self, subject: &impl Subject, pulse: &Arc<Pulse>, schedule: Schedule) -> Seen {
        let door = Arc::new(Door { schedule, gate: Semaphore::new(0), taken: AtomicUsize::new(0) });
        let tasks = (0..self.tasks).map(|task| {
            let (worker, draws) = (subject.worker(task), self.draws(task));
            tokio::spawn(as_they_arrive(worker, draws, Arc::clone(pulse), Arc::clone(&door)))
        });
        let tasks: Vec<_> = tasks.collect();
        let (keeper, began, waiting) = (Arc::clone(&door), pulse.began, self.tasks);
        let thread = std::thread::spawn(move || keeper.let_in(began, waiting));
        let seen = all_of(join_all(tasks).await);
        thread.join().expect("the door's thread does not panic");
        seen
    }

    fn draws(&self, task: usize) -> Draws {
        Draws::new(self.workload, self.keys, SmallRng::seed_from_u64(task as u64))
    }
}

async fn one_after_the_other(
    mut worker: impl Worker,
    mut draws: Draws,
    pulse: Arc<Pulse>,
    end: Instant,
) -> Seen {
    let mut seen = Seen::nothing();
    loop {
        let began = Instant::now();
        if began >= end {
            return seen;
        }
        let result = worker.run(draws.draw()).await;
        let failed = result.is_err();
        seen.note(result, began, &pulse);
        if failed {
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

async fn as_they_arrive(
    mut worker: impl Worker,
    mut draws: Draws,
    pulse: Arc<Pulse>,
    door: Arc<Door>,
) -> Seen {
    let mut seen = Seen::nothing();
    while let Some(begins) = door.next().await {
        let result = worker.run(draws.draw()).await;
        seen.note(result, pulse.began + begins, &pulse);
    }
    seen
}

/// Where operations arrive.
struct Door {
    schedule: Schedule,
    gate: Semaphore,
    taken: AtomicUsize,
}

impl Door {
    /// Waits for the next arrival that nobody has taken; says when it was to begin. `None` when all have.
    async fn next(&self) -> Option<Duration> {
        self.gate.acquire().await.ok()?.forget();
        let arrival = self.taken.fetch_add(1, Ordering::Relaxed);
        (arrival < self.schedule.arrivals()).then(|| self.schedule.begins(arrival))
    }

    /// A thread of its own: tokio's timers have steps of a millisecond, which is longer than most operations.
    fn let_in(&self, began: Instant, waiting: usize) {
        let_sleep_be_exact();
        std::thread::sleep(began.saturating_duration_since(Instant::now()));
        let (mut admitted, all) = (0, self.schedule.arrivals());
        while admitted < all {
            let due = self.schedule.due(began.elapsed());
            self.gate.add_permits(due - admitted);
            admitted = due;
            std::thread::sleep(self.schedule.begins(admitted).saturating_sub(began.elapsed()));
        }
        // So that those who wait see that nothing comes any more.
        self.gate.add_permits(waiting);
    }
}

/// Linux adds 50 µs to a thread's sleep where that saves a wake-up.
fn let_sleep_be_exact() {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain system call about this thread; where it fails sleeps stay as they are.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
}

fn all_of(tasks: Vec<Result<Seen, tokio::task::JoinError>>) -> Seen {
    tasks.into_iter().fold(Seen::nothing(), |mut all, task| {
        all.add(task.expect("no task panics"));
        all
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
