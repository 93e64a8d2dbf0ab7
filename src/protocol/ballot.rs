//! Ballots and op ids: who asks, and in which order.

use std::fmt;
use std::str::FromStr;

use super::parse::{self, ParseError};

/// The largest time that 16 decimal digits hold, in µs (November 2286).
const MAX_TIME_US: u64 = 9_999_999_999_999_999;

/// Identifies one coordinator for its whole life; two that are alive never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorId(pub u64);

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A round's place in the order of all rounds: hybrid logical clock in µs, then the coordinator.
///
/// A ballot belongs to one coordinator and to one round and is never used twice: invariant I3 rests on it. Its text
/// (`%016d-%016x`, 33 characters) orders as the ballots do, in Lua and in Rust.
///
/// ```
/// use anarchoredis::protocol::{Ballot, CoordinatorId};
///
/// let ballot = Ballot::new(1_700_000_000_000_000, CoordinatorId(10));
/// assert_eq!(ballot.to_string(), "1700000000000000-000000000000000a");
/// assert_eq!(ballot.to_string().parse(), Ok(ballot));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    // The order of the fields is the order of ballots: time first.
    time_us: u64,
    coordinator: CoordinatorId,
}

impl Ballot {
    /// A ballot at `time_us` microseconds after the epoch. Times that 16 digits cannot hold become the last that
    /// they can.
    pub fn new(time_us: u64, coordinator: CoordinatorId) -> Self {
        Self { time_us: time_us.min(MAX_TIME_US), coordinator }
    }

    /// Microseconds since the epoch by the hybrid clock. This is the time at which the op happens.
    pub fn time_us(self) -> u64 {
        self.time_us
    }

    /// The same in whole milliseconds, the unit in which Redis keeps expiry.
    pub fn time_ms(self) -> u64 {
        self.time_us / 1_000
    }

    /// Whose ballot it is.
    pub fn coordinator(self) -> CoordinatorId {
        self.coordinator
    }

    /// Its text, as nodes are told it.
    pub fn digits(self) -> [u8; 33] {
        let mut digits = [b'-'; 33];
        parse::write_decimal(self.time_us, &mut digits[..16]);
        parse::write_hex(self.coordinator.0, &mut digits[17..]);
        digits
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(parse::as_text(&self.digits()))
    }
}

impl FromStr for Ballot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let (time, coordinator) = text.as_bytes().split_at_checked(16)?;
            let time_us = parse::decimal16(time)?;
            Some(Self { time_us, coordinator: CoordinatorId(parse::hex64(coordinator.strip_prefix(b"-")?)?) })
        };
        read().ok_or_else(|| ParseError::new("a ballot (16 digits, '-', 16 hex digits)", text))
    }
}

/// A hybrid logical clock (Kulkarni et al., 2014) that hands out one coordinator's ballots.
///
/// The caller brings the wall clock's time, since nothing in this module reads a clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BallotClock {
    coordinator: CoordinatorId,
    last_us: u64,
}

impl BallotClock {
    /// A clock that has seen nothing yet.
    pub fn new(coordinator: CoordinatorId) -> Self {
        Self { coordinator, last_us: 0 }
    }

    /// The next ballot: above every ballot handed out or observed, and not before `now_us`. Never the same twice
    /// (I3), also where the wall clock stands still or jumps back.
    pub fn next(&mut self, now_us: u64) -> Ballot {
        self.last_us = now_us.max(self.last_us.saturating_add(1));
        Ballot::new(self.last_us, self.coordinator)
    }

    /// Takes note of a ballot that another coordinator used, so that the next of ours is above it (W3).
    pub fn observe(&mut self, seen: Ballot) {
        self.last_us = self.last_us.max(seen.time_us);
    }
}

/// Identifies one mutation. A retry carries the same id under a new ballot, so that no node runs it twice (I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// Whose op it is.
    pub coordinator: CoordinatorId,
    /// Its place among the ops of that coordinator.
    pub sequence: u64,
}

impl OpId {
    /// Its text, as nodes are told it.
    pub fn digits(self) -> [u8; 33] {
        let mut digits = [b'-'; 33];
        parse::write_hex(self.coordinator.0, &mut digits[..16]);
        parse::write_hex(self.sequence, &mut digits[17..]);
        digits
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(parse::as_text(&self.digits()))
    }
}

impl FromStr for OpId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let (coordinator, sequence) = text.as_bytes().split_at_checked(16)?;
            let coordinator = CoordinatorId(parse::hex64(coordinator)?);
            Some(Self { coordinator, sequence: parse::hex64(sequence.strip_prefix(b"-")?)? })
        };
        read().ok_or_else(|| ParseError::new("an op id (16 hex digits, '-', 16 hex digits)", text))
    }
}
