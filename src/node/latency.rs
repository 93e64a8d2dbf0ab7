//! How long a node usually takes: a smoothed mean and deviation, as TCP keeps them (RFC 6298).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Updated by every answer, without a lock: a lost update changes an estimate, nothing else.
#[derive(Debug, Default)]
pub struct Latency {
    mean_us: AtomicU64,
    deviation_us: AtomicU64,
}

impl Latency {
    /// Takes one answer's time into account.
    pub fn record(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16).max(1);
        let mean = self.mean_us.load(Ordering::Relaxed);
        if mean == 0 {
            self.mean_us.store(took, Ordering::Relaxed);
            self.deviation_us.store(took / 2, Ordering::Relaxed);
            return;
        }
        let deviation = self.deviation_us.load(Ordering::Relaxed);
        self.deviation_us.store((deviation * 3 + mean.abs_diff(took)) / 4, Ordering::Relaxed);
        self.mean_us.store((mean * 7 + took) / 8, Ordering::Relaxed);
    }

    /// The time within which nearly all answers come: the mean and four deviations. Zero before the first answer.
    pub fn usual(&self) -> Duration {
        let mean = self.mean_us.load(Ordering::Relaxed);
        Duration::from_micros(mean + 4 * self.deviation_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_a_node_that_becomes_slow() {
        let latency = Latency::default();
        for _ in 0..100 {
            latency.record(Duration::from_micros(100));
        }
        assert!(latency.usual() < Duration::from_micros(200));
        for _ in 0..100 {
            latency.record(Duration::from_millis(20));
        }
        assert!(latency.usual() > Duration::from_millis(19));
    }
}
