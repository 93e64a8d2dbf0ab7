//! Errors that say which nodes, what happened to the data, and what to do.

pub use crate::node::{Failures, NodeFailure};

use redis::{ErrorKind, RedisError, ServerError};

/// What happened to the data of an operation that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed, and nothing will.
    NotApplied,
    /// It may have been applied, or may yet become visible.
    Indeterminate,
    /// It was applied; only its reply is lost.
    Applied,
}

/// Why an operation did not answer with a reply.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command itself failed, as Redis would say it. Nothing changed.
    #[error("{0}")]
    Command(ServerError),
    /// The command was not sent: it is unknown, unsupported, malformed or names keys of several registers. Nothing changed.
    #[error("{0}")]
    Refused(#[from] crate::command::Refusal),
    /// Fewer than a majority of the nodes could be asked. Nothing changed.
    #[error(
        "no quorum: {reached} of the {needed} nodes that are needed answered, nothing was applied ({failures}); it is safe to try again"
    )]
    NoQuorum {
        /// A majority.
        needed: usize,
        /// How many answered.
        reached: usize,
        /// The others.
        failures: Failures,
    },
    /// Gave up before any node can have run it. Nothing changed.
    #[error("not applied: {why} ({failures}); it is safe to try again")]
    NotApplied {
        /// Why it gave up.
        why: &'static str,
        /// The nodes that did not help.
        failures: Failures,
    },
    /// Gave up after some node may have run it.
    #[error(
        "indeterminate: the outcome is not known ({failures}); it may become visible later; read the key before you decide whether to try again"
    )]
    Indeterminate {
        /// The nodes that did not help.
        failures: Failures,
    },
    /// A message that fewer nodes carry than are needed for every subscriber to hear it. It is not sent again by itself.
    #[error(
        "{carried} of the {needed} nodes that are needed carry the message for certain ({failures}); some subscribers may hear it, others not; publish it again where hearing it twice is better than not at all"
    )]
    HalfPublished {
        /// A majority.
        needed: usize,
        /// How many said that they carry it; others may.
        carried: usize,
        /// The nodes that did not.
        failures: Failures,
    },
    /// Applied, but the reply was too long to be remembered until the retry that learnt of it.
    #[error(
        "applied, but its reply is lost: the first answer did not arrive, and the reply was too long to be remembered for the retry"
    )]
    ReplyLost,
    /// The register was at another version than the operation holds at. Nothing changed.
    #[error("not applied: the key is at another version than the expected one; read it again")]
    VersionMismatch,
    /// The nodes cannot be used together as they are.
    #[error("cannot connect: {0}")]
    Connect(#[from] crate::node::ConnectError),
    /// The client is shutting down. Nothing changed.
    #[error("not applied: the client is closed")]
    Closed,
}

impl Error {
    /// What happened to the data.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Indeterminate { .. } | Error::HalfPublished { .. } => Outcome::Indeterminate,
            Error::ReplyLost => Outcome::Applied,
            _ => Outcome::NotApplied,
        }
    }

    /// Whether the same operation may succeed later, and cannot take effect twice if it is tried again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::NoQuorum { .. } | Error::NotApplied { .. })
    }

    /// The code that a `redis::RedisError` made from this error carries.
    fn code(&self) -> &'static str {
        match self {
            Error::NoQuorum { .. } => "NOQUORUM",
            Error::NotApplied { .. } | Error::Closed => "NOTAPPLIED",
            Error::Indeterminate { .. } | Error::HalfPublished { .. } => "INDETERMINATE",
            Error::ReplyLost => "REPLYLOST",
            Error::VersionMismatch => "VERSIONMISMATCH",
            _ => "ERR",
        }
    }
}

impl From<Error> for RedisError {
    /// Keeps the outcome: [`outcome_of`] reads it back from the error's code.
    fn from(error: Error) -> RedisError {
        match error {
            Error::Command(server) => server.into(),
            Error::Refused(refusal) => refusal.into(),
            Error::Connect(connect) => RedisError::from((
                ErrorKind::InvalidClientConfig,
                "anarchoredis cannot connect",
                connect.to_string(),
            )),
            other => redis::make_extension_error(other.code().into(), Some(other.to_string())),
        }
    }
}

/// What happened to the data of an operation that `redis::AsyncCommands` failed; `None` where the error is not one of ours.
///
/// ```
/// use anarchoredis::{Error, Outcome, outcome_of};
/// let error: redis::RedisError = Error::ReplyLost.into();
/// assert_eq!(outcome_of(&error), Some(Outcome::Applied));
/// ```
pub fn outcome_of(error: &RedisError) -> Option<Outcome> {
    match error.code()? {
        "NOQUORUM" | "NOTAPPLIED" | "VERSIONMISMATCH" => Some(Outcome::NotApplied),
        "INDETERMINATE" => Some(Outcome::Indeterminate),
        "REPLYLOST" => Some(Outcome::Applied),
        _ => None,
    }
}
