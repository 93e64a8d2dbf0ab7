//! Whoever fills a node says on it, every half a second, that it goes on; other healers leave the node alone as long as they hear that.
//!
//! What a node lacks does not tell it: clients bring keys to it too, and long after the last key is there registers are still compared.
//! It is said under the token of the pass. A healer that hangs or dies falls silent, and a pass that another one has ended is refused.

use super::Pass;
use crate::error::Error;
use crate::node::{Node, Seat};
use crate::script::filling_call;
use futures_util::future::{Either, join_all, select};
use redis::Value;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::PoisonError;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(500);
/// Who has said nothing for so long does not go on.
pub(super) const SILENCE: Duration = Duration::from_secs(6);

impl Pass {
    /// Does this work and says meanwhile, on the nodes that this pass fills, that it goes on.
    pub(super) async fn audibly<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match select(pin!(work), pin!(self.say_that_it_goes_on())).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn say_that_it_goes_on(&self) -> Infallible {
        loop {
            let text = self.client.coordinator().now_ms().to_string();
            let fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let saying = fences.into_iter().map(|(place, fence)| {
                let (node, text) = (&self.nodes()[place], &text);
                async move {
                    let said = node.send(&|_| filling_call(&fence, text), SILENCE).await;
                    if let Err(error) = said {
                        tracing::debug!(node = node.name(), %error, "does not hear that it is being filled");
                    }
                }
            });
            join_all(saying).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// What was said last on each of the nodes that are being filled, by their places.
    pub(super) async fn said(&self) -> Vec<(usize, Vec<u8>)> {
        let joining = self.nodes().iter().enumerate().filter(|(_, node)| node.seat() == Seat::Joining);
        let asked = joining.map(|(place, node)| async move {
            let ask = |_: &crate::script::Ticket<'_>| {
                redis::cmd("HGET").arg("anrcho_node").arg("filling").to_owned()
            };
            match node.send(&ask, SILENCE).await {
                Ok(Value::BulkString(text)) => Some((place, text)),
                _ => None,
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
