//! Deltas: a register of several keys whose nodes ship only what differs (`snapshot since`, `settle` with mode delta).
//!
//! A model of its own, because nothing here depends on ballots: nodes run ops and take settles in any order, a transfer has three
//! steps with anything between them (the target's digest is asked, the source answers what changed since, the target takes it or
//! says NEEDS_STATE), and after each settle the target's keys must be those of the history that its digest names.

use std::collections::{BTreeMap, BTreeSet};

use super::rng::{Rng, mix};

/// The log reaches back this far; the scripts keep 32.
const LOG: u64 = 4;
const KEYS: u64 = 4;

type Keys = BTreeMap<u64, u64>;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaControl {
    Sound,
    /// A delta is applied to whatever the target holds.
    BaseNotCompared,
    /// The log does not name the keys that an op removed.
    ForgetsDeletions,
    /// Where histories have parted, what only the target has changed stays there.
    ForgetsTheTargetsChanges,
}

impl DeltaControl {
    pub const UNSOUND: [Self; 3] =
        [Self::BaseNotCompared, Self::ForgetsDeletions, Self::ForgetsTheTargetsChanges];
}

/// One version: which digest it made, and the keys that it changed.
#[derive(Debug, Clone)]
struct Change {
    version: u64,
    digest: u64,
    keys: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    version: u64,
    digest: u64,
    keys: Keys,
    log: BTreeMap<u64, Change>,
}

/// An answer of `snapshot`: of a delta the changed keys, none where gone; else all keys.
#[derive(Debug, Clone)]
struct Parcel {
    target: usize,
    base: Option<u64>,
    version: u64,
    digest: u64,
    states: Vec<(u64, Option<u64>)>,
    log: Vec<Change>,
}

/// A transfer on its way: first the digest that was asked, then the parcel.
enum Step {
    Asked {
        target: usize,
        digest: u64,
    },
    /// The target's history is none that others know: what it has changed since a digest that it has in common with some.
    Parted {
        target: usize,
        version: u64,
        digest: u64,
        base: u64,
        names: Vec<u64>,
    },
    Fetched(Parcel),
}

impl Node {
    /// One op: sets or removes some keys.
    fn run(&mut self, op: u64, rng: &mut Rng, control: DeltaControl) {
        let mut changed = Vec::new();
        for _ in 0..1 + rng.below(2) {
            let key = rng.below(KEYS);
            if rng.percent(40) {
                let was_there = self.keys.remove(&key).is_some();
                if was_there && control == DeltaControl::ForgetsDeletions {
                    continue;
                }
            } else {
                self.keys.insert(key, op);
            }
            changed.push(key);
        }
        self.version += 1;
        self.digest = mix(self.digest.rotate_left(9) ^ op);
        let change = Change { version: self.version, digest: self.digest, keys: changed };
        self.log.insert(self.version % LOG, change);
    }

    /// The keys that changed after a digest, where the log reaches back to it.
    fn changed_since(&self, base: u64) -> Option<(Vec<u64>, Vec<Change>)> {
        let (mut names, mut log) = (BTreeSet::new(), Vec::new());
        for back in 0..LOG.min(self.version + 1) {
            let version = self.version - back;
            let change = self.log.get(&(version % LOG))?;
            if change.version != version {
                return None;
            }
            log.push(change.clone());
            if change.digest == base {
                return Some((names.into_iter().collect(), log));
            }
            names.extend(change.keys.iter().copied());
        }
        None
    }

    fn snapshot(&self, target: usize, since: u64) -> Parcel {
        let changed = self.changed_since(since).filter(|_| since != 0);
        let (base, names, log) = match changed {
            Some((names, log)) => (Some(since), names, log),
            None => (None, self.keys.keys().copied().collect(), self.log.values().cloned().collect()),
        };
        let states = names.into_iter().map(|key| (key, self.keys.get(&key).copied())).collect();
        Parcel { target, base, version: self.version, digest: self.digest, states, log }
    }

    /// What the target and this node have changed since their histories parted, as it is here; none where the log does not reach back,
    /// and none for a longer history, whose log has entries that nothing would replace.
    fn since_parting(
        &self,
        target: usize,
        version: u64,
        digest: u64,
        base: u64,
        theirs: Vec<u64>,
        control: DeltaControl,
    ) -> Option<Parcel> {
        let (mut names, log) = self.changed_since(base)?;
        if version > self.version {
            return None;
        }
        if control != DeltaControl::ForgetsTheTargetsChanges {
            names.extend(theirs);
        }
        let states = names.into_iter().map(|key| (key, self.keys.get(&key).copied())).collect();
        Some(Parcel { target, base: Some(digest), version: self.version, digest: self.digest, states, log })
    }

    /// False: NEEDS_STATE.
    fn settle(&mut self, parcel: &Parcel, control: DeltaControl) -> bool {
        match parcel.base {
            Some(base) if base != self.digest && control != DeltaControl::BaseNotCompared => return false,
            Some(_) => {}
            None => {
                self.keys.clear();
                self.log.clear();
            }
        }
        for (key, value) in &parcel.states {
            match value {
                Some(value) => self.keys.insert(*key, *value),
                None => self.keys.remove(key),
            };
        }
        (self.version, self.digest) = (parcel.version, parcel.digest);
        self.log.extend(parcel.log.iter().map(|change| (change.version % LOG, change.clone())));
        true
    }
}

/// The nodes, what each digest stands for, and the transfers on their way.
struct Deltas {
    nodes: Vec<Node>,
    known: BTreeMap<u64, Keys>,
    steps: Vec<Step>,
    rng: Rng,
    control: DeltaControl,
    taken: u64,
}

/// Runs the schedule of a seed; the deltas that were taken, or what is broken.
pub fn run_deltas(seed: u64, control: DeltaControl) -> Result<u64, String> {
    let (nodes, known) = (vec![Node::default(); 3], BTreeMap::from([(0, Keys::new())]));
    let mut deltas = Deltas { nodes, known, steps: Vec::new(), rng: Rng::new(seed), control, taken: 0 };
    for op in 1..=60 {
        if deltas.rng.percent(35) {
            deltas.op(op)?;
        } else if deltas.rng.percent(40) || deltas.steps.is_empty() {
            deltas.ask();
        } else {
            deltas.step()?;
        }
    }
    Ok(deltas.taken)
}

impl Deltas {
    /// An op reaches some nodes, and each runs it on what it holds; a seed of its own makes it the same op.
    fn op(&mut self, op: u64) -> Result<(), String> {
        let content = self.rng.next();
        for node in &mut self.nodes {
            if self.rng.percent(70) {
                node.run(op, &mut Rng::new(content), self.control);
                check(node, &mut self.known)?;
            }
        }
        Ok(())
    }

    /// Asks a node where it is, and perhaps what it has changed since some digest of its log.
    fn ask(&mut self) {
        let target = self.rng.below(3) as usize;
        let node = &self.nodes[target];
        let (version, digest) = (node.version, node.digest);
        let back = self.rng.below(LOG);
        let base =
            node.log.values().find(|change| change.version + back == version).map(|change| change.digest);
        let parted = base.and_then(|base| Some((base, node.changed_since(base)?.0)));
        let step = match parted.filter(|_| self.rng.percent(60)) {
            Some((base, names)) => Step::Parted { target, version, digest, base, names },
            None => Step::Asked { target, digest },
        };
        self.steps.push(step);
    }

    fn step(&mut self) -> Result<(), String> {
        match self.steps.swap_remove(self.rng.below(self.steps.len() as u64) as usize) {
            Step::Asked { target, digest } => {
                let source = self.rng.below(3) as usize;
                self.steps.push(Step::Fetched(self.nodes[source].snapshot(target, digest)));
                Ok(())
            }
            Step::Parted { target, version, digest, base, names } => {
                let source = self.rng.below(3) as usize;
                let node = &self.nodes[source];
                let parcel = node.since_parting(target, version, digest, base, names, self.control);
                self.steps.extend(parcel.map(Step::Fetched));
                Ok(())
            }
            Step::Fetched(parcel) => {
                let node = &mut self.nodes[parcel.target];
                let is_taken = node.settle(&parcel, self.control);
                self.taken += u64::from(is_taken && parcel.base.is_some());
                check(node, &mut self.known)
            }
        }
    }
}

/// I2: a digest names one set of keys.
fn check(node: &Node, known: &mut BTreeMap<u64, Keys>) -> Result<(), String> {
    let keys = known.entry(node.digest).or_insert_with(|| node.keys.clone());
    if *keys == node.keys {
        return Ok(());
    }
    Err(format!("I2: v{} holds {:?}, and its history gives {keys:?}", node.version, node.keys))
}
