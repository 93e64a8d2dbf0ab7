//! Runs one command: plan, rounds, reply.

use super::{Client, Result};
use crate::command::{Access, Call, Effect, Join, Part, Pick, Plan, Refusal};
use crate::config::Consistency;
use crate::coordinator::{Done, Work};
use crate::error::Error;
use crate::protocol::Digest;
use futures_util::future::join_all;
use redis::Value;
use tokio::time::Instant;

impl Client {
    /// Runs one command, given as its words. This is what `redis::AsyncCommands` ends in.
    pub async fn run(&self, args: &[&[u8]]) -> Result<Value> {
        let plan = self.plan(args)?;
        self.run_plan(plan).await
    }

    pub(crate) fn plan(&self, args: &[&[u8]]) -> Result<Plan> {
        self.check_size(args.iter())?;
        Ok(self.inner.table.plan(args, self.inner.coordinator.now_ms())?)
    }

    /// The limit that Redis calls proto-max-bulk-len, for a command or a transaction as a whole.
    pub(super) fn check_size<'a>(&self, args: impl Iterator<Item = &'a &'a [u8]>) -> Result<(), Refusal> {
        let limit = self.inner.config.max_command;
        let bytes: usize = args.map(|arg| arg.len()).sum();
        if bytes <= limit {
            return Ok(());
        }
        let words = format!("the command has {bytes} bytes, more than the {limit} that one command may have");
        Err(Refusal::Invalid(words))
    }

    pub(crate) async fn run_plan(&self, plan: Plan) -> Result<Value> {
        match plan {
            Plan::Local(value) => Ok(value),
            Plan::Read(call) => self.run_call(Access::Read, call).await,
            Plan::Write(call) => self.run_call(Access::Write, call).await,
            Plan::Pick(pick) => Box::pin(self.run_pick(&pick)).await,
            Plan::Walk(walk) => Box::pin(self.run_walk(walk)).await,
            Plan::Ask(command) => Box::pin(self.ask_one(&command)).await,
            Plan::Flush => Box::pin(self.flush_all()).await,
            Plan::Block(block) => Box::pin(self.run_block(block)).await,
            Plan::Publish(publish) => Box::pin(self.publish(&publish)).await,
            Plan::Census(census) => Box::pin(self.census(&census)).await,
            Plan::Split(parts, join) => Box::pin(self.run_split(parts, join)).await,
        }
    }

    pub(super) async fn run_call(&self, access: Access, call: Call) -> Result<Value> {
        let shape = call.shape();
        let done = self.run_work(self.work(access, call)).await?;
        shape.reply(done.replies).map_err(Error::Command)
    }

    pub(super) fn work(&self, access: Access, call: Call) -> Work {
        let mut work = Work::new(access, call);
        work.early = access == Access::Write && self.consistency == Consistency::One;
        work
    }

    pub(super) async fn run_work(&self, work: Work) -> Result<Done> {
        match work.access {
            Access::Read => self.inner.coordinator.read(work, self.consistency).await,
            Access::Write => self.inner.coordinator.write(work).await,
        }
    }

    /// A choice is made once, by a linearizable read, and holds only at the digest that it was made from (P19).
    async fn run_pick(&self, pick: &Pick) -> Result<Value> {
        let deadline = Instant::now() + self.inner.config.operation_timeout;
        let coordinator = &self.inner.coordinator;
        loop {
            let choice = Work { pinned: true, ..Work::new(Access::Read, pick.read.clone()) };
            let seen = coordinator.read(choice, Consistency::Linearizable).await?;
            let digest = seen.position.map_or(Digest::EMPTY, |position| position.digest);
            let chosen = pick.read.reply(seen.replies).map_err(Error::Command)?;
            let (call, reply) = match pick.effect(chosen) {
                Effect::Nothing(reply) => return Ok(reply),
                Effect::Write { call, reply } => (call, reply),
            };
            let work = Work { expected: Some(digest), ..Work::new(Access::Write, call.clone()) };
            match coordinator.write(work).await {
                Ok(done) => return call.reply(done.replies).map(|_| reply).map_err(Error::Command),
                Err(Error::VersionMismatch) if Instant::now() < deadline => {}
                Err(Error::VersionMismatch) => {
                    let why = "the key changed after every choice";
                    return Err(Error::NotApplied { why, failures: Default::default() });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Each part is linearizable; the whole is not atomic, as in Redis Cluster clients.
    async fn run_split(&self, parts: Vec<Part>, join: Join) -> Result<Value> {
        let running = parts.iter().map(|part| self.run_call(part.access, part.call.clone()));
        let mut replies = Vec::with_capacity(parts.len());
        for reply in join_all(running).await {
            match reply {
                Ok(reply) => replies.push(reply),
                Err(Error::Command(error)) => replies.push(Value::ServerError(error)),
                Err(error) => return Err(partly(error, parts.len())),
            }
        }
        join.join(&parts, replies).map_err(Error::Command)
    }
}

/// One part failed: others may have been applied, so the whole is not "not applied".
fn partly(error: Error, parts: usize) -> Error {
    match error {
        Error::NoQuorum { failures, .. } | Error::NotApplied { failures, .. } if parts > 1 => {
            Error::Indeterminate { failures }
        }
        Error::Closed if parts > 1 => Error::Indeterminate { failures: Default::default() },
        error => error,
    }
}
