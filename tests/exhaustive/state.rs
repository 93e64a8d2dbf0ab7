//! One state of the whole system, in a form in which equal situations are equal values.
//!
//! All that concerns one node lies together (its record, and what is between it and each coordinator), so that
//! sorting these sites forgets which node is which: the rules treat all alike. Calls that can change nothing any more
//! are forgotten too.

use std::hash::{DefaultHasher, Hash, Hasher};

use anarchoredis::protocol::{ApplyAnswer, Ballot, BallotClock, CoordinatorId, ReadAnswer, SettleAnswer};

use super::ledger::Ledger;
use super::node::{Apply, Node, Seen, Settle};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub sites: Vec<Site>,
    pub coordinators: Vec<Coordinator>,
    pub ledger: Ledger,
    /// A node has restarted with nothing (a control only).
    pub restarted: bool,
}

/// A node, and its side of every coordinator's round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    pub node: Node,
    pub links: Vec<Link>,
}

/// What is between one coordinator and one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Link {
    pub call: Call,
    pub heard: Heard,
    pub settle: SettleCall,
    /// Calls on their way whose answers nobody waits for: of rounds that are over, and repairs.
    pub late: Vec<Late>,
}

/// The apply or read of the current round. An answer stays here until its round is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Call {
    #[default]
    None,
    Sent,
    NotSent,
    Apply(ApplyAnswer<Seen>),
    Read(ReadAnswer<Seen>),
}

/// What a round that settles knows of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Heard {
    #[default]
    Nothing,
    Silence,
    Answer,
}

/// The settle of the current round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum SettleCall {
    #[default]
    None,
    Sent(Settle),
    Answered(SettleAnswer),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Late {
    Apply(Apply),
    Settle(Settle),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinator {
    pub clock: BallotClock,
    /// Which op of its script.
    pub op: usize,
    /// How many rounds of it have begun.
    pub rounds: usize,
    pub keep: bool,
    pub may_have_run: bool,
    /// How many ops were committed when it began.
    pub since: usize,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The client has not sent its op yet.
    Idle,
    Reading,
    Applying(Ballot),
    Settling {
        ballot: Ballot,
        hedged: bool,
    },
    Done,
}

impl Coordinator {
    pub fn new(index: usize, op: usize, stage: Stage) -> Self {
        let clock = BallotClock::new(CoordinatorId(index as u64 + 1));
        Self { clock, op, rounds: 0, keep: false, may_have_run: false, since: 0, stage }
    }

    pub fn ballot(&self) -> Option<Ballot> {
        match self.stage {
            Stage::Applying(ballot) | Stage::Settling { ballot, .. } => Some(ballot),
            Stage::Idle | Stage::Reading | Stage::Done => None,
        }
    }
}

impl State {
    /// The same situation, in the one form that stands for all of its kind.
    pub fn canonical(mut self) -> Self {
        for site in &mut self.sites {
            let Site { node, links } = site;
            for link in links {
                link.late.retain(|call| can_change(node, call));
                forget_confirmations(&mut link.late);
                link.late.sort_by_cached_key(hash);
                link.late.dedup();
            }
        }
        self.sites.sort_by_cached_key(hash);
        self
    }
}

/// Whether a call may yet do something at this node. One below the node's promise never will; nor will a settle
/// that the node has taken.
fn can_change(node: &Node, call: &Late) -> bool {
    let Some(record) = &node.0 else { return true };
    match call {
        Late::Apply(apply) => apply.ballot > record.promised,
        Late::Settle(settle) => {
            let is_taken = record.promised == settle.ballot && record.accepted == Some(settle.ballot);
            settle.ballot >= record.promised && !(is_taken && record.history == settle.history)
        }
    }
}

/// A confirmation does what the same settle with its state does, or nothing.
fn forget_confirmations(late: &mut Vec<Late>) {
    let with_state = |call: &Late| match call {
        Late::Settle(settle) if !settle.with_state => {
            Late::Settle(Settle { with_state: true, ..settle.clone() })
        }
        other => other.clone(),
    };
    let all = late.clone();
    late.retain(|call| with_state(call) == *call || !all.contains(&with_state(call)));
}

pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
