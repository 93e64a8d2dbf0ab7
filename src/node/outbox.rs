//! Calls on their way to one node: what comes while others are under way waits for an answer, and then travels together.
//!
//! ```text
//!   an op ── nothing under way ─▶ a bunch of one ─▶ node
//!   a read ─ nothing under way ─▶ a transaction ──▶ node
//!   any ──── else ─▶ outbox ── an answer came ─▶ one bunch ─▶ node
//! ```
//!
//! So one call alone is as fast as it can be, and many cost the node and the connection little more than one. Whatever is under way is
//! a task of its own: who asked may stop to look at its answer, and others must not wait for that.

use super::Calling;
use super::error::CallError;
use super::remote::RemoteNode;
use super::session::Session;
use crate::script::{Limits, NativeRead, Part, bunch_call, split_bunch};
use redis::{Cmd, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many calls are under way before others wait: while the node works on one, the next is on the wire.
const UNDER_WAY: usize = 2;
/// The largest bunch; more calls than that do not wait.
const MOST_PARTS: usize = 64;
const MOST_BYTES: usize = 64 * 1024;
/// How much a bunch may answer, by what the last ones did: a node builds the whole reply before it sends any of it.
const MOST_REPLIED: usize = 1024 * 1024;

/// The calls that wait for one connection.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    under_way: usize,
    calls: VecDeque<Call>,
    /// The longest reply of the last bunches, in bytes; it fades.
    reply_bytes: usize,
}

#[derive(Debug)]
struct Call {
    part: Arc<Part>,
    native: Option<NativeRead>,
    deadline_ms: u64,
    answer: oneshot::Sender<Result<Value, CallError>>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// As many of the oldest as one call takes, without those that nobody waits for any more.
    fn bunch(&mut self) -> Vec<Call> {
        self.calls.retain(|call| !call.answer.is_closed());
        let mut bytes = 0;
        let fits = |call: &&Call| {
            bytes += call.part.bytes();
            bytes <= MOST_BYTES
        };
        let most = (MOST_REPLIED / self.reply_bytes.max(1)).clamp(1, MOST_PARTS);
        let count = self.calls.iter().take(most).take_while(fits).count();
        self.calls.drain(..count.max(1).min(self.calls.len())).collect()
    }

    fn is_full(&self) -> bool {
        self.calls.len() >= MOST_PARTS
    }
}

/// Sends one call, alone where few are under way, and then without Lua where `native` says how; else with others.
pub(super) fn send(
    node: &Arc<RemoteNode>,
    session: Arc<Session>,
    part: Arc<Part>,
    time_left: Duration,
    native: impl FnOnce() -> Option<NativeRead>,
) -> Calling {
    let deadline_ms = session.deadline_ms(node.now_us(), time_left);
    let (answer, answered) = oneshot::channel();
    let mut waiting = session.outbox.lock();
    let goes_now = waiting.under_way < UNDER_WAY;
    let native = if goes_now { native() } else { None };
    waiting.calls.push_back(Call { part, native, deadline_ms, answer });
    if goes_now || waiting.is_full() {
        waiting.under_way += 1;
        let calls = waiting.bunch();
        drop(waiting);
        let turn = Turn { node: Arc::clone(node), session, cmd: Cmd::new() };
        node.runtime.spawn(carry(turn, calls));
    }
    Calling::Together(answered)
}

async fn carry(mut turn: Turn, calls: Vec<Call>) {
    let answers = turn.ask(&calls).await;
    turn.learn(&answers);
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
    /// The room that the last bunch had: its successor's is about as large.
    cmd: Cmd,
}

impl Turn {
    async fn ask(&mut self, calls: &[Call]) -> Result<Vec<Value>, CallError> {
        let is_present = self.node.session().is_some_and(|now| now.number == self.session.number);
        if !is_present {
            return Err(CallError::NotSent("the connection is gone".into()));
        }
        if let [Call { native: Some(read), .. }] = calls
            && let Some(answer) = self.node.read(&self.session, read).await?
        {
            return Ok(vec![answer]);
        }
        let parts: Vec<(&Part, u64)> = calls.iter().map(|call| (&*call.part, call.deadline_ms)).collect();
        let limits = self.node.limits();
        bunch_call(&mut self.cmd, &self.session.fence, limits, &parts);
        let reply = self.node.call(&self.session, &self.cmd).await?;
        let parts: Vec<&Part> = parts.iter().map(|(part, _)| *part).collect();
        split_bunch(reply, &parts).map_err(|malformed| CallError::Unknown(malformed.to_string()))
    }

    fn learn(&self, answers: &Result<Vec<Value>, CallError>) {
        let longest = answers.iter().flatten().map(bytes_of).max().unwrap_or_default();
        let mut waiting = self.session.outbox.lock();
        waiting.reply_bytes = longest.max(waiting.reply_bytes / 2);
    }
}

/// About how long a reply is.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        _ => 0,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.session.outbox.lock();
        let calls = waiting.bunch();
        if calls.is_empty() {
            waiting.under_way -= 1;
            return;
        }
        drop(waiting);
        let cmd = std::mem::take(&mut self.cmd);
        let turn = Turn { node: Arc::clone(&self.node), session: Arc::clone(&self.session), cmd };
        self.node.runtime.spawn(carry(turn, calls));
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
