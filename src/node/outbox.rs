//! Calls on their way to one node: what comes while others are under way waits for an answer, and then travels together.
//!
//! ```text
//!   an op ── nothing under way ─▶ a bunch of one ─▶ node
//!   a read ─ nothing under way ─▶ a transaction ──▶ node
//!   any ──── else ─▶ outbox ── an answer came ─▶ one bunch ─▶ node
//! ```
//!
//! So one call alone is as fast as it can be, and many cost the node and the connection little more than one.

use super::Calling;
use super::error::CallError;
use super::remote::RemoteNode;
use super::session::Session;
use crate::script::{Limits, NativeRead, Part, bunch_call, split_bunch};
use redis::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many calls are under way before others wait: while the node works on one, the next is on the wire.
const UNDER_WAY: usize = 2;
/// The largest bunch; more calls than that do not wait.
const MOST_PARTS: usize = 64;
const MOST_BYTES: usize = 64 * 1024;

/// The calls that wait for one connection.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    under_way: usize,
    calls: VecDeque<Call>,
}

#[derive(Debug)]
struct Call {
    part: Arc<Part>,
    deadline_ms: u64,
    answer: oneshot::Sender<Result<Value, CallError>>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// As many of the oldest as one call takes.
    fn bunch(&mut self) -> Vec<Call> {
        let mut bytes = 0;
        let fits = |call: &&Call| {
            bytes += call.part.bytes();
            bytes <= MOST_BYTES
        };
        let count = self.calls.iter().take(MOST_PARTS).take_while(fits).count();
        self.calls.drain(..count.max(1).min(self.calls.len())).collect()
    }
}

/// Sends one call: as `at_once` says where few are under way, else with others.
pub(super) fn send(
    node: &Arc<RemoteNode>,
    session: Arc<Session>,
    part: Arc<Part>,
    time_left: Duration,
    native: Option<NativeRead>,
) -> Calling {
    let deadline_ms = session.deadline_ms(node.now_us(), time_left);
    let mut waiting = session.outbox.lock();
    if waiting.under_way < UNDER_WAY && waiting.calls.is_empty() {
        waiting.under_way += 1;
        drop(waiting);
        let turn = Turn { node: Arc::clone(node), session };
        return match native {
            Some(read) => Box::pin(turn.read(read)),
            None => Box::pin(alone(turn, part, deadline_ms)),
        };
    }
    let (answer, answered) = oneshot::channel();
    waiting.calls.push_back(Call { part, deadline_ms, answer });
    if waiting.calls.len() >= MOST_PARTS {
        waiting.under_way += 1;
        let calls = waiting.bunch();
        drop(waiting);
        let turn = Turn { node: Arc::clone(node), session };
        tokio::spawn(carry(turn, calls));
    }
    let gone = || Err(CallError::Unknown("the connection is gone".into()));
    Box::pin(async move { answered.await.unwrap_or_else(|_| gone()) })
}

async fn alone(turn: Turn, part: Arc<Part>, deadline_ms: u64) -> Result<Value, CallError> {
    let mut answers = turn.call(&[(&part, deadline_ms)]).await?;
    answers.pop().ok_or_else(|| CallError::Unknown("a bunch without an answer".into()))
}

async fn carry(turn: Turn, calls: Vec<Call>) {
    let parts: Vec<(&Part, u64)> = calls.iter().map(|call| (&*call.part, call.deadline_ms)).collect();
    let answers = turn.call(&parts).await;
    // The next ones go before these are handed out.
    drop(turn);
    match answers {
        Ok(answers) => calls.into_iter().zip(answers).for_each(|(call, answer)| {
            // Whoever asked may be gone.
            let _ = call.answer.send(Ok(answer));
        }),
        Err(error) => calls.into_iter().for_each(|call| {
            let _ = call.answer.send(Err(error.clone()));
        }),
    }
}

/// One of those that may be under way; whoever gives it back sends what waits.
struct Turn {
    node: Arc<RemoteNode>,
    session: Arc<Session>,
}

impl Turn {
    async fn read(self, read: NativeRead) -> Result<Value, CallError> {
        Arc::clone(&self.node).read(Arc::clone(&self.session), read).await
    }

    async fn call(&self, parts: &[(&Part, u64)]) -> Result<Vec<Value>, CallError> {
        let is_present = self.node.session().is_some_and(|now| now.number == self.session.number);
        if !is_present {
            return Err(CallError::NotSent("the connection is gone".into()));
        }
        let cmd = bunch_call(&self.session.fence, self.node.limits(), parts);
        let reply = Arc::clone(&self.node).call(Arc::clone(&self.session), cmd).await?;
        let parts: Vec<&Part> = parts.iter().map(|(part, _)| *part).collect();
        split_bunch(reply, &parts).map_err(|malformed| CallError::Unknown(malformed.to_string()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.session.outbox.lock();
        let runtime = tokio::runtime::Handle::try_current();
        match runtime {
            Ok(runtime) if !waiting.calls.is_empty() => {
                let calls = waiting.bunch();
                drop(waiting);
                let turn = Turn { node: Arc::clone(&self.node), session: Arc::clone(&self.session) };
                runtime.spawn(carry(turn, calls));
            }
            _ => {
                waiting.under_way -= 1;
                waiting.calls.clear();
            }
        }
    }
}

impl RemoteNode {
    fn limits(&self) -> Limits {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Limits {
            reply_limit: self.config.remembered_reply,
            retry_window_ms: millis(self.config.retry_window),
            max_clock_offset_ms: millis(self.config.max_clock_offset),
        }
    }
}
