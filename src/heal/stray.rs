//! Keys that were written to a node behind the protocol and that no record lists: `verify` finds them, and here the store takes them over.
//!
//! It is an op like any other, and holds only where the store has no such key. The node that has the stray does not take part in it, and is
//! given the key by the settle that follows. Where the stray is on so many nodes that no majority is left, it is dropped from some of them
//! first, never from the last one: cut short anywhere, the value is still there, and the next run finds it.

use super::side::{PATIENCE, Side};
use super::verify::{Fault, Finding, Verified};
use super::{Healer, Pass};
use crate::error::Error;
use crate::node::Node;
use crate::protocol::NodeIndex;
use crate::script::Ticket;
use redis::Value;
use serde::Serialize;

/// What became of keys that no record lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strays {
    /// They are the store's own now, on all nodes that are there.
    pub adopted: u64,
    /// They stay as they were; the findings' notes say why.
    pub left: u64,
}

/// A value as a node dumps it, and when it expires.
#[derive(Clone, Debug, PartialEq)]
struct Dumped {
    payload: Vec<u8>,
    expires_ms: u64,
}

impl Healer {
    /// Makes the strays that a verification found the store's own, and notes in it what became of each.
    pub async fn adopt_strays(&self, verified: &mut Verified) -> Result<Strays, Error> {
        let pass = self.pass().await;
        let swept = pass.swept().await?;
        let mut strays = Strays::default();
        let of_them = |finding: &&mut Finding| finding.fault == Fault::Stray && !finding.repaired;
        for finding in verified.findings.iter_mut().filter(of_them) {
            let holds = |side: &&Side| finding.nodes.iter().any(|node| node == side.node.name());
            let holders: Vec<&Side> = swept.nodes.iter().filter(holds).collect();
            match pass.adopt_stray(&finding.id, &holders).await {
                Ok(()) => {
                    finding.repaired = true;
                    finding.note = "adopted: it is the store's own now".into();
                    strays.adopted += 1;
                }
                Err(why) => {
                    finding.note = why;
                    strays.left += 1;
                }
            }
        }
        Ok(strays)
    }
}

impl Pass {
    async fn adopt_stray(&self, key: &[u8], holders: &[&Side]) -> Result<(), String> {
        let mut dumps = Vec::new();
        for side in holders {
            match self.dump(side, key).await? {
                Some(dumped) => dumps.push(dumped),
                None => return Err("it is gone, or changes at this moment; run it again".into()),
            }
        }
        let Some(first) = dumps.first() else { return Err("no node that holds it is there".into()) };
        if dumps.iter().any(|other| other != first) {
            return Err("the nodes hold different values of it, or expire it at different times: delete it where it is wrong, and run it again".into());
        }
        let quorum = self.client.coordinator().quorum();
        let spare = self.nodes().len() - quorum.majority();
        if spare == 0 {
            return Err("with so few nodes each of them must take part in a write, and one that holds this key does not: copy its value, delete it there, and write it through the store".into());
        }
        let register = self.register_of(key);
        for side in holders.iter().skip(spare) {
            let dropped = self
                .client
                .coordinator()
                .drop_strays(&register, &[key.to_vec()], NodeIndex(side.place))
                .await;
            dropped.map_err(|error| error.to_string())?;
        }
        self.write_as_new(key, first).await?;
        // The write was acknowledged without this node; it gets it now, not later.
        self.client.coordinator().mend(&register).await.map_err(|error| error.to_string())?;
        for side in holders {
            if self.is_stray(side, key).await {
                return Err(
                    "it is written, and this node does not hold it as the others do yet; run it again".into(),
                );
            }
        }
        Ok(())
    }

    async fn dump(&self, side: &Side, key: &[u8]) -> Result<Option<Dumped>, String> {
        let ask = async |command: &'static str| {
            let encode = |_: &Ticket<'_>| redis::cmd(command).arg(key).to_owned();
            side.node.send(&encode, PATIENCE).await.map_err(|error| error.to_string())
        };
        let Value::BulkString(payload) = ask("DUMP").await? else { return Ok(None) };
        let expires_ms = match ask("PEXPIRETIME").await? {
            Value::Int(-1) => 0,
            Value::Int(ms) => u64::try_from(ms).unwrap_or(0),
            // Before 7.0 the node says how long it is until then.
            _ => match ask("PTTL").await? {
                Value::Int(-1) => 0,
                Value::Int(ms) => self.client.coordinator().now_ms().saturating_add_signed(ms),
                _ => return Ok(None),
            },
        };
        Ok(Some(Dumped { payload, expires_ms }))
    }

    async fn write_as_new(&self, key: &[u8], value: &Dumped) -> Result<(), String> {
        let mut restore = redis::cmd("RESTORE");
        restore.arg(key).arg(value.expires_ms).arg(&value.payload);
        if value.expires_ms > 0 {
            restore.arg("ABSTTL");
        }
        let mut client = self.client.clone();
        let done: redis::RedisResult<()> = restore.query_async(&mut client).await;
        done.map_err(|error| {
            if error.to_string().contains("BUSYKEY") || error.code() == Some("BUSYKEY") {
                return "the store has a value of its own for it: `verify --repair` puts that one here, or delete it through the store first".to_owned();
            }
            error.to_string()
        })
    }
}
