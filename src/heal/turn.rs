//! When a healer that runs by itself begins a pass: not beside another one's, and less and less often where passes fail.

use super::Pass;
use super::filling::SILENCE;
use crate::protocol::Epoch;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a pass that failed is not repeated: at first, and at last.
pub(super) const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(120);

/// What one healer knows of the others, and of its own failures.
pub(super) struct Turn {
    /// No pass before this: the last one failed.
    not_before: Instant,
    rest: Duration,
    /// The newest epoch among the voters at the last look; who moves it began a pass.
    epoch: Epoch,
    /// What whoever fills a node had said there, by the nodes' places.
    said: BTreeMap<usize, Vec<u8>>,
    /// Until when another healer is taken to be at work.
    anothers_until: Option<Instant>,
    /// Who voted and who joined at the last look.
    seats: Vec<Option<bool>>,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn {
            not_before: Instant::now(),
            rest: FIRST_REST,
            epoch: Epoch::default(),
            said: BTreeMap::new(),
            anothers_until: None,
            seats: Vec::new(),
        }
    }

    pub(super) fn has_come(&self) -> bool {
        Instant::now() >= self.not_before
    }

    /// What failed may succeed when a node has come or gone since: that is tried soon.
    pub(super) fn notice_changes(&mut self, pass: &Pass) {
        let seats = pass.seats();
        if seats != self.seats && !self.is_taken() {
            self.not_before = self.not_before.min(Instant::now() + pass.jittered(FIRST_REST));
            self.rest = FIRST_REST;
        }
        self.seats = seats;
    }

    /// Whether another healer fills a node: it has begun a pass, or said that it goes on with one, and not long ago.
    pub(super) async fn is_anothers(&mut self, pass: &Pass) -> bool {
        let newest = pass.newest_epoch();
        let began = self.epoch != Epoch::default() && newest > self.epoch;
        self.epoch = self.epoch.max(newest);
        if self.hear(pass).await || began {
            self.lose();
        }
        self.is_taken()
    }

    fn is_taken(&self) -> bool {
        self.anothers_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether there was anything new.
    async fn hear(&mut self, pass: &Pass) -> bool {
        let mut news = false;
        for (place, text) in pass.said().await {
            news |= self.said.get(&place) != Some(&text);
            self.said.insert(place, text);
        }
        news
    }

    /// It is another healer's turn.
    pub(super) fn lose(&mut self) {
        self.anothers_until = Some(Instant::now() + SILENCE);
    }

    /// A pass of one's own has ended: what was said until now was one's own.
    pub(super) async fn has_ended(&mut self, pass: &Pass) {
        self.epoch = pass.newest_epoch();
        self.hear(pass).await;
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
