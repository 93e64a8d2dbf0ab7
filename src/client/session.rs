//! A connection's own state: MULTI and WATCH.

use super::connection::words;
use super::pipeline::reply_or_error;
use super::transaction::Watch;
use super::{Client, Result};
use crate::command::Refusal;
use crate::config::Consistency;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`Client`] with the state that one connection to a Redis has: what MULTI has queued and what WATCH watches. Made by
/// [`Client::session`].
///
/// Its clones share that state, as `redis::aio::transaction_async` wants it; callers that run transactions at the same time take a
/// session each.
///
/// WATCH compares histories of whole registers. So it also aborts where another key of the register was written, by whomever, or where
/// a write changed nothing (SETNX of a key that is there): tried again, the transaction goes through, unless its own code writes to the
/// register between WATCH and MULTI each time. A repair changes no history and aborts nothing.
///
/// ```no_run
/// # async fn example(store: anarchoredis::Client) -> redis::RedisResult<()> {
/// use redis::AsyncCommands;
///
/// // Doubles a number; tried again whenever someone else has changed it meanwhile.
/// let (doubled,): (i64,) = redis::aio::transaction_async(store.session(), &["n"], |mut con, mut pipe| async move {
///     let n: i64 = con.get("n").await?;
///     pipe.set("n", n * 2).ignore().get("n").query_async(&mut con).await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    client: Client,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    queue: Option<Queue>,
    watch: Option<Watch>,
}

/// What stands behind MULTI so far.
#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Vec<Vec<u8>>>,
    /// One could not be queued: EXEC will run none.
    is_aborted: bool,
}

impl Client {
    /// The same store as one connection with a state of its own, for MULTI, EXEC, DISCARD, WATCH and UNWATCH.
    pub fn session(&self) -> Session {
        Session { client: self.clone(), state: Arc::default() }
    }
}

impl Session {
    /// Runs one command, given as its words.
    pub async fn run(&self, args: &[&[u8]]) -> Result<Value> {
        let name = args.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        match name.as_slice() {
            b"multi" => Ok(self.multi(args)?),
            b"exec" => self.exec(args).await,
            b"discard" => Ok(self.discard(args)?),
            b"watch" => self.watch(args).await,
            b"unwatch" if !self.is_queueing() => Ok(self.unwatch(args)?),
            _ if self.is_queueing() => Ok(self.queue(args)?),
            // Beside a watch, what is read must be what is watched.
            _ if self.state().watch.is_some() => {
                self.client.with_consistency(Consistency::Linearizable).run(args).await
            }
            _ => self.client.run(args).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commands run as they come: nothing stands behind MULTI, and nothing is watched.
    pub(crate) fn is_plain(&self) -> bool {
        let state = self.state();
        state.queue.is_none() && state.watch.is_none()
    }

    pub(crate) fn is_queueing(&self) -> bool {
        self.state().queue.is_some()
    }

    fn multi(&self, args: &[&[u8]]) -> Result<Value, Refusal> {
        let mut state = self.state();
        alone(args, &mut state)?;
        if state.queue.is_some() {
            return Err(Refusal::Invalid("MULTI calls can not be nested".into()));
        }
        state.queue = Some(Queue::default());
        Ok(Value::Okay)
    }

    /// Checks a command now, and keeps it for EXEC.
    fn queue(&self, args: &[&[u8]]) -> Result<Value, Refusal> {
        let checked = self.client.transaction(&[args.to_vec()]);
        let mut state = self.state();
        let Some(queue) = &mut state.queue else {
            return Err(Refusal::Invalid("EXEC without MULTI".into()));
        };
        match checked {
            Ok(_) => queue.commands.push(args.iter().map(|arg| arg.to_vec()).collect()),
            Err(refusal) => {
                queue.is_aborted = true;
                return Err(refusal);
            }
        }
        Ok(Value::SimpleString("QUEUED".into()))
    }

    /// Ends with the queue and the watch gone, whatever comes of it.
    async fn exec(&self, args: &[&[u8]]) -> Result<Value> {
        let (queue, watch) = {
            let mut state = self.state();
            let alone = alone(args, &mut state);
            if let Err(of) = alone {
                *state = State::default();
                return Err(Refusal::Aborted { of: Some(Box::new(of)) }.into());
            }
            let Some(queue) = state.queue.take() else {
                return Err(Refusal::Invalid("EXEC without MULTI".into()).into());
            };
            (queue, state.watch.take())
        };
        if queue.is_aborted {
            return Err(Refusal::Aborted { of: None }.into());
        }
        let commands: Vec<Vec<&[u8]>> =
            queue.commands.iter().map(|args| args.iter().map(Vec::as_slice).collect()).collect();
        let planned = self.client.transaction(&commands);
        let planned = planned.map_err(|reason| Refusal::Aborted { of: Some(Box::new(reason)) })?;
        self.client.exec(planned, watch).await
    }

    fn discard(&self, args: &[&[u8]]) -> Result<Value, Refusal> {
        let mut state = self.state();
        alone(args, &mut state)?;
        if state.queue.is_none() {
            return Err(Refusal::Invalid("DISCARD without MULTI".into()));
        }
        *state = State::default();
        Ok(Value::Okay)
    }

    async fn watch(&self, args: &[&[u8]]) -> Result<Value> {
        let Some((_, keys @ [_, ..])) = args.split_first() else {
            return Err(Refusal::Arity { name: "watch".into() }.into());
        };
        if self.is_queueing() {
            return Err(Refusal::Invalid("WATCH inside MULTI is not allowed".into()).into());
        }
        let watch = self.client.watch(keys).await?;
        let mut state = self.state();
        state.watch = Some(match state.watch.take() {
            Some(earlier) => earlier.and(&self.client.inner.table, watch)?,
            None => watch,
        });
        Ok(Value::Okay)
    }

    fn unwatch(&self, args: &[&[u8]]) -> Result<Value, Refusal> {
        let mut state = self.state();
        alone(args, &mut state)?;
        state.watch = None;
        Ok(Value::Okay)
    }

    /// A pipeline's commands one after the other.
    async fn run_in_turn(&self, pipeline: &Pipeline) -> Vec<Value> {
        let mut replies = Vec::with_capacity(pipeline.len());
        for cmd in pipeline.cmd_iter() {
            replies.push(reply_or_error(self.run(&words(cmd).list()).await));
        }
        replies
    }

    /// Whether a pipeline may be spread over registers, as nothing in it depends on this connection.
    fn is_free(&self, pipeline: &Pipeline) -> bool {
        let stateful = |cmd: &Cmd| {
            let name = words(cmd).list().first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            [&b"multi"[..], b"exec", b"discard", b"watch", b"unwatch"].contains(&name.as_slice())
        };
        !self.is_queueing() && self.state().watch.is_none() && !pipeline.cmd_iter().any(stateful)
    }
}

/// A command that takes no arguments. Inside of MULTI a wrong one aborts the transaction, as any other does.
fn alone(args: &[&[u8]], state: &mut State) -> Result<(), Refusal> {
    if args.len() == 1 {
        return Ok(());
    }
    if let Some(queue) = &mut state.queue {
        queue.is_aborted = true;
    }
    let name = args.first().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    Err(Refusal::Arity { name: name.unwrap_or_default() })
}

impl ConnectionLike for Session {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { Ok(self.run(&words(cmd).list()).await?) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            if pipeline.is_transaction() {
                if self.is_queueing() {
                    return Err(
                        crate::Error::from(Refusal::Invalid("MULTI calls can not be nested".into())).into()
                    );
                }
                let watch = self.state().watch.take();
                return Ok(vec![self.client.run_atomic(pipeline, watch).await?]);
            }
            if self.is_free(pipeline) {
                return self.client.req_packed_commands(pipeline, offset, count).await;
            }
            Ok(self.run_in_turn(pipeline).await.into_iter().skip(offset).take(count).collect())
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
