//! What a caller wants done on one register, and what it gets back.

use crate::command::{Access, Call, Register, lowest_expiry};
use crate::protocol::{Digest, NodeIndex, Position};
use crate::script::{Form, KeyState};
use redis::Value;

/// Commands to run as one on one register.
#[derive(Clone, Debug)]
pub struct Work {
    /// The register.
    pub register: Register,
    /// Whether the commands may change it.
    pub access: Access,
    /// Every key that they name, each once.
    pub keys: Vec<Vec<u8>>,
    /// The commands, deterministic.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// The lowest absolute expiry that they set, in ms; 0 for none.
    pub lowest_expiry_ms: u64,
    /// Whether their replies belong to the history.
    pub hash_replies: bool,
    /// The replies' order or bytes are each node's own.
    pub unordered: bool,
    /// Stream commands among them take their time from the op.
    pub timed: bool,
    /// They may make the register grow, for which others wait.
    pub wakes: bool,
    /// Of use only while somebody waits for it: not begun once nobody does.
    pub while_awaited: bool,
    /// The digest that they hold at; none for any.
    pub expected: Option<Digest>,
    /// From when on they hold no more, in ms since 1970, where a digest is expected; none for never.
    pub holds_until_ms: Option<u64>,
    /// Largest state that comes back with the reply, in bytes; 0 for none.
    pub state_limit: usize,
    /// The position that comes back must be the one at which the replies were given, so it shares no round: those of a batch have
    /// the position behind the last of them.
    pub pinned: bool,
    /// Where this node is at the history that was decided, the replies are to be its own.
    pub prefer: Option<NodeIndex>,
    /// Answer after the first acknowledgement ([`Consistency::One`](crate::Consistency::One)); the rounds go on.
    pub early: bool,
}

impl Work {
    /// A planned call, to run at any digest.
    pub fn new(access: Access, call: Call) -> Work {
        Work {
            register: call.register,
            access,
            keys: call.keys,
            commands: call.commands,
            lowest_expiry_ms: call.lowest_expiry_ms,
            hash_replies: call.hash_replies,
            unordered: call.unordered,
            timed: call.timed,
            wakes: call.wakes,
            while_awaited: false,
            expected: None,
            holds_until_ms: None,
            state_limit: 0,
            pinned: false,
            prefer: None,
            early: false,
        }
    }

    /// No commands at all: only finds out, and repairs, what the register is.
    pub fn nothing(register: Register) -> Work {
        Work {
            register,
            access: Access::Read,
            keys: Vec::new(),
            commands: Vec::new(),
            lowest_expiry_ms: 0,
            hash_replies: false,
            unordered: true,
            timed: false,
            wakes: false,
            while_awaited: false,
            expected: None,
            holds_until_ms: None,
            state_limit: 0,
            pinned: false,
            prefer: None,
            early: false,
        }
    }

    /// Whether the register has, or will have, keys beside the one that it is named for: then nodes keep a log of it.
    pub(super) fn is_of_several_keys(&self) -> bool {
        self.keys.iter().any(|key| key != self.register.id())
    }

    /// Whether it may share a round with others.
    pub(super) fn shares(&self) -> bool {
        // Nodes check one expiry an op against their clocks before anything runs.
        let sets_expiry = self.lowest_expiry_ms > 0;
        let alone = self.pinned || self.early || self.state_limit > 0;
        self.expected.is_none() && !alone && !sets_expiry
    }

    /// Takes another one's commands behind its own.
    pub(super) fn absorb(&mut self, other: &Work) {
        for key in &other.keys {
            if !self.keys.contains(key) {
                self.keys.push(key.clone());
            }
        }
        self.commands.extend(other.commands.iter().cloned());
        self.hash_replies |= other.hash_replies;
        self.unordered |= other.unordered;
        self.timed |= other.timed;
        self.wakes |= other.wakes;
        self.lowest_expiry_ms = lowest_expiry(self.lowest_expiry_ms, other.lowest_expiry_ms);
        if other.access == Access::Write {
            self.access = Access::Write;
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Done {
    /// One reply for each command; a command's error is its reply.
    pub replies: Vec<Value>,
    /// The register's history after it; none where the register does not exist.
    pub position: Option<Position>,
    /// Whose replies they are, where that is known.
    pub source: Option<NodeIndex>,
    /// The keys after it, where the caller's limit allowed.
    pub states: Vec<KeyState>,
}

/// Whether a state is all there, rather than a pointer to it.
pub(super) fn is_inline(state: &KeyState) -> bool {
    !matches!(state.form, Form::Large | Form::Later | Form::Staged)
}
