//! When operations are to begin in an open loop: fixed before the first of them, whatever becomes of the others.

use std::time::Duration;

/// Arrivals are let in this often, all that are due at once. Finer steps cost two cores more than they tell.
pub const STEP: Duration = Duration::from_micros(100);

const SECOND: u128 = 1_000_000_000;

/// So many arrivals a second, for so long.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    per_second: u128,
    length: Duration,
}

impl Schedule {
    pub fn new(per_second: f64, length: Duration) -> Schedule {
        Schedule { per_second: (per_second as u128).max(1), length }
    }

    /// How many arrive altogether.
    pub fn arrivals(&self) -> usize {
        number((self.length.as_nanos() * self.per_second).div_ceil(SECOND)).max(1)
    }

    /// When this one, counted from zero, is to begin: at the first step that is not before its own time.
    pub fn begins(&self, arrival: usize) -> Duration {
        let exact = arrival as u128 * SECOND / self.per_second;
        STEP * u32::try_from(exact.div_ceil(STEP.as_nanos())).unwrap_or(u32::MAX)
    }

    /// How many have arrived at this time.
    pub fn due(&self, time: Duration) -> usize {
        let step = time.as_nanos() / STEP.as_nanos() * STEP.as_nanos();
        number(((step + 1) * self.per_second).div_ceil(SECOND)).min(self.arrivals())
    }
}

fn number(count: u128) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
