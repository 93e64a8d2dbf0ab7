//! MULTI/EXEC as one op, and WATCH as the digest that it holds at.

use super::connection::{Words, words};
use super::pipeline::reply_or_error;
use super::{Client, Result};
use crate::command::{Refusal, Register, Table, Transaction};
use crate::config::Consistency;
use crate::coordinator::Work;
use crate::error::Error;
use crate::protocol::Digest;
use redis::{Pipeline, Value};

/// What WATCH has seen.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    register: Register,
    first_key: Vec<u8>,
    digest: Digest,
    /// When the first of the watched keys expires, in ms since 1970: an expiry is a change that no digest tells, so an op of that time
    /// or later finds another version.
    expires_at_ms: Option<u64>,
}

impl Client {
    /// A pipeline in atomic mode: EXEC's reply.
    pub(super) async fn run_atomic(&self, pipeline: &Pipeline, watch: Option<Watch>) -> Result<Value> {
        let all: Vec<Words<'_>> = pipeline.cmd_iter().map(words).collect();
        let commands: Vec<Vec<&[u8]>> = all.iter().map(Words::list).collect();
        let planned = self.transaction(&commands);
        let planned = planned.map_err(|reason| Refusal::Aborted { of: Some(Box::new(reason)) })?;
        self.exec(planned, watch).await
    }

    pub(super) fn transaction(&self, commands: &[Vec<&[u8]>]) -> Result<Transaction, Refusal> {
        self.check_size(commands.iter().flatten())?;
        self.inner.table.transaction(commands, self.inner.coordinator.now_ms())
    }

    /// Runs a transaction as one op; nil, and nothing is changed, where what was watched has changed since.
    pub(super) async fn exec(&self, transaction: Transaction, watch: Option<Watch>) -> Result<Value> {
        let mut work = match (transaction.call(), &watch) {
            (None, None) => {
                let published = self.publish_all(&transaction).await;
                return Ok(transaction.reply(Vec::new(), published));
            }
            (Some((access, call)), Some(watch)) if call.keys.is_empty() => {
                Work { register: watch.register.clone(), ..Work::new(access, call.clone()) }
            }
            (None, Some(watch)) => Work::nothing(watch.register.clone()),
            (Some((access, call)), _) => Work::new(access, call.clone()),
        };
        let result = match watch {
            None => self.run_work(work).await,
            Some(watch) => {
                watch.check(&self.inner.table, &work)?;
                work.expected = Some(watch.digest);
                work.holds_until_ms = watch.expires_at_ms;
                self.inner.coordinator.write(work).await
            }
        };
        match result {
            Ok(done) => {
                let published = self.publish_all(&transaction).await;
                Ok(transaction.reply(done.replies, published))
            }
            Err(Error::VersionMismatch) => Ok(Value::Nil),
            Err(error) => Err(error),
        }
    }

    /// What a transaction publishes is published once it is committed; what cannot be is an error in its place.
    async fn publish_all(&self, transaction: &Transaction) -> Vec<Value> {
        let mut replies = Vec::new();
        for message in transaction.messages() {
            replies.push(reply_or_error(self.publish(message).await));
        }
        replies
    }

    /// Reads, linearizably, what the keys of one register are at.
    pub(super) async fn watch(&self, keys: &[&[u8]]) -> Result<Watch> {
        let register = self.inner.table.watched(keys)?;
        let times = keys.iter().map(|key| vec![b"PTTL".to_vec(), key.to_vec()]).collect();
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
        let work = Work {
            pinned: true,
            unordered: true,
            keys: keys.clone(),
            commands: times,
            ..Work::nothing(register.clone())
        };
        let now_ms = self.inner.coordinator.now_ms();
        let done = self.inner.coordinator.read(work, Consistency::Linearizable).await?;
        let left = done.replies.iter().filter_map(|reply| match reply {
            Value::Int(left) => u64::try_from(*left).ok(),
            _ => None,
        });
        Ok(Watch {
            register,
            first_key: keys.into_iter().next().unwrap_or_default(),
            digest: done.position.map_or(Digest::EMPTY, |position| position.digest),
            expires_at_ms: left.min().map(|left| now_ms + left),
        })
    }
}

impl Watch {
    /// Both watched at one moment; the earlier one's digest holds, since it must not have changed either.
    pub(super) fn and(self, table: &Table, later: Watch) -> Result<Watch, Refusal> {
        if self.register != later.register {
            return Err(table.cross_register("watch", &self.first_key, &later.first_key));
        }
        let expires_at_ms = [self.expires_at_ms, later.expires_at_ms].into_iter().flatten().min();
        Ok(Watch { expires_at_ms, ..self })
    }

    fn check(&self, table: &Table, work: &Work) -> Result<(), Refusal> {
        if work.register == self.register {
            return Ok(());
        }
        let key = work.keys.first().map_or(&b""[..], Vec::as_slice);
        Err(table.cross_register("exec", &self.first_key, key))
    }
}
