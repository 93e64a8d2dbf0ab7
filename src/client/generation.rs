//! From one generation to the next: a decision at a register of its own, then a move of every member.
//!
//! ```text
//!   register `anrcho_config`   generation 4, members, flushed 2
//!      op that holds only at the digest that was read:   generation 5, members, flushed 5        decided, once
//!   node A  move ─▶ 5 (emptied)      node B  move ─▶ 5 (emptied)      node C  away; moved when it is seen again
//! ```
//!
//! The register is decided by the rounds of the generation that it ends, so no two changes follow the same one. A node takes the
//! move in one step, and refuses every older call from then on; once a majority has taken it nothing commits in the old generation
//! any more. Whoever sees the decision, or a node of the new generation, goes on with the moves: `tests/growth/mod.rs` has the proof.

use super::{Client, Result};
use crate::command::{Access, Register};
use crate::config::Consistency;
use crate::coordinator::Work;
use crate::error::Error;
use crate::node::{Configuration, Member};
use crate::protocol::Digest;
use redis::Value;
use tokio::time::Instant;

/// What the register of the configuration says, and at which history.
struct Decided {
    next: Option<Configuration>,
    /// Who was removed last.
    removed: Option<Member>,
    digest: Digest,
}

impl Client {
    /// FLUSHALL: a new generation with the same members and no data.
    pub(super) async fn flush_all(&self) -> Result<Value> {
        let deadline = Instant::now() + self.inner.config.operation_timeout;
        let mut decided = false;
        loop {
            let here = self.inner.roster().configuration.clone();
            let next = Configuration {
                generation: here.generation + 1,
                flushed: here.generation + 1,
                members: here.members.clone(),
            };
            match self.begin_generation(&here, next).await {
                Ok(true) => decided = true,
                Ok(false) => {}
                Err(Error::VersionMismatch) if Instant::now() < deadline => continue,
                Err(error) => return Err(error),
            }
            if decided {
                return self.finish_flush(deadline).await;
            }
            if Instant::now() >= deadline {
                let why = "other changes of the cluster came between";
                return Err(Error::NotApplied { why, failures: Default::default() });
            }
        }
    }

    /// The data is gone once a majority has been moved.
    async fn finish_flush(&self, deadline: Instant) -> Result<Value> {
        loop {
            if self.inner.move_all().await >= self.inner.coordinator.quorum().majority() {
                return Ok(Value::Okay);
            }
            if Instant::now() >= deadline {
                return Err(Error::Indeterminate { failures: Default::default() });
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Decides that this configuration comes after the present one, and goes on with it. False where another one was decided
    /// before, which this client then follows.
    pub(crate) async fn begin_generation(&self, here: &Configuration, next: Configuration) -> Result<bool> {
        // One read: what was decided, and the digest at which nothing else was.
        let decided = self.decided().await?;
        if self.goes_on_with(here, decided.next).await {
            return Ok(false);
        }
        let removed = here.members.iter().find(|member| !next.contains(&member.id));
        self.decide(&next, removed, decided.digest).await?;
        self.inner.adopt(next).await;
        Ok(true)
    }

    /// Carries on what was decided after this configuration; true where nothing was.
    pub(crate) async fn follow_decision(&self, here: &Configuration) -> Result<bool> {
        let next = self.decided().await?.next;
        Ok(!self.goes_on_with(here, next).await)
    }

    async fn goes_on_with(&self, here: &Configuration, decided: Option<Configuration>) -> bool {
        let Some(next) = decided.filter(|next| next.generation > here.generation) else { return false };
        self.inner.adopt(next).await;
        self.inner.move_all().await;
        true
    }

    /// Whoever decided on a change may have died before the first move: then the next one who looks goes on with it, before it writes
    /// what the change would take away.
    pub(crate) async fn finish_what_was_decided(&self) {
        if let Err(error) = self.follow_decision(&self.inner.roster().configuration).await {
            tracing::debug!(%error, "it is not known whether a change of the cluster was decided");
        }
    }

    async fn decided(&self) -> Result<Decided> {
        let key = Configuration::key();
        let work = Work {
            keys: vec![key.clone()],
            commands: vec![vec![
                b"HMGET".to_vec(),
                key.clone(),
                b"generation".to_vec(),
                b"members".to_vec(),
                b"flushed".to_vec(),
                b"removed".to_vec(),
            ]],
            ..Work::nothing(Register::from_id(key))
        };
        let done = self.inner.coordinator.read(work, Consistency::Linearizable).await?;
        let digest = done.position.map_or(Digest::EMPTY, |position| position.digest);
        let fields = match done.replies.into_iter().next() {
            Some(Value::Array(fields)) => fields,
            _ => Vec::new(),
        };
        let removed = text(&fields, 3).and_then(|text| Configuration::parse_members(&text).pop());
        Ok(Decided { next: configuration(&fields), removed, digest })
    }

    /// Who was removed last: its successor may not have been added yet.
    pub(crate) async fn last_removed(&self) -> Result<Option<Member>> {
        Ok(self.decided().await?.removed)
    }

    async fn decide(&self, next: &Configuration, removed: Option<&Member>, at: Digest) -> Result<()> {
        let key = Configuration::key();
        let mut fields = vec![
            ("generation", next.generation.to_string()),
            ("members", next.members_text()),
            ("flushed", next.flushed.to_string()),
        ];
        fields.extend(removed.map(|member| ("removed", member.to_string())));
        let mut command = vec![b"HSET".to_vec(), key.clone()];
        for (field, value) in fields {
            command.extend([field.as_bytes().to_vec(), value.into_bytes()]);
        }
        let work = Work {
            access: Access::Write,
            keys: vec![key.clone()],
            commands: vec![command],
            expected: Some(at),
            ..Work::nothing(Register::from_id(key))
        };
        self.inner.coordinator.write(work).await.map(|_| ())
    }
}

fn text(fields: &[Value], at: usize) -> Option<String> {
    match fields.get(at) {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

fn configuration(fields: &[Value]) -> Option<Configuration> {
    Some(Configuration {
        generation: text(fields, 0)?.parse().ok()?,
        members: Configuration::parse_members(&text(fields, 1)?),
        flushed: text(fields, 2)?.parse().ok()?,
    })
}
