//! Beyond redis-rs: versions, snapshots, and operations that hold only at a version.

use super::{Client, Result};
use crate::command::{Access, Call, Plan, Refusal};
use crate::config::Consistency;
use crate::coordinator::Work;
use crate::error::Error;
use crate::protocol::{Digest, Position};
use crate::script::KeyState;
use redis::{Cmd, Value};

/// Largest state that comes back inline, in bytes.
const STATE_LIMIT: usize = 16 * 1024 * 1024;

/// What an applied command left behind.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The command's reply, as Redis gives it.
    pub reply: Value,
    /// The register's version after it; `None` where the key does not exist and never did.
    pub version: Option<Position>,
    /// The command's keys after it, up to 16 MiB; empty above that, and where the first answer was lost.
    pub state: Vec<KeyState>,
}

/// A key's value and version at one moment.
#[derive(Clone, Debug)]
pub struct KeySnapshot {
    /// The register's version; `None` where it does not exist and never did.
    pub version: Option<Position>,
    /// The value; `Form::Gone` where the key does not exist.
    pub state: Option<KeyState>,
}

impl Client {
    /// Applies a command on keys of one register, and says what it left behind.
    pub async fn apply(&self, cmd: &Cmd) -> Result<Applied> {
        self.apply_at(None, cmd).await
    }

    /// Applies a command if its register is still at this version (`None`: never written), atomically; else fails with
    /// [`Error::VersionMismatch`] and changes nothing.
    pub async fn compare_and_apply(&self, version: Option<Position>, cmd: &Cmd) -> Result<Applied> {
        let digest = version.map_or(Digest::EMPTY, |version| version.digest);
        self.apply_at(Some(digest), cmd).await
    }

    async fn apply_at(&self, expected: Option<Digest>, cmd: &Cmd) -> Result<Applied> {
        let call = self.single(cmd)?;
        let work = Work { expected, state_limit: STATE_LIMIT, ..Work::new(Access::Write, call.clone()) };
        let done = self.inner.coordinator.write(work).await?;
        let reply = call.reply(done.replies).map_err(Error::Command)?;
        Ok(Applied { reply, version: done.position, state: done.states })
    }

    fn single(&self, cmd: &Cmd) -> Result<Call> {
        match self.plan(&super::connection::words(cmd).list())? {
            Plan::Read(call) | Plan::Write(call) => Ok(call),
            _ => {
                let text = "only a command on keys of one register, and without a random choice, can be applied at a version";
                Err(Refusal::Invalid(text.into()).into())
            }
        }
    }

    /// The version of the key's register, linearizable; `None` where it was never written. Two equal versions mean equal values.
    pub async fn version(&self, key: impl AsRef<[u8]>) -> Result<Option<Position>> {
        let plan = self.plan(&[b"EXISTS", key.as_ref()])?;
        let (Plan::Read(call) | Plan::Write(call)) = plan else {
            return Ok(None);
        };
        let done =
            self.inner.coordinator.read(Work::new(Access::Read, call), Consistency::Linearizable).await?;
        Ok(done.position)
    }

    /// The key's value, in the scripts' form, with its version. A linearizable read.
    pub async fn snapshot(&self, key: impl AsRef<[u8]>) -> Result<KeySnapshot> {
        let plan = self.plan(&[b"EXISTS", key.as_ref()])?;
        let (Plan::Read(call) | Plan::Write(call)) = plan else {
            return Ok(KeySnapshot { version: None, state: None });
        };
        let work = Work { state_limit: STATE_LIMIT, ..Work::new(Access::Read, call) };
        let done = self.inner.coordinator.write(work).await?;
        Ok(KeySnapshot { version: done.position, state: done.states.into_iter().next() })
    }
}
