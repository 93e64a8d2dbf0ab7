//! Where the histories of a register parted.
//!
//! Two coordinators that write at once leave nodes with different ops after the same one:
//!
//! ```text
//!   source   ... b  x  y          since b: the keys of x and y
//!   target   ... b  y'            since b: the keys of y'      (the same op after another one is another history)
//! ```
//!
//! Neither log has the other's last digest, but both have b, and every key that neither changed since then is the same on both (I2). So the
//! target needs the keys that either has changed, as the source has them, and not all keys. What b is nodes tell with each
//! acknowledgement: the digest that the op found. A wrong guess costs a call; the scripts compare the digests that count.

use super::Coordinator;
use super::attempt::Attempt;
use super::transfer::{Goal, KEYS, Stopped};
use crate::command::Register;
use crate::protocol::{Ack, ApplyAnswer, Digest, NodeIndex};
use crate::script::{Snapshot, SnapshotReply, Want, snapshot_call};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Registers that are remembered; where there are more they are forgotten, all at once.
const REGISTERS: usize = 256;

/// What is known of one register's histories.
#[derive(Debug, Default)]
struct Trail {
    /// What the last op found on a node.
    found: HashMap<NodeIndex, Digest>,
    /// Where two nodes, the lower one first, were seen last at one history; or what the op found on each that saw them apart first.
    together: HashMap<(NodeIndex, NodeIndex), Vec<Digest>>,
}

/// What a node has said in a round: what the op found there, and what it has made of it.
struct Seen {
    node: NodeIndex,
    found: Option<Digest>,
    left: Digest,
}

/// The registers on which coordinators met.
#[derive(Debug, Default)]
pub(super) struct Trails(Mutex<HashMap<Register, Trail>>);

impl Trails {
    fn lock(&self) -> MutexGuard<'_, HashMap<Register, Trail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the acknowledgements of a round say.
    fn note(&self, register: &Register, round: &[Seen]) {
        let mut all = self.lock();
        if all.len() >= REGISTERS && !all.contains_key(register) {
            all.clear();
        }
        let trail = all.entry(register.clone()).or_default();
        for (place, one) in round.iter().enumerate() {
            if let Some(found) = one.found {
                trail.found.insert(one.node, found);
            }
            for other in &round[place + 1..] {
                let pair = (one.node, other.node);
                if one.left == other.left {
                    trail.together.insert(pair, vec![one.left]);
                } else if one.found.is_some() && one.found == other.found {
                    trail.together.insert(pair, one.found.into_iter().collect());
                } else {
                    let found = || one.found.into_iter().chain(other.found).collect();
                    trail.together.entry(pair).or_insert_with(found);
                }
            }
        }
    }

    /// Whether coordinators have met on the register lately.
    pub(super) fn know(&self, register: &Register) -> bool {
        self.lock().contains_key(register)
    }

    /// Where the two nodes' histories may have parted, the likeliest first.
    fn guesses(&self, goal: &Goal, target: NodeIndex) -> Vec<Digest> {
        let all = self.lock();
        let Some(trail) = all.get(&goal.register) else { return Vec::new() };
        let pair = (goal.source.min(target), goal.source.max(target));
        let mut guesses: Vec<Digest> = trail.together.get(&pair).cloned().unwrap_or_default();
        for digest in [trail.found.get(&target), trail.found.get(&goal.source)].into_iter().flatten() {
            if !guesses.contains(digest) {
                guesses.push(*digest);
            }
        }
        guesses
    }
}

impl Attempt {
    /// Remembers what the nodes that took part found and have now, where coordinators meet on the register.
    pub(super) fn note_trail(&self, meets: bool) {
        let trails = &self.coordinator.trails;
        // Where ops wait for one another here, others may be at work too: better to know then where all nodes were the same.
        let meets = meets || self.work.commands.len() > 1;
        if (meets && self.work.is_of_several_keys()) || trails.know(&self.work.register) {
            let round: Vec<Seen> = self.view.indices().filter_map(|node| self.seen(node)).collect();
            trails.note(&self.work.register, &round);
        }
    }

    fn seen(&self, node: NodeIndex) -> Option<Seen> {
        let Some(ApplyAnswer::Ack(Ack { standing, reply, ran })) = self.round.answer(node) else {
            return None;
        };
        // Of an op that ran in an earlier round a node does not say what it found.
        let found = ran.filter(|_| !reply.base.is_empty()).map(|_| reply.base);
        Some(Seen { node, found, left: standing.position.digest })
    }
}

impl Coordinator {
    /// What a node needs whose history is none that the source's log knows, and the digest that it starts from; none where the two
    /// have no past in common that is known here, and that both logs reach back to.
    pub(super) async fn fetch_since_parting(
        &self,
        goal: &Goal,
        record: &[u8],
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<Option<(Snapshot, Digest)>, Stopped> {
        for base in self.trails.guesses(goal, to) {
            let Some(there) = self.changed_there(goal, record, to, base, deadline).await? else { continue };
            let mut here = self.fetch(goal, record, &[base], deadline).await?;
            if !here.delta {
                continue;
            }
            // The log of a longer history would keep entries beyond the end of the one that it is given.
            if there.standing.position.version > goal.position.version {
                return if goal.brief { Err(Stopped::Moved) } else { Ok(None) };
            }
            let held: HashSet<&[u8]> = here.states.iter().map(|state| state.key.as_slice()).collect();
            let changed = there.states.into_iter().map(|state| state.key);
            let more: Vec<Vec<u8>> = changed.filter(|key| !held.contains(key.as_slice())).collect();
            for some in more.chunks(KEYS) {
                let mut found = self.snapshot_from(goal, record, &Want::Keys(some), deadline).await?;
                self.fetch_later(goal, record, &mut found, deadline).await?;
                here.states.extend(found.states);
            }
            return Ok(Some((here, there.standing.position.digest)));
        }
        Ok(None)
    }

    /// The names of the keys that the target has changed since then, and where it is; none where its log does not tell.
    async fn changed_there(
        &self,
        goal: &Goal,
        record: &[u8],
        to: NodeIndex,
        base: Digest,
        deadline: Instant,
    ) -> Result<Option<Snapshot>, Stopped> {
        // With no room for values the answer is names.
        let encode =
            |ticket: &crate::script::Ticket<'_>| snapshot_call(ticket, record, &Want::Since(&[base]), 0);
        match SnapshotReply::parse(self.call(&goal.view, to, &encode, deadline).await?)? {
            SnapshotReply::Snapshot(snapshot) => Ok(Some(snapshot).filter(|snapshot| snapshot.delta)),
            _ => Ok(None),
        }
    }
}
