//! Which nodes this coordinator is filling, and how far it is.

use crate::command::Register;
use crate::protocol::{Digest, NodeIndex};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a node was given so far: the token, and the digests at which the source was read. Each must be in the history that is settled in
/// the end: what the source ran meanwhile may have been overruled. Whatever changed after the first of them is brought again.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) token: Digest,
    pub(super) seen: Vec<Digest>,
}

impl Filled {
    pub(super) fn see(&mut self, digest: Digest) {
        if self.seen.last() != Some(&digest) {
            self.seen.push(digest);
        }
    }
}

/// What this coordinator has done to a node's copy of a register.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// It is at work there.
    UnderWay,
    /// It gave up half-way: the next one may replace this token at once.
    Stopped(Digest),
    /// Only the settle did not come in time, since the source was written to.
    Filled(Filled),
}

/// The fills of this coordinator: one at a time for a register on a node.
#[derive(Debug, Default)]
pub(super) struct Fills(Mutex<HashMap<(Register, NodeIndex), Stage>>);

/// One of them; what it leaves behind is noted when it ends, however it ends.
pub(super) struct Turn<'a> {
    fills: &'a Fills,
    place: (Register, NodeIndex),
    pub(super) leaves: Option<Stage>,
}

impl Fills {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Register, NodeIndex), Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fill of one of the nodes has not come to its end.
    pub(super) fn wait_for_a_settle(&self, register: &Register, nodes: &[NodeIndex]) -> bool {
        let all = self.lock();
        nodes.iter().any(|node| all.contains_key(&(register.clone(), *node)))
    }

    /// Whether more is missing there than what came since.
    pub(super) fn lacks_pages(&self, place: &(Register, NodeIndex)) -> bool {
        !matches!(self.lock().get(place), Some(Stage::Filled(_)))
    }

    /// None where one is under way.
    pub(super) fn begin(&self, place: (Register, NodeIndex)) -> Option<Turn<'_>> {
        let before = self.lock().insert(place.clone(), Stage::UnderWay);
        match before {
            Some(Stage::UnderWay) => None,
            leaves => Some(Turn { fills: self, place, leaves }),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut all = self.fills.lock();
        match self.leaves.take() {
            Some(stage) => drop(all.insert(self.place.clone(), stage)),
            None => drop(all.remove(&self.place)),
        }
    }
}
