//! A call that is under way.

use super::error::CallError;
use redis::Value;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A call under way. It owns all that it needs, so the round that made it may go.
pub enum Calling {
    /// With others: whoever carries them hands out the answers.
    Together(oneshot::Receiver<Result<Value, CallError>>),
    /// By itself.
    Alone(Pin<Box<dyn Future<Output = Result<Value, CallError>> + Send>>),
}

impl Calling {
    /// A call that takes its own way.
    pub fn alone(call: impl Future<Output = Result<Value, CallError>> + Send + 'static) -> Calling {
        Calling::Alone(Box::pin(call))
    }

    /// A call that was never sent.
    pub fn not_sent(reason: String) -> Calling {
        Calling::alone(std::future::ready(Err(CallError::NotSent(reason))))
    }
}

impl Future for Calling {
    type Output = Result<Value, CallError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let gone = |_| Err(CallError::Unknown("the connection is gone".into()));
        match self.get_mut() {
            Calling::Together(answer) => Pin::new(answer).poll(context).map(|told| told.unwrap_or_else(gone)),
            Calling::Alone(call) => call.as_mut().poll(context),
        }
    }
}
