//! One op on its way through its rounds.

use super::Coordinator;
use super::attempt::Attempt;
use super::view::View;
use crate::error::Error;
use crate::protocol::OpId;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause between two rounds of one op.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// An op on its way: what survives from one round to the next.
pub(super) struct Journey {
    pub(super) op: OpId,
    pub(super) keep: bool,
    pub(super) rounds: u32,
    /// How long its longest round took.
    pub(super) longest: Duration,
    pub(super) may_have_run: bool,
    pub(super) deadline: Instant,
    /// The same by the time of day, in ms: a machine that slept has a clock that stood still, and nodes that have forgotten the op.
    pub(super) ends_ms: u64,
    /// The generation of its first round.
    pub(super) began_in: Option<u64>,
    /// Whose reasons they are.
    pub(super) generation: u64,
    pub(super) reasons: Vec<Option<String>>,
    /// Since when fewer than a majority can be asked.
    pub(super) alone_since: Option<Instant>,
}

impl Journey {
    pub(super) fn take_note(&mut self, attempt: &Attempt) {
        self.may_have_run |= attempt.may_have_run();
        // What a node said in an earlier round stands where the last one ended before it said anything.
        let reasons = attempt.reasons();
        if self.generation != attempt.view.generation() {
            self.generation = attempt.view.generation();
            self.reasons.clear();
        }
        self.reasons.resize(reasons.len(), None);
        for (known, reason) in self.reasons.iter_mut().zip(reasons) {
            *known = reason.or(known.take());
        }
    }

    /// Whether someone has ended it on a node with SCRIPT KILL, who would not want to see it again.
    pub(super) fn was_killed(&self) -> bool {
        self.reasons.iter().flatten().any(|reason| reason.contains("Script killed by user"))
    }

    /// Whether nodes that may have run it have deleted everything since, with the memory of it: a second run would be another one (I5).
    pub(super) fn was_flushed(&mut self, view: &View) -> bool {
        let began_in = *self.began_in.get_or_insert(view.generation());
        self.may_have_run && view.flushed > began_in
    }

    /// Short at first, since most collisions are over at once; then in proportion to what a round takes here, or the others come between
    /// every time; random, so that two coordinators come apart.
    pub(super) fn pause(&self, fraction: f64) -> Duration {
        let short = Duration::from_micros(500).saturating_mul(1 << self.rounds.min(6));
        let ceiling = short.max(self.longest * self.rounds.min(10)).min(LONGEST_PAUSE);
        ceiling.mul_f64(fraction)
    }

    pub(super) fn give_up(&self, coordinator: &Coordinator) -> Error {
        let view = coordinator.view();
        let failures = view.failures(&self.reasons);
        let reached = view.voters().together.len();
        let needed = view.quorum.majority();
        if self.may_have_run {
            Error::Indeterminate { failures }
        } else if reached < needed {
            Error::NoQuorum { needed, reached, failures }
        } else {
            Error::NotApplied { why: "no round decided in time", failures }
        }
    }
}
