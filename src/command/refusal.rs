//! Why a command is not run. Nothing has been sent when one of these is returned.

use super::key::shown;
use super::scopes::Scopes;
use redis::{RedisError, Value};

/// A command that was refused before anything was sent: no node has seen it.
///
/// The text is what a Redis client would have got from a server, code word first, in Redis' own words where it has them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There was no command name.
    #[error("ERR empty command")]
    Empty,
    /// No node knows the command.
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    UnknownCommand {
        /// As the caller wrote it, at most 128 bytes.
        name: String,
        /// The first arguments, quoted, about 128 bytes of them.
        args: String,
    },
    /// No node knows this subcommand.
    #[error("ERR unknown subcommand '{subcommand}'. Try {command} HELP.")]
    UnknownSubcommand {
        /// Upper case.
        command: String,
        /// As the caller wrote it, at most 128 bytes.
        subcommand: String,
    },
    /// Too few or too many arguments.
    #[error("ERR wrong number of arguments for '{name}' command")]
    Arity {
        /// Lower case; a subcommand as `object|encoding`.
        name: String,
    },
    /// The arguments are wrong, in the words in which Redis says so.
    #[error("ERR {0}")]
    Invalid(String),
    /// Some nodes know the command, others are too old for it.
    #[error("ERR '{name}' is not known to every node of this cluster: upgrade the older nodes to use it")]
    NotOnEveryNode {
        /// Lower case.
        name: String,
    },
    /// We do not run this command.
    #[error("ERR '{name}' is refused: {reason}")]
    Unsupported {
        /// Lower case.
        name: String,
        /// What a user can make of it.
        reason: String,
    },
    /// One command on keys of two registers.
    #[error(
        "CROSSSLOT '{name}' works on '{first}' and '{second}', which are in different registers: keys of one command must \
         share {rule}, as in {example}"
    )]
    CrossRegister {
        /// Lower case.
        name: String,
        /// The first key.
        first: String,
        /// The first key that is elsewhere.
        second: String,
        /// What the keys of one command have in common.
        rule: &'static str,
        /// The spelling that would work.
        example: String,
    },
    /// A script's SHA-1 that this client has not seen.
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    /// A command of a transaction could not be queued, so none was run.
    #[error("EXECABORT Transaction discarded because of{}", because(.of.as_deref()))]
    Aborted {
        /// What was wrong, where the caller has not been told yet.
        of: Option<Box<Refusal>>,
    },
    /// The key belongs to the protocol.
    #[error(
        "ERR the key '{key}' is refused: keys that start with 'anrcho_' hold the records that keep the nodes equal"
    )]
    ReservedKey {
        /// As the caller wrote it.
        key: String,
    },
    /// More arguments than a script can pass on, of a command that cannot be divided.
    #[error(
        "ERR '{name}' has {count} arguments: at most {limit} can be run as one, and this command cannot be divided"
    )]
    TooManyArguments {
        /// Lower case.
        name: String,
        /// How many, with the name.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl Refusal {
    pub(super) fn invalid(words: impl Into<String>) -> Self {
        Self::Invalid(words.into())
    }

    pub(super) fn syntax() -> Self {
        Self::invalid("syntax error")
    }

    pub(super) fn not_an_integer() -> Self {
        Self::invalid("value is not an integer or out of range")
    }

    pub(super) fn unsupported(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { name: name.into(), reason: reason.into() }
    }

    pub(super) fn cross_register(scopes: &Scopes, name: &str, first: &[u8], second: &[u8]) -> Self {
        Self::CrossRegister {
            name: name.to_owned(),
            first: shown(first),
            second: shown(second),
            rule: rule(scopes),
            example: spelling(scopes, first, second),
        }
    }
}

/// In Redis' own words.
fn because(of: Option<&Refusal>) -> String {
    match of.map(Refusal::to_string) {
        None => " previous errors.".to_owned(),
        Some(text) => format!(": {}", text.strip_prefix("ERR ").unwrap_or(&text)),
    }
}

impl Refusal {
    /// The error reply that a server would have sent, so that code and kind say what they say for Redis.
    pub fn into_reply(self) -> Value {
        // As servers do: line ends at the end are left out, others become spaces.
        let text = self.to_string();
        let line = text.trim_end_matches(['\r', '\n']).replace(['\r', '\n'], " ");
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap_or(Value::SimpleString(line))
    }
}

impl From<Refusal> for RedisError {
    fn from(refusal: Refusal) -> Self {
        match refusal.into_reply() {
            Value::ServerError(error) => error.into(),
            other => redis::make_extension_error("ERR".to_owned(), Some(format!("{other:?}"))),
        }
    }
}

fn rule(scopes: &Scopes) -> &'static str {
    if scopes.is_empty() {
        "the text in their first braces (hash tag)"
    } else {
        "a scope of the cluster, or the text in their first braces (hash tag)"
    }
}

/// The nearest spelling of the two keys that shares a register: one takes the other's scope, or the second one the first one's tag.
fn spelling(scopes: &Scopes, first: &[u8], second: &[u8]) -> String {
    let within = |scope: &[u8], key: &[u8]| [scope, key].concat();
    let tag = [b"{", scopes.id_of(first), b"}"].concat();
    let candidates = [
        scopes.scope_of(first).map(|scope| (first.to_vec(), within(scope, second))),
        scopes.scope_of(second).map(|scope| (within(scope, first), second.to_vec())),
        Some((first.to_vec(), within(&tag, second))),
        Some((b"{tag}a".to_vec(), b"{tag}b".to_vec())),
    ];
    let works =
        |(one, other): &(Vec<u8>, Vec<u8>)| scopes.share(one, other) && one.len() <= 64 && other.len() <= 64;
    let (one, other) = candidates.into_iter().flatten().find(works).unwrap_or_default();
    format!("'{}' and '{}'", shown(&one), shown(&other))
}

/// The reply to `COMMAND` was not the table that Redis documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not a list.
    #[error("the reply to COMMAND is not a list: is this a Redis or Valkey server?")]
    NotAList,
    /// An entry does not have the six fields that it has since Redis 2.8.13.
    #[error(
        "entry {index} of the reply to COMMAND has not the form name, arity, flags, first key, last key, step"
    )]
    BadEntry {
        /// Its place in the list.
        index: usize,
    },
}
