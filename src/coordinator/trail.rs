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
use super::transfer::{Goal, KEYS, Stopped};
use crate::command::Register;
use crate::protocol::{Ack, ApplyAnswer, Digest, NodeIndex};
use crate::script::{Executed, Snapshot, SnapshotReply, Want, snapshot_call};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Registers that are remembered; where there are more they are forgotten, all at once.
const REGISTERS: usize = 256;
/// Digests of each.
const DIGESTS: usize = 24;
/// How many of them are tried.
const TRIES: usize = 3;

/// A digest that an op found, and on which node.
type Base = (NodeIndex, Digest);

/// What was found under the last ops on the registers on which coordinators met.
#[derive(Debug, Default)]
pub(super) struct Trails(Mutex<HashMap<Register, VecDeque<Base>>>);

impl Trails {
    fn lock(&self) -> MutexGuard<'_, HashMap<Register, VecDeque<Base>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the acknowledgements of a round say.
    pub(super) fn note<'a>(
        &self,
        register: &Register,
        answers: impl Iterator<Item = (NodeIndex, Option<&'a ApplyAnswer<Executed>>)>,
    ) {
        let bases: Vec<Base> = answers.filter_map(|(node, answer)| base_of(node, answer)).collect();
        if bases.is_empty() {
            return;
        }
        let mut all = self.lock();
        if all.len() >= REGISTERS && !all.contains_key(register) {
            all.clear();
        }
        let trail = all.entry(register.clone()).or_default();
        for base in bases {
            trail.retain(|known| *known != base);
            trail.push_front(base);
        }
        trail.truncate(DIGESTS);
    }

    /// Where the two nodes' histories may have parted: what the target found, then the source, then the others; the latest first.
    fn guesses(&self, goal: &Goal, target: NodeIndex, held: Digest) -> Vec<Digest> {
        let all = self.lock();
        let Some(trail) = all.get(&goal.register) else { return Vec::new() };
        if trail.iter().any(|(_, digest)| *digest == held) {
            return vec![held]; // it has ended there: nothing but the rest is missing
        }
        let of = |wanted: NodeIndex| trail.iter().filter(move |(node, _)| *node == wanted);
        let mut guesses: Vec<Digest> = Vec::new();
        for (_, digest) in of(target).take(1).chain(of(goal.source).take(1)).chain(trail.iter()) {
            if !guesses.contains(digest) {
                guesses.push(*digest);
            }
        }
        guesses.truncate(TRIES);
        guesses
    }
}

fn base_of(node: NodeIndex, answer: Option<&ApplyAnswer<Executed>>) -> Option<Base> {
    match answer {
        Some(ApplyAnswer::Ack(Ack { reply, ran: Some(_), .. })) if !reply.base.is_empty() => {
            Some((node, reply.base))
        }
        _ => None,
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
        held: Digest,
        deadline: Instant,
    ) -> Result<Option<(Snapshot, Digest)>, Stopped> {
        for base in self.trails.guesses(goal, to, held) {
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
