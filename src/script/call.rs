//! The scripts' arguments as types. A call is encoded once for each node, because fence and deadline are the node's own.

use super::{KeyState, Name, script};
use crate::protocol::{Ballot, Digest, OpId, Position};
use redis::Cmd;

/// What makes a call valid at one node: the admission that it names, and until when, in the node's clock.
#[derive(Clone, Debug)]
pub struct Ticket<'a> {
    /// The fence token of the node's present admission.
    pub fence: &'a str,
    /// Milliseconds since 1970 in the node's clock, after which the call must not run.
    pub deadline_ms: u64,
}

/// Starts an `EVALSHA` with its keys and the ticket.
pub(super) fn evalsha(name: Name, ticket: &Ticket<'_>, record: &[u8], keys: &[Vec<u8>], room: usize) -> Cmd {
    let script = script(name);
    let key_bytes: usize = keys.iter().map(|key| key.len() + 8).sum();
    let mut cmd =
        Cmd::with_capacity(keys.len() + 20, script.sha.len() + record.len() + key_bytes + room + 256);
    cmd.arg("EVALSHA").arg(&script.sha).arg(keys.len() + 1).arg(record);
    for key in keys {
        cmd.arg(key.as_slice());
    }
    cmd.arg(ticket.fence).arg(ticket.deadline_ms);
    cmd
}

/// Starts an `EVALSHA` over any number of records, with the ticket and what is asked for.
pub(super) fn evalsha_of(name: Name, ticket: &Ticket<'_>, records: &[Vec<u8>], what: &str) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script(name).sha).arg(records.len());
    for record in records {
        cmd.arg(record.as_slice());
    }
    cmd.arg(ticket.fence).arg(ticket.deadline_ms).arg(what);
    cmd
}

fn append_commands(cmd: &mut Cmd, commands: &[Vec<Vec<u8>>]) {
    cmd.arg(commands.len());
    for command in commands {
        cmd.arg(command.len());
        for arg in command {
            cmd.arg(arg.as_slice());
        }
    }
}

fn bytes_of(commands: &[Vec<Vec<u8>>]) -> usize {
    commands.iter().flatten().map(|arg| arg.len() + 16).sum()
}

/// The flags of an apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Store the promise of a register that is absent and stays so.
    pub keep: bool,
    /// The commands read only: promise, and change nothing else (the slow read).
    pub read_only: bool,
    /// Make the replies part of the digest, for commands that nodes might compute differently (floats).
    pub hash_replies: bool,
    /// Tell those who wait for the register to grow.
    pub wake: bool,
    /// Stream commands take their time from the op, and deliver entries at this time, in ms since 1970. It should be past on every
    /// node's clock: on a node where it is not, the op makes another history.
    pub delivery_ms: Option<u64>,
}

impl Flags {
    pub(super) fn text(self) -> String {
        let mut text = String::new();
        for (set, letter) in
            [(self.keep, 'k'), (self.read_only, 'r'), (self.hash_replies, 'h'), (self.wake, 'w')]
        {
            if set {
                text.push(letter);
            }
        }
        if let Some(delivery_ms) = self.delivery_ms {
            text.push_str(&format!("t{delivery_ms}"));
        }
        text
    }
}

/// `apply`: promise a ballot and run one op.
#[derive(Clone, Debug)]
pub struct ApplyCall<'a> {
    /// The register's record.
    pub record: &'a [u8],
    /// Every key that the commands name, each once.
    pub keys: &'a [Vec<u8>],
    /// The ballot to promise; its time is the op's time.
    pub ballot: Ballot,
    /// The op's id, the same in every retry.
    pub op: OpId,
    /// See [`Flags`].
    pub flags: Flags,
    /// The digest that the op holds at; none for any.
    pub expected: Option<Digest>,
    /// From when on it holds no more, in milliseconds, where it expects a digest; none for never.
    pub holds_until_ms: Option<u64>,
    /// Largest state that comes back inline, in bytes; 0 for none.
    pub state_limit: usize,
    /// Largest reply that is remembered for a retry, in bytes.
    pub reply_limit: usize,
    /// How long replies are remembered, in milliseconds.
    pub retry_window_ms: u64,
    /// How far the ballot may be ahead of the node's clock, in milliseconds.
    pub max_clock_offset_ms: u64,
    /// The lowest absolute expiry that the commands set, in milliseconds; 0 for none.
    pub lowest_expiry_ms: u64,
    /// The commands, each with its arguments.
    pub commands: &'a [Vec<Vec<u8>>],
}

impl ApplyCall<'_> {
    /// The `EVALSHA` for one node.
    pub fn encode(&self, ticket: &Ticket<'_>) -> Cmd {
        let mut cmd = evalsha(Name::Apply, ticket, self.record, self.keys, bytes_of(self.commands));
        cmd.arg(self.ballot.to_string()).arg(self.op.to_string()).arg(self.flags.text());
        cmd.arg(self.expectation());
        cmd.arg(self.state_limit).arg(self.reply_limit).arg(self.retry_window_ms);
        cmd.arg(self.max_clock_offset_ms).arg(self.lowest_expiry_ms);
        append_commands(&mut cmd, self.commands);
        cmd
    }

    /// The digest that the op holds at, and until when.
    pub(super) fn expectation(&self) -> String {
        match (self.expected, self.holds_until_ms) {
            (Some(digest), Some(until_ms)) => format!("{digest}<{until_ms}"),
            (Some(digest), None) => digest.to_string(),
            (None, _) => "*".into(),
        }
    }
}

/// `read`: run read-only commands.
#[derive(Clone, Debug)]
pub struct ReadCall<'a> {
    /// The register's record.
    pub record: &'a [u8],
    /// Every key that the commands name, each once.
    pub keys: &'a [Vec<u8>],
    /// The time that the read is at, in milliseconds.
    pub at_ms: u64,
    /// The commands, each with its arguments.
    pub commands: &'a [Vec<Vec<u8>>],
}

impl ReadCall<'_> {
    /// The `EVALSHA` for one node.
    pub fn encode(&self, ticket: &Ticket<'_>) -> Cmd {
        let mut cmd = evalsha(Name::Read, ticket, self.record, self.keys, bytes_of(self.commands));
        cmd.arg(self.at_ms);
        append_commands(&mut cmd, self.commands);
        cmd
    }
}

/// What a settle brings along.
#[derive(Clone, Debug)]
pub enum SettleMode<'a> {
    /// Nothing: the node has this history already.
    Confirm,
    /// The whole register.
    Full(&'a super::Snapshot),
    /// What changed since the digest that the node is at.
    Delta(&'a super::Snapshot, Digest),
    /// Nothing: the node forgets its history, and only a delta from this token ends that.
    Reset {
        /// Names the fill that begins.
        token: Digest,
        /// The fill that was given up for it; empty for none.
        replaced: Digest,
    },
    /// Some keys, for a node that was reset with this token.
    Fill(&'a [KeyState], Digest),
}

/// `settle`: accept a history under a ballot.
#[derive(Clone, Debug)]
pub struct SettleCall<'a> {
    /// The register's record.
    pub record: &'a [u8],
    /// The ballot under which it is accepted.
    pub ballot: Ballot,
    /// The history's length and digest.
    pub position: Position,
    /// Its state, where the node needs it.
    pub mode: SettleMode<'a>,
    /// Remember on the node that another node missed this settle.
    pub dirty: bool,
}

impl SettleCall<'_> {
    /// The `EVALSHA` for one node.
    pub fn encode(&self, ticket: &Ticket<'_>) -> Cmd {
        let (mode, base, snapshot) = match self.mode {
            SettleMode::Confirm => ("confirm", Digest::EMPTY, None),
            SettleMode::Full(snapshot) => ("full", Digest::EMPTY, Some(snapshot)),
            SettleMode::Delta(snapshot, base) => ("delta", base, Some(snapshot)),
            SettleMode::Reset { token, .. } => ("reset", token, None),
            SettleMode::Fill(_, token) => ("fill", token, None),
        };
        let room = snapshot.map_or(0, super::Snapshot::bytes);
        let mut cmd = evalsha(Name::Settle, ticket, self.record, &[], room);
        cmd.arg(self.ballot.to_string()).arg(self.position.version.0).arg(self.position.digest.to_string());
        cmd.arg(mode).arg(base.to_string());
        match self.mode {
            SettleMode::Reset { replaced, .. } => cmd.arg(replaced.to_string()),
            _ => cmd.arg(snapshot.map_or(&[][..], |snapshot| &snapshot.ops)),
        };
        cmd.arg(if self.dirty { "1" } else { "0" });
        if let Some(snapshot) = snapshot {
            cmd.arg(if snapshot.multi { "1" } else { "0" });
            append_log(&mut cmd, &snapshot.log);
            append_states(&mut cmd, &snapshot.states);
        }
        if let SettleMode::Fill(states, _) = self.mode {
            cmd.arg("0");
            append_log(&mut cmd, &[]);
            append_states(&mut cmd, states);
        }
        cmd
    }
}

fn append_log(cmd: &mut Cmd, log: &[Vec<u8>]) {
    cmd.arg(log.len());
    for entry in log {
        cmd.arg(entry.as_slice());
    }
}

fn append_states(cmd: &mut Cmd, states: &[KeyState]) {
    cmd.arg(states.len());
    for KeyState { key, form, expiry_ms, elements } in states {
        cmd.arg(key.as_slice()).arg(form.as_str()).arg(*expiry_ms).arg(elements.len());
        for element in elements {
            cmd.arg(element.as_slice());
        }
    }
}
