//! What a configuration consists of: who asks what, how much may go wrong, and where the register starts.

use anarchoredis::protocol::Rule;

use super::control::Control;
use super::history::{Command, DigestOver};

/// One op of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Append,
    AppendIf { odd: bool },
    Pop,
    Read,
    SlowRead,
    QuorumRead,
}

impl Op {
    pub fn command(self) -> Command {
        match self {
            Self::Append => Command::Append,
            Self::AppendIf { odd } => Command::AppendIf { odd },
            Self::Pop => Command::Pop,
            Self::Read | Self::SlowRead | Self::QuorumRead => Command::Read,
        }
    }
}

/// One coordinator: its ops, how many rounds each may take, and its clock's time when it starts.
#[derive(Debug, Clone)]
pub struct Script {
    pub ops: Vec<Op>,
    pub rounds: usize,
    pub at: u64,
}

/// What the nodes hold at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    #[default]
    Absent,
    /// One op, settled on every node.
    Settled,
}

#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub nodes: usize,
    pub scripts: Vec<Script>,
    /// The clock's time when another round begins: each of these is tried. 0 is "just above what was seen".
    pub nows: Vec<u64>,
    pub start: Start,
    /// Whether a call may turn out never to have left.
    pub not_sent: bool,
    /// Whether the transport delivers calls twice, where it may.
    pub repeats: bool,
    pub control: Control,
    pub digest_over: DigestOver,
    /// The rules that must decide somewhere.
    pub reaches: Vec<Rule>,
}

/// A coordinator with one round for each op.
pub fn once(at: u64, ops: &[Op]) -> Script {
    Script { ops: ops.to_vec(), rounds: 1, at }
}

/// A coordinator that retries.
pub fn retrying(rounds: usize, at: u64, ops: &[Op]) -> Script {
    Script { rounds, ..once(at, ops) }
}

impl Setup {
    pub fn of(nodes: usize, scripts: &[Script]) -> Self {
        Self { nodes, scripts: scripts.to_vec(), nows: vec![0], ..Self::default() }
    }
}
