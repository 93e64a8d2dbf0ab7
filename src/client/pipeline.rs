//! Pipelines: in order on each register, at the same time on different ones.

use super::connection::words;
use super::{Client, Result};
use crate::command::{Access, Call, Plan, Register};
use crate::error::Error;
use futures_util::future::{BoxFuture, join_all};
use redis::{Pipeline, RedisError, ServerError, Value};
use std::collections::BTreeMap;

/// One command of a pipeline that works on one register, and its place.
type Placed = (usize, Access, Call);

impl Client {
    /// Runs a pipeline; a command that fails answers with its error, the others go on.
    pub(super) async fn run_pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>> {
        let plans: Vec<Result<Plan>> = pipeline.cmd_iter().map(|cmd| self.plan(&words(cmd).list())).collect();
        let mut replies: Vec<Value> = vec![Value::Nil; plans.len()];
        let mut groups: BTreeMap<Register, Vec<Placed>> = BTreeMap::new();
        for (place, plan) in plans.into_iter().enumerate() {
            match plan {
                Ok(Plan::Read(call)) => {
                    groups.entry(call.register.clone()).or_default().push((place, Access::Read, call))
                }
                Ok(Plan::Write(call)) => {
                    groups.entry(call.register.clone()).or_default().push((place, Access::Write, call))
                }
                Ok(other) => {
                    // It touches registers of its own choice: what was asked before comes first.
                    self.run_groups(std::mem::take(&mut groups), &mut replies).await;
                    replies[place] = reply_or_error(self.run_plan(other).await);
                }
                Err(error) => replies[place] = reply_or_error(Err(error)),
            }
        }
        self.run_groups(groups, &mut replies).await;
        Ok(replies)
    }

    async fn run_groups(&self, groups: BTreeMap<Register, Vec<Placed>>, replies: &mut [Value]) {
        let running = groups.into_values().map(|group| self.run_group(group));
        for (place, reply) in join_all(running).await.into_iter().flatten() {
            replies[place] = reply;
        }
    }

    /// Writes follow each other into the register's queue without waiting, so that they share rounds. A read waits for the writes
    /// before it, and a write for the reads before it.
    async fn run_group(&self, group: Vec<Placed>) -> Vec<(usize, Value)> {
        let mut replies = Vec::with_capacity(group.len());
        let mut running: Vec<(usize, BoxFuture<'_, Result<Value>>)> = Vec::new();
        let mut running_access = Access::Write;
        for (place, access, call) in group {
            if access != running_access {
                finish(&mut running, &mut replies).await;
                running_access = access;
            }
            let reply: BoxFuture<'_, Result<Value>> = match access {
                Access::Read => Box::pin(self.run_call(access, call)),
                Access::Write => {
                    let shape = call.shape();
                    let result = self.inner.coordinator.submit_now(self.work(access, call));
                    Box::pin(async move { shape.reply(result.await?.replies).map_err(Error::Command) })
                }
            };
            running.push((place, reply));
        }
        finish(&mut running, &mut replies).await;
        replies
    }
}

async fn finish(running: &mut Vec<(usize, BoxFuture<'_, Result<Value>>)>, replies: &mut Vec<(usize, Value)>) {
    let (places, futures): (Vec<usize>, Vec<_>) = running.drain(..).unzip();
    let results = join_all(futures).await;
    replies.extend(places.into_iter().zip(results.into_iter().map(reply_or_error)));
}

/// In a pipeline every error has its place; its code tells what happened to the data, as [`crate::outcome_of`] reads it.
pub(crate) fn reply_or_error(result: Result<Value>) -> Value {
    match result {
        Ok(value) => value,
        Err(Error::Command(error)) => Value::ServerError(error),
        Err(error) => {
            let error = RedisError::from(error);
            match ServerError::try_from(error) {
                Ok(error) => Value::ServerError(error),
                Err(other) => Value::SimpleString(other.to_string()),
            }
        }
    }
}
