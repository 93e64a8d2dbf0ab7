//! PUBLISH: every node that can be reached carries the message; PUBSUB asks all of them.
//!
//! It is answered once a majority carries it. A subscriber listens to at least N-M+1 nodes, so one of them carries it to that subscriber while their
//! connection lasts. Carried by some and not by a majority, or by none for certain: `HalfPublished`, it may have been heard; sent to none: `NOQUORUM`. It is never sent
//! again by itself: a message is heard at most once, as in Redis.

use super::{Client, Result};
use crate::command::{Census, Publish};
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{CallError, Calling, Node, RemoteNode, Seat};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Value};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Who publishes: an id that no other has, and how many messages it has sent.
#[derive(Debug)]
pub(super) struct Publisher {
    id: u64,
    sequence: Mutex<u64>,
}

/// A call to a node, and how it ended where it has.
enum Carrying {
    Under(Calling),
    Over(Result<Value, CallError>),
}

type Carried = FuturesUnordered<Pin<Box<dyn Future<Output = (String, Result<Value, CallError>)> + Send>>>;

impl Publisher {
    pub(super) fn new(id: u64) -> Publisher {
        Publisher { id, sequence: Mutex::new(0) }
    }
}

impl Client {
    pub(super) async fn publish(&self, publish: &Publish) -> Result<Value> {
        let calls = std::future::poll_fn(|context| Poll::Ready(self.send_out(publish, context))).await;
        let (answer, answered) = oneshot::channel();
        let client = self.clone();
        // The message goes to every node, whoever still waits for the reply.
        tokio::spawn(async move { client.collect(calls, answer).await });
        answered.await.unwrap_or_else(|_| {
            let needed = self.inner.coordinator.quorum().majority();
            Err(Error::HalfPublished { needed, carried: 0, failures: Failures::default() })
        })
    }

    /// Asks a node; not one that hangs.
    fn ask(&self, node: &Arc<RemoteNode>, cmd: &Cmd) -> Calling {
        match node.seat() {
            Seat::Away(reason) => Calling::not_sent(reason),
            Seat::Voter(_) | Seat::Joining => node.send(&|_| cmd.clone(), self.inner.config.answer_timeout),
        }
    }

    /// Hands the message to each node's connection at once: no other message of this publisher comes between.
    fn send_out(&self, publish: &Publish, context: &mut Context<'_>) -> Carried {
        let publisher = &self.inner.publisher;
        let mut sequence = publisher.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *sequence += 1;
        let mut text = format!("{:016x}-{:016x} ", publisher.id, *sequence).into_bytes();
        text.extend_from_slice(&publish.message);
        let mut cmd = redis::cmd("PUBLISH");
        cmd.arg(publish.channel.as_slice()).arg(text);
        let calls = FuturesUnordered::new();
        let roster = self.inner.roster();
        for node in roster.nodes.iter() {
            // A task that has used up its turn would be sent away without a place in the connection's line.
            // And one that only seems to hang must not lack what the others carry: then messages could overtake each other.
            let calling = node.send(&|_| cmd.clone(), self.inner.config.answer_timeout);
            let mut calling = Calling::alone(tokio::task::unconstrained(calling));
            let carrying = match Pin::new(&mut calling).poll(context) {
                Poll::Ready(reply) => Carrying::Over(reply),
                Poll::Pending => Carrying::Under(calling),
            };
            let name = node.name().to_owned();
            calls.push(Box::pin(async move {
                match carrying {
                    Carrying::Over(reply) => (name, reply),
                    Carrying::Under(calling) => (name, calling.await),
                }
            }) as Pin<Box<dyn Future<Output = _> + Send>>);
        }
        calls
    }

    /// Answers as soon as it is decided, and sees all calls to their end.
    async fn collect(&self, mut calls: Carried, answer: oneshot::Sender<Result<Value>>) {
        let needed = self.inner.coordinator.quorum().majority();
        let (mut carried, mut heard, mut may_be_heard) = (0, 0, false);
        let (mut failures, mut answer) = (Vec::new(), Some(answer));
        while let Some((name, reply)) = calls.next().await {
            let reason = match reply {
                Ok(Value::Int(count)) => {
                    carried += 1;
                    heard = count.max(heard);
                    if carried == needed
                        && let Some(answer) = answer.take()
                    {
                        // Nobody may be waiting any more.
                        let _ = answer.send(Ok(Value::Int(heard)));
                    }
                    continue;
                }
                Ok(other) => format!("{other:?}"),
                Err(error) => {
                    may_be_heard |= matches!(error, CallError::Unknown(_));
                    error.to_string()
                }
            };
            failures.push(NodeFailure { node: name, reason });
        }
        if let Some(answer) = answer {
            let failures = Failures(failures);
            let error = match carried > 0 || may_be_heard {
                true => Error::HalfPublished { needed, carried, failures },
                false => Error::NoQuorum { needed, reached: 0, failures },
            };
            let _ = answer.send(Err(error));
        }
    }

    /// What a majority knows of who listens.
    pub(super) async fn census(&self, census: &Census) -> Result<Value> {
        let mut cmd = Cmd::new();
        for word in census.command() {
            cmd.arg(word);
        }
        let roster = self.inner.roster();
        let asking = roster.nodes.iter().map(|node| self.ask(node, &cmd));
        let mut asking: FuturesUnordered<_> =
            asking.enumerate().map(|(index, asking)| async move { (index, asking.await) }).collect();
        let needed = self.inner.coordinator.quorum().majority();
        let (mut replies, mut failures) = (Vec::new(), Vec::new());
        while let Some((index, reply)) = asking.next().await {
            let reason = match reply {
                Ok(Value::ServerError(error)) => error.to_string(),
                Ok(reply) => {
                    replies.push(reply);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            failures.push(NodeFailure { node: roster.nodes[index].name().to_owned(), reason });
        }
        if replies.len() < needed {
            return Err(Error::NoQuorum { needed, reached: replies.len(), failures: Failures(failures) });
        }
        Ok(census.joined(replies))
    }
}
