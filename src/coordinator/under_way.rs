//! The calls of a round that are under way.

use super::attempt::Event;
use crate::node::{CallError, Calling};
use crate::protocol::NodeIndex;
use redis::Value;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// One call to each node, mostly: so few that to look at all of them costs less than to keep account of which has woken, as
/// `FuturesUnordered` does with an allocation for each.
pub(super) struct UnderWay<C>(Vec<C>);

impl<C: Future + Unpin> UnderWay<C> {
    pub(super) fn with_capacity(count: usize) -> UnderWay<C> {
        UnderWay(Vec::with_capacity(count))
    }

    pub(super) fn push(&mut self, call: C) {
        self.0.push(call);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next answer; none where nothing is under way.
    pub(super) fn next(&mut self) -> impl Future<Output = Option<C::Output>> {
        poll_fn(|context| self.poll_next(context))
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<C::Output>> {
        for place in 0..self.0.len() {
            if let Poll::Ready(answer) = Pin::new(&mut self.0[place]).poll(context) {
                self.0.remove(place);
                return Poll::Ready(Some(answer));
            }
        }
        if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// What one node was asked.
pub(super) struct Asked(pub(super) NodeIndex, pub(super) Calling);

impl Future for Asked {
    type Output = (NodeIndex, Result<Value, CallError>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let node = self.0;
        Pin::new(&mut self.1).poll(context).map(|answer| (node, answer))
    }
}

/// A call of a write round.
pub(super) enum Sent {
    Apply(Asked),
    Settle(Asked),
    /// A settle with state, which takes several calls.
    Move(Pin<Box<dyn Future<Output = Event> + Send>>),
}

impl Future for Sent {
    type Output = Event;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        match self.get_mut() {
            Sent::Apply(asked) => {
                Pin::new(asked).poll(context).map(|(node, answer)| Event::Applied(node, answer))
            }
            Sent::Settle(asked) => {
                Pin::new(asked).poll(context).map(|(node, answer)| Event::Settled(node, answer))
            }
            Sent::Move(moving) => moving.as_mut().poll(context),
        }
    }
}
