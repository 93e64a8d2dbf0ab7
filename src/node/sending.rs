//! Calls over a node's connection, and what their fate says of the node.

use super::error::{CallError, Refusal};
use super::remote::{RemoteNode, State};
use super::session::{Session, call_error, load_scripts};
use super::{Calling, Encode};
use crate::script::{NativeRead, Ticket};
use redis::{Cmd, ServerErrorKind, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

impl RemoteNode {
    fn ticket<'s>(&self, session: &'s Session, time_left: Duration) -> Ticket<'s> {
        Ticket { fence: &session.fence, deadline_ms: session.deadline_ms(self.now_us(), time_left) }
    }

    /// The connection of this session broke: no call goes there until the supervisor has a new one.
    fn broken(&self, session: &Session, why: &str) {
        let same = self.session().is_some_and(|now| now.number == session.number);
        if same {
            self.set(State::Away(Refusal::Unreachable(why.to_owned())));
            self.wake.notify_one();
        }
    }

    pub(super) fn send_over(
        self: &Arc<Self>,
        session: Arc<Session>,
        encode: Encode<'_>,
        time_left: Duration,
    ) -> Calling {
        let cmd = encode(&self.ticket(&session, time_left));
        let node = Arc::clone(self);
        Calling::alone(async move { node.call(&session, &cmd).await })
    }

    pub(super) async fn call(&self, session: &Session, cmd: &Cmd) -> Result<Value, CallError> {
        let began = Instant::now();
        let connection = &session.connection;
        let mut reply = connection.send(cmd).await;
        if is_noscript(&reply) {
            // The node's cache was emptied (SCRIPT FLUSH). Nothing ran; the same call, under the same ballot, goes again, and
            // whatever overtook it meanwhile has promised a higher one.
            load_scripts(connection).await.map_err(|refusal| CallError::NotSent(refusal.to_string()))?;
            reply = connection.send(cmd).await;
        }
        self.note(session, began, reply)
    }

    /// A read that travels alone, whatever else is under way.
    pub(super) fn read_over(
        self: &Arc<Self>,
        session: Arc<Session>,
        read: NativeRead,
        encode: Encode<'_>,
        time_left: Duration,
    ) -> Calling {
        let script = encode(&self.ticket(&session, time_left));
        let node = Arc::clone(self);
        Calling::alone(async move {
            match node.read(&session, &read).await? {
                Some(answer) => Ok(answer),
                None => node.call(&session, &script).await,
            }
        })
    }

    /// A read as a transaction; none where the server would not run it, as for a user who may not: the script says why.
    pub(super) async fn read(
        &self,
        session: &Session,
        read: &NativeRead,
    ) -> Result<Option<Value>, CallError> {
        let began = Instant::now();
        let replies = session.connection.pipeline(&read.pipeline).await;
        let replies = self.note(session, began, replies)?;
        if matches!(replies.first(), Some(Value::ServerError(_))) {
            session.native_reads.store(false, Ordering::Relaxed);
            tracing::debug!(node = %self.name, "runs no transactions: reads go through the script");
        }
        read.answer(&session.fence, replies).map_err(|malformed| CallError::Unknown(malformed.to_string()))
    }

    fn note<T>(
        &self,
        session: &Session,
        began: Instant,
        reply: redis::RedisResult<T>,
    ) -> Result<T, CallError> {
        match reply {
            Ok(value) => {
                self.latency.record(began.elapsed());
                self.answered_probe();
                Ok(value)
            }
            Err(error) => {
                if error.is_connection_dropped() || error.is_unrecoverable_error() {
                    self.broken(session, &error.to_string());
                }
                Err(call_error(&error))
            }
        }
    }
}

fn is_noscript(reply: &redis::RedisResult<Value>) -> bool {
    matches!(reply, Ok(Value::ServerError(error)) if error.kind() == Some(ServerErrorKind::NoScript))
}
