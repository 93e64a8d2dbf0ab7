//! A random sequence of calls to a few pairs. What they hold makes the next calls: ballots near their promises, histories
//! that they are at or were at, ops that they remember.

use anarchoredis::protocol::{Ballot, CoordinatorId, Digest, OpId, Position, Version};

use crate::Seen;
use crate::alike::{Alike, Difference, Digests};
use crate::history::{Command, DigestOver};
use crate::node::{Apply, Settle};
use crate::pair::{Kept, NOW_US, Pair};
use crate::rng::Rng;
use crate::server_model::Server;

const COORDINATORS: u64 = 3;

pub struct Sequence {
    rng: Rng,
    pairs: Vec<Pair>,
    digests: Digests,
    clock_us: u64,
    ops: Vec<(OpId, Command)>,
    kept: Vec<Kept>,
}

impl Sequence {
    pub fn new(seed: u64, over: DigestOver, server: impl Fn() -> Server) -> Sequence {
        let mut rng = Rng::new(seed);
        let pairs = (0..2 + rng.below(2)).map(|_| Pair::new(over, server())).collect();
        let clock_us = NOW_US - 1_000_000;
        Sequence { rng, pairs, digests: Digests::new(), clock_us, ops: Vec::new(), kept: Vec::new() }
    }

    /// One call, to some of the nodes, to some of them twice.
    pub fn step(&mut self, seen: &mut Seen) -> Alike {
        match self.rng.below(100) {
            0..55 => self.apply(seen),
            55..60 => self.keep(seen),
            60..80 => self.confirm(seen),
            _ => self.settle(seen),
        }
    }

    fn recipients(&mut self) -> Vec<usize> {
        let nodes = self.pairs.len() as u64;
        let mut to = vec![self.rng.below(nodes) as usize];
        while self.rng.percent(55) {
            to.push(self.rng.below(nodes) as usize);
        }
        to
    }

    /// After each call everything that the node holds is compared.
    fn after(&mut self, node: usize, kind: &'static str, seen: &mut Seen) -> Alike {
        *seen.entry(kind).or_default() += 1;
        let held = self.pairs[node].read(&mut self.digests)?;
        *seen.entry(held).or_default() += 1;
        Ok(())
    }

    /// Mostly above all; at times what a node has promised, and at times below.
    fn ballot(&mut self, coordinator: CoordinatorId) -> Ballot {
        let node = self.rng.below(self.pairs.len() as u64) as usize;
        let promised = self.pairs[node].record().map(|record| record.promised);
        match (self.rng.below(10), promised) {
            (0..2, Some(promised)) => Ballot::new(promised.time_us(), coordinator),
            (2, _) => Ballot::new(self.clock_us - self.rng.below(8), coordinator),
            _ => {
                self.clock_us += self.rng.below(3) + 1;
                Ballot::new(self.clock_us, coordinator)
            }
        }
    }

    fn command(&mut self) -> Command {
        let id = self.ops.len() as u32;
        match self.rng.below(100) {
            0..35 => Command::Append(id),
            35..55 => Command::AppendIf { odd: self.rng.percent(50), id },
            55..85 => Command::Pop,
            _ => Command::Read,
        }
    }

    /// A new op, or one of the last again.
    fn op(&mut self) -> (OpId, Command) {
        if !self.ops.is_empty() && self.rng.percent(35) {
            let back = self.rng.below(self.ops.len().min(4) as u64) as usize;
            return self.ops[self.ops.len() - 1 - back];
        }
        let coordinator = CoordinatorId(1 + self.rng.below(COORDINATORS));
        let op = OpId { coordinator, sequence: 1 + self.ops.len() as u64 };
        let command = self.command();
        self.ops.push((op, command));
        (op, command)
    }

    fn apply(&mut self, seen: &mut Seen) -> Alike {
        let (op, command) = self.op();
        let (ballot, keep) = (self.ballot(op.coordinator), self.rng.percent(25));
        let call = Apply { ballot, op, client: op.sequence as usize, command, keep };
        for node in self.recipients() {
            let kind = self.pairs[node].apply(&call, &mut self.digests);
            let kind = kind.map_err(|difference| told(node, &call, difference))?;
            self.after(node, kind, seen).map_err(|difference| told(node, &call, difference))?;
        }
        Ok(())
    }

    /// A snapshot, for a later settle.
    fn keep(&mut self, seen: &mut Seen) -> Alike {
        for node in self.recipients() {
            self.kept.extend(self.pairs[node].snapshot(&mut self.digests)?);
            self.after(node, "SNAPSHOT", seen)?;
        }
        Ok(())
    }

    /// A settle that names the history that a node is at, or none, or one that nobody has.
    fn confirm(&mut self, seen: &mut Seen) -> Alike {
        let node = self.rng.below(self.pairs.len() as u64) as usize;
        let held = self.pairs[node].record().map(|record| record.state.position());
        let position = match self.rng.below(20) {
            0 => Position { version: Version(1), digest: Digest::from_bytes([0xff; 16]) },
            1 => Position::default(),
            _ => held.unwrap_or_default(),
        };
        self.settle_at(position, None, seen)
    }

    /// A settle with the state that a node has, or had.
    fn settle(&mut self, seen: &mut Seen) -> Alike {
        let node = self.rng.below(self.pairs.len() as u64) as usize;
        if self.kept.is_empty() || self.rng.percent(60) {
            self.kept.extend(self.pairs[node].snapshot(&mut self.digests)?);
        }
        let back = self.rng.below(self.kept.len().clamp(1, 4) as u64) as usize;
        let Some(kept) = self.kept.iter().rev().nth(back).cloned() else { return Ok(()) };
        self.settle_at(kept.state.position(), Some(kept), seen)
    }

    fn settle_at(&mut self, position: Position, kept: Option<Kept>, seen: &mut Seen) -> Alike {
        let node = self.rng.below(self.pairs.len() as u64) as usize;
        let promised = self.pairs[node].record().map(|record| record.promised);
        let coordinator = CoordinatorId(1 + self.rng.below(COORDINATORS));
        let exact = promised.filter(|_| self.rng.percent(50));
        let ballot = exact.unwrap_or_else(|| self.ballot(coordinator));
        let call = Settle { ballot, position, state: kept.as_ref().map(|kept| kept.state.clone()) };
        let snapshot = kept.as_ref().map(|kept| &kept.snapshot);
        for node in self.recipients() {
            let kind = self.pairs[node].settle(&call, snapshot, &mut self.digests);
            let kind = kind.map_err(|difference| told(node, &call, difference))?;
            self.after(node, kind, seen).map_err(|difference| told(node, &call, difference))?;
        }
        Ok(())
    }
}

fn told(node: usize, call: &impl std::fmt::Debug, Difference(text): Difference) -> Difference {
    Difference(format!("node {node}, {call:?}\n  {text}"))
}
