//! The steps of a command one by one, for callers that keep the order of a whole connection themselves (the proxy).

use super::{Client, Result};
use crate::command::{Access, Call, Shape};
use crate::coordinator::Work;
use crate::error::Error;
use redis::Value;

pub(crate) use super::pipeline::reply_or_error;

impl Client {
    /// Queues a write at once: writes of one register that are made one after the other run in that order.
    pub(crate) fn write_now(&self, call: Call) -> impl Future<Output = Result<Value>> + Send + use<> {
        let shape = call.shape();
        let result = self.coordinator().submit_now(self.work(Access::Write, call));
        async move { shape.reply(result.await?.replies).map_err(Error::Command) }
    }

    /// Reads of one register as one, at one moment: one result each.
    pub(crate) async fn read_together(&self, calls: Vec<Call>) -> Vec<Result<Value>> {
        let counts: Vec<(usize, Shape)> =
            calls.iter().map(|call| (call.commands.len(), call.shape())).collect();
        let Some(work) = together(self, calls) else {
            return Vec::new();
        };
        match self.run_work(work).await {
            Ok(done) => {
                let mut replies = done.replies.into_iter();
                let each = |(count, shape): (usize, Shape)| {
                    shape.reply(replies.by_ref().take(count).collect()).map_err(Error::Command)
                };
                counts.into_iter().map(each).collect()
            }
            Err(error) => counts.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

fn together(client: &Client, calls: Vec<Call>) -> Option<Work> {
    let mut calls = calls.into_iter();
    let mut work = client.work(Access::Read, calls.next()?);
    for call in calls {
        for key in call.keys {
            if !work.keys.contains(&key) {
                work.keys.push(key);
            }
        }
        work.commands.extend(call.commands);
        work.unordered |= call.unordered;
        work.timed |= call.timed;
    }
    Some(work)
}
