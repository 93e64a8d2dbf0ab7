//! The arguments of `apply`, in the contract's order.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anarchoredis::protocol::{Ballot, CoordinatorId, OpId};

use super::{Bytes, record};

/// Coordinator 1's ballot of this number, one millisecond after the one before, from when the tests started.
pub fn ballot(number: u64) -> Ballot {
    ballot_of(1, number)
}

/// Another coordinator's ballot at the same time.
pub fn ballot_of(coordinator: u64, number: u64) -> Ballot {
    static START_US: OnceLock<u64> = OnceLock::new();
    let start_us = START_US.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        u64::try_from(since.as_millis()).expect("this century") * 1_000
    });
    Ballot::new(start_us + number * 1_000, CoordinatorId(coordinator))
}

/// Coordinator 1's op of this number.
pub fn op(number: u64) -> OpId {
    op_of(1, number)
}

pub fn op_of(coordinator: u64, sequence: u64) -> OpId {
    OpId { coordinator: CoordinatorId(coordinator), sequence }
}

/// The words of a line, as arguments.
pub fn words(line: &str) -> Vec<Bytes> {
    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

/// A call of `apply`; [`Apply::new`] fills in what a test does not care about.
#[derive(Debug, Clone)]
pub struct Apply {
    pub register: Bytes,
    /// None: the word after each command's name, each once.
    pub user_keys: Option<Vec<Bytes>>,
    pub ballot: Ballot,
    pub op: OpId,
    pub flags: String,
    /// A digest, or `*`.
    pub expected: String,
    pub state_limit: usize,
    pub reply_limit: usize,
    pub retry_window_ms: u64,
    pub max_offset_ms: u64,
    pub lowest_expiry_ms: u64,
    pub commands: Vec<Vec<Bytes>>,
}

impl Apply {
    /// Commands with `;` between them.
    pub fn new(register: &str, number: u64, commands: &str) -> Apply {
        Apply::of(register, number, commands.split(';').map(words).collect())
    }

    pub fn of(register: impl AsRef<[u8]>, number: u64, commands: Vec<Vec<Bytes>>) -> Apply {
        Apply {
            register: register.as_ref().to_vec(),
            user_keys: None,
            ballot: ballot(number),
            op: op(number),
            flags: String::new(),
            expected: "*".into(),
            state_limit: 0,
            reply_limit: 10_000,
            retry_window_ms: 60_000,
            max_offset_ms: 10_000,
            lowest_expiry_ms: 0,
            commands,
        }
    }

    pub fn flags(self, flags: impl Into<String>) -> Apply {
        Apply { flags: flags.into(), ..self }
    }

    /// KEYS.
    pub fn keys(&self) -> Vec<Bytes> {
        let mut keys = vec![record(&self.register)];
        let named = self.commands.iter().filter_map(|command| command.get(1).cloned());
        for key in self.user_keys.clone().unwrap_or_else(|| named.collect()) {
            if !keys[1..].contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// ARGV.
    pub fn args(&self, fence: &str, deadline_ms: &str) -> Vec<Bytes> {
        let limits = [self.state_limit, self.reply_limit].map(|limit| limit.to_string());
        let times =
            [self.retry_window_ms, self.max_offset_ms, self.lowest_expiry_ms].map(|ms| ms.to_string());
        let texts = [fence.into(), deadline_ms.into(), self.ballot.to_string(), self.op.to_string()];
        let texts =
            texts.into_iter().chain([self.flags.clone(), self.expected.clone()]).chain(limits).chain(times);
        texts.map(String::into_bytes).chain(self.command_args()).collect()
    }

    /// The number of commands, then each with its number of arguments.
    pub fn command_args(&self) -> Vec<Bytes> {
        let mut args = vec![self.commands.len().to_string().into_bytes()];
        for command in &self.commands {
            args.push(command.len().to_string().into_bytes());
            args.extend(command.iter().cloned());
        }
        args
    }
}
