//! One node of a sweep, and how it is asked: until it answers, and only as long as it is the same server.

use super::Pass;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{CallError, Encode, Node, RemoteNode};
use crate::script::Malformed;
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a page may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses after calls that got no answer. A sweep goes on at its cursor.
const PAUSES_MS: [u64; 5] = [20, 100, 400, 1_000, 2_000];

/// One node of a sweep.
pub(super) struct Side {
    pub(super) place: usize,
    pub(super) node: Arc<RemoteNode>,
    /// It is being filled.
    pub(super) joining: bool,
    /// A server that starts anew numbers its keys anew: no cursor holds from one run to the next.
    pub(super) run_id: Arc<str>,
    pub(super) keys: u64,
}

impl Pass {
    /// Asks a node until it answers, or for too long: nothing is concluded from silence.
    pub(super) async fn ask_patiently<T>(
        &self,
        side: &Side,
        encode: Encode<'_>,
        parse: impl Fn(Value) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let mut reason = String::new();
        for pause_ms in PAUSES_MS {
            if self.is_stopped() {
                return Err(side.silent("the healer was told to stop".into()));
            }
            reason = match side.ask_once(encode, &parse).await? {
                Ok(parsed) => return Ok(parsed),
                Err(reason) => reason,
            };
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        Err(side.silent(reason))
    }
}

impl Side {
    async fn ask_once<T>(
        &self,
        encode: Encode<'_>,
        parse: &impl Fn(Value) -> Result<T, Malformed>,
    ) -> Result<Result<T, String>, Error> {
        let reply = self.node.send(encode, PATIENCE).await;
        // The call went to one of them; it does not matter to which, where both are the same.
        if self.node.session().is_some_and(|session| session.run_id != self.run_id) {
            return Err(self.silent("it restarted while it was swept".into()));
        }
        Ok(match reply.map(parse) {
            Ok(Ok(parsed)) => Ok(parsed),
            Ok(Err(malformed)) => {
                self.node.fenced();
                Err(malformed.to_string())
            }
            Err(error) => Err(CallError::to_string(&error)),
        })
    }

    fn silent(&self, reason: String) -> Error {
        let failure = NodeFailure { node: self.node.name().to_owned(), reason };
        Error::NotApplied {
            why: "a node stopped answering, so the sweep is unfinished",
            failures: Failures(vec![failure]),
        }
    }
}

/// DBSIZE; 0 where it does not say.
pub(super) async fn keys_on(node: &Arc<RemoteNode>) -> u64 {
    match node.send(&|_| redis::cmd("DBSIZE"), PATIENCE).await {
        Ok(Value::Int(keys)) => u64::try_from(keys).unwrap_or(0),
        _ => 0,
    }
}
