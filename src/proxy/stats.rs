//! What INFO counts: commands, their times, and errors.

use super::reply::code_of;
use redis::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many kinds of errors are told apart, as in Redis: codes can come from scripts.
const KINDS: usize = 128;
/// Powers of two of a microsecond.
const BUCKETS: usize = 32;

/// Counters of the whole proxy.
#[derive(Debug, Default)]
pub struct Stats {
    commands: Mutex<BTreeMap<Box<str>, Command>>,
    errors: Mutex<BTreeMap<Box<str>, u64>>,
    /// Clients that ever connected.
    pub connections: AtomicU64,
    /// Those that were refused, being too many.
    pub rejected: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Bytes read.
    pub input: AtomicU64,
    /// Bytes written.
    pub output: AtomicU64,
    /// Error replies.
    pub failures: AtomicU64,
    /// Clients that have not got to speak TLS yet.
    pub handshakes: AtomicU64,
    /// Clients that wait in a command that blocks.
    pub blocked: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Command {
    calls: u64,
    usec: u64,
    /// Not run: refused before anything was sent.
    rejected: u64,
    failed: u64,
    times: [u64; BUCKETS],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stats {
    /// A command was answered.
    pub fn answered(&self, name: &str, took: Duration, reply: &Value, rejected: bool) {
        let usec = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let code = code_of(reply);
        {
            let mut commands = lock(&self.commands);
            if !commands.contains_key(name) {
                commands.insert(name.into(), Command::default());
            }
            if let Some(command) = commands.get_mut(name) {
                command.take(usec, code.is_some(), rejected);
            }
        }
        if let Some(code) = code {
            self.failed(code);
        }
    }

    /// An error was sent that belongs to no known command.
    pub fn failed(&self, code: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut errors = lock(&self.errors);
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < KINDS {
            errors.insert(code.into(), 1);
        }
    }

    /// Counts from zero again.
    pub fn reset(&self) {
        lock(&self.commands).clear();
        lock(&self.errors).clear();
        for counter in
            [&self.connections, &self.rejected, &self.requests, &self.input, &self.output, &self.failures]
        {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// The section `Commandstats` of INFO.
    pub fn command_lines(&self) -> String {
        let mut text = String::new();
        for (name, of) in lock(&self.commands).iter() {
            let each = of.usec as f64 / of.calls.max(1) as f64;
            let _ = write!(
                text,
                "cmdstat_{name}:calls={},usec={},usec_per_call={each:.2},rejected_calls={},failed_calls={}\r\n",
                of.calls, of.usec, of.rejected, of.failed
            );
        }
        text
    }

    /// The section `Latencystats` of INFO, to the next power of two.
    pub fn latency_lines(&self) -> String {
        let mut text = String::new();
        for (name, of) in lock(&self.commands).iter().filter(|(_, of)| of.calls > 0) {
            let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| of.within(share));
            let _ =
                write!(text, "latency_percentiles_usec_{name}:p50={half},p99={most},p99.9={nearly_all}\r\n");
        }
        text
    }

    /// The section `Errorstats` of INFO.
    pub fn error_lines(&self) -> String {
        lock(&self.errors).iter().map(|(code, count)| format!("errorstat_{code}:count={count}\r\n")).collect()
    }

    /// LATENCY HISTOGRAM: for each command its calls and how many took at most so many µs.
    pub fn histogram(&self, wanted: &[String]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let commands = lock(&self.commands);
        let shown = commands.iter().filter(|(name, of)| {
            of.calls > 0 && (wanted.is_empty() || wanted.iter().any(|wanted| **wanted == ***name))
        });
        let all = shown.map(|(name, of)| {
            let mut sum = 0;
            let mut rows = Vec::new();
            for (power, count) in of.times.iter().enumerate().filter(|(_, count)| **count > 0) {
                sum += count;
                rows.push((number(1 << power), number(sum)));
            }
            let told = vec![(text("calls"), number(of.calls)), (text("histogram_usec"), Value::Map(rows))];
            (text(name), Value::Map(told))
        });
        Value::Map(all.collect())
    }

    /// Calls, errors and seconds by command, for metrics.
    pub fn each(&self, mut tell: impl FnMut(&str, u64, u64, f64)) {
        for (name, of) in lock(&self.commands).iter() {
            tell(name, of.calls, of.failed + of.rejected, of.usec as f64 / 1e6);
        }
    }
}

impl Command {
    fn take(&mut self, usec: u64, failed: bool, rejected: bool) {
        if rejected {
            self.rejected += 1;
            return;
        }
        self.calls += 1;
        self.usec += usec;
        self.failed += u64::from(failed);
        let power = usize::try_from(usec.max(1).next_power_of_two().trailing_zeros()).unwrap_or(0);
        self.times[power.min(BUCKETS - 1)] += 1;
    }

    fn within(&self, share: f64) -> u64 {
        let mut left = (self.calls as f64 * share).ceil();
        for (power, count) in self.times.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 {
                return 1 << power;
            }
        }
        1 << (BUCKETS - 1)
    }
}
