//! When a healer that runs by itself begins a pass: not beside another one's, and less and less often where passes fail.

use super::Pass;
use crate::protocol::Epoch;
use std::time::Duration;
use tokio::time::Instant;

/// How long a pass that failed is not repeated: at first, and at last.
pub(super) const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(120);

/// What one healer knows of the others, and of its own failures.
pub(super) struct Turn {
    /// No pass before this: another healer is at work, or the last one failed.
    not_before: Instant,
    rest: Duration,
    /// The newest epoch among the voters at the last look; who moves it began a pass.
    epoch: Epoch,
    /// Another healer is at work, or was: how many keys the nodes lacked that are being filled, when that was last looked at.
    another_lacks: Option<u64>,
    /// Who voted and who joined at the last look.
    seats: Vec<Option<bool>>,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn {
            not_before: Instant::now(),
            rest: FIRST_REST,
            epoch: Epoch::default(),
            another_lacks: None,
            seats: Vec::new(),
        }
    }

    pub(super) fn has_come(&self) -> bool {
        Instant::now() >= self.not_before
    }

    /// What failed may succeed when a node has come or gone since: that is tried soon.
    pub(super) fn notice_changes(&mut self, pass: &Pass) {
        let seats = pass.seats();
        if seats != self.seats && self.another_lacks.is_none() {
            self.not_before = self.not_before.min(Instant::now() + pass.jittered(FIRST_REST));
            self.rest = FIRST_REST;
        }
        self.seats = seats;
    }

    /// Whether someone has begun a pass since the last look, or gets on with one: by a hundredth of what is missing in each rest. Not by
    /// any key, or clients that write to the node beside would keep it waiting for a healer that has died.
    pub(super) async fn is_anothers(&mut self, pass: &Pass) -> bool {
        let newest = pass.newest_epoch();
        let began = self.epoch != Epoch::default() && newest > self.epoch;
        self.epoch = self.epoch.max(newest);
        let before = match self.another_lacks {
            _ if began => u64::MAX,
            Some(before) if self.has_come() => before,
            _ => return false,
        };
        let missing = pass.keys_missing_on_joining().await;
        let goes_on = missing < before - before / 100;
        self.another_lacks = goes_on.then_some(missing);
        goes_on
    }

    /// A pass met another one's token.
    pub(super) fn lose(&mut self) {
        self.another_lacks = Some(u64::MAX);
    }

    /// A pass of one's own has ended.
    pub(super) fn has_moved(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Nothing for a while, and the next time for longer.
    pub(super) fn rest(&mut self, pass: &Pass, why: &str) {
        tracing::debug!(why, "rests");
        self.not_before = self.not_before.max(Instant::now() + pass.jittered(self.rest));
        self.rest = (self.rest * 2).min(LONGEST_REST);
    }

    /// All is well.
    pub(super) fn forget(&mut self) {
        self.rest = FIRST_REST;
    }
}

impl Pass {
    /// Once to twice as long: healers that were started together part.
    fn jittered(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 + self.client.inner().surroundings().fraction())
    }
}
