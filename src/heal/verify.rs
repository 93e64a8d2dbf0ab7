//! Compares values, not histories: finds what was changed behind the protocol's back (P54), keys that no record lists, and records
//! whose keys are gone.

use super::side::{PATIENCE, Side};
use super::sweep::Swept;
use super::{Healer, Pass, Progress};
use crate::command::Register;
use crate::error::Error;
use crate::node::Node;
use crate::protocol::Position;
use crate::script::{ReadCall, ReadReply, fields, text};
use futures_util::StreamExt;
use redis::Value;
use serde::Serialize;
use std::time::Duration;

/// Keys that a node looks at for one page, and registers compared at a time.
pub(super) const PAGE: usize = 500;
const AT_ONCE: usize = 16;
/// What is odd is looked at again after so long: it may have been a write under way.
const AGAIN: Duration = Duration::from_millis(50);

/// What is wrong with a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The nodes' histories differ: what any sweep repairs.
    History,
    /// Equal histories, other values: changed behind the protocol's back.
    Value,
    /// A key that the record lists is gone from a node.
    Lost,
    /// A node holds a key that no record lists.
    Stray,
}

/// One register that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The register's id; of a stray the key.
    pub register: String,
    /// What is wrong.
    pub fault: Fault,
    /// The nodes that are in the minority, or hold the stray.
    pub nodes: Vec<String>,
    /// Whether it was mended.
    pub repaired: bool,
    /// What it means, where it was not mended.
    pub note: String,
    /// The bytes that `register` shows: the register's id, of a stray the key.
    #[serde(skip)]
    pub id: Vec<u8>,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verified {
    /// Registers whose values were compared.
    pub registers: u64,
    /// Keys of users, of all nodes together, that were looked up in the records.
    pub keys: u64,
    /// What is, or was, not as it should be.
    pub findings: Vec<Finding>,
    /// Nodes that were not there.
    pub away: Vec<String>,
}

impl Verified {
    /// Whether all of it is as it should be now.
    pub fn is_sound(&self) -> bool {
        self.away.is_empty() && self.findings.iter().all(|finding| finding.repaired)
    }
}

impl Healer {
    /// Compares all values of all nodes, while clients work; mends what it finds where it is told to.
    pub async fn verify(&self, repair: bool, progress: &dyn Progress) -> Result<Verified, Error> {
        let pass = self.pass().await;
        let mut swept = pass.swept().await?;
        swept.nodes.retain(|side| !side.joining);
        pass.verify_all(&swept, repair, progress).await
    }
}

impl Pass {
    /// Compares all values of these nodes, and looks up all their keys.
    pub(super) async fn verify_all(
        &self,
        swept: &Swept,
        repair: bool,
        progress: &dyn Progress,
    ) -> Result<Verified, Error> {
        let mut verified = Verified { away: self.away(), ..Verified::default() };
        for (scanner, side) in swept.nodes.iter().enumerate() {
            self.verify_registers(swept, scanner, side, repair, &mut verified, progress).await?;
            self.verify_keys(side, repair, &mut verified).await?;
        }
        Ok(verified)
    }

    async fn verify_registers(
        &self,
        swept: &Swept,
        scanner: usize,
        side: &Side,
        repair: bool,
        verified: &mut Verified,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let (mut pace, mut cursor) = (self.pace(side, PAGE).await, Some("0".to_owned()));
        while let Some(from) = cursor {
            pace.give_way().await;
            let keys = pace.keys();
            let page = pace.timed(keys, self.list(side, &from, keys)).await?;
            cursor = page.next;
            let names: Vec<Vec<u8>> = page.rows.into_iter().map(|row| row.register).collect();
            let mut holdings = self.holdings(swept, &names).await?;
            // What an earlier node holds was compared then.
            holdings.retain(|_, held| held[..scanner].iter().all(Option::is_none));
            verified.registers += holdings.len() as u64;
            pace.spend(holdings.len() as u64, 0).await;
            let checks =
                holdings.into_keys().map(|id| self.verify_register(swept, Register::from_id(id), repair));
            let mut checks = futures_util::stream::iter(checks).buffer_unordered(AT_ONCE);
            while let Some(finding) = checks.next().await {
                verified.findings.extend(finding?);
            }
            let found = verified.findings.len() as u64;
            progress.compared(verified.registers, swept.about().max(verified.registers), found);
        }
        Ok(())
    }

    async fn verify_register(
        &self,
        swept: &Swept,
        register: Register,
        repair: bool,
    ) -> Result<Option<Finding>, Error> {
        let mut fault = self.fault_of(swept, &register).await?;
        if fault.is_some() {
            tokio::time::sleep(AGAIN).await;
            fault = self.fault_of(swept, &register).await?;
        }
        let Some((fault, nodes)) = fault else { return Ok(None) };
        let (shown, id, note) = (register.to_string(), register.id().to_vec(), String::new());
        let mut finding = Finding { register: shown, fault, nodes, repaired: false, note, id };
        if repair {
            let mended = match fault {
                Fault::History => self.client.coordinator().mend(&register).await,
                _ => self.client.coordinator().rewrite(&register).await,
            };
            finding.note = mended.err().map(|error| error.to_string()).unwrap_or_default();
            finding.repaired = self.fault_of(swept, &register).await?.is_none();
            if !finding.repaired && finding.note.is_empty() {
                finding.note =
                    "no value is a majority's: look at it with `explain`, and write it anew".into();
            }
        }
        Ok(Some(finding))
    }

    /// What is wrong with a register now, and on which nodes.
    async fn fault_of(
        &self,
        swept: &Swept,
        register: &Register,
    ) -> Result<Option<(Fault, Vec<String>)>, Error> {
        let held =
            self.holdings(swept, &[register.id().to_vec()]).await?.into_values().next().unwrap_or_default();
        let positions =
            held.iter().map(|held| held.map(|held| Position { version: held.version, digest: held.digest }));
        let positions: Vec<Option<Position>> = positions.collect();
        let common = most_of(&positions);
        let odd = minority(swept, &positions, &common);
        if !odd.is_empty() {
            return Ok(Some((Fault::History, odd)));
        }
        let Some(position) = common.flatten() else { return Ok(None) };
        let contents = self.client.coordinator().contents(register, position).await;
        let contents: Vec<Option<Vec<u8>>> =
            swept.nodes.iter().map(|side| contents.get(side.place).cloned().flatten()).collect();
        let odd = minority(swept, &contents, &most_of(&contents));
        let fault = if contents.iter().any(Option::is_none) { Fault::Lost } else { Fault::Value };
        let lost = contents.iter().all(Option::is_none);
        let all = || swept.nodes.iter().map(|side| side.node.name().to_owned()).collect();
        Ok(if lost { Some((Fault::Lost, all())) } else { (!odd.is_empty()).then_some((fault, odd)) })
    }

    /// Looks every key of a node up in its register's record.
    async fn verify_keys(&self, side: &Side, repair: bool, verified: &mut Verified) -> Result<(), Error> {
        let (mut pace, mut cursor) = (self.pace(side, PAGE).await, Some("0".to_owned()));
        while let Some(from) = cursor {
            pace.give_way().await;
            let count = pace.keys();
            let encode = |_: &crate::script::Ticket<'_>| {
                redis::cmd("SCAN").arg(&from).arg("COUNT").arg(count).to_owned()
            };
            let (next, keys) = pace.timed(count, self.ask_patiently(side, &encode, scanned)).await?;
            cursor = (next != "0").then_some(next);
            verified.keys += keys.len() as u64;
            pace.spend(keys.len() as u64, 0).await;
            let checks = keys.into_iter().map(|key| self.verify_key(side, key, repair));
            let mut checks = futures_util::stream::iter(checks).buffer_unordered(AT_ONCE);
            while let Some(finding) = checks.next().await {
                let Some(finding) = finding else { continue };
                // One stray on several nodes is one finding.
                let known = verified
                    .findings
                    .iter_mut()
                    .find(|known| known.fault == Fault::Stray && known.register == finding.register);
                match known {
                    Some(known) => known.nodes.extend(finding.nodes),
                    None => verified.findings.push(finding),
                }
            }
        }
        Ok(())
    }

    async fn verify_key(&self, side: &Side, key: Vec<u8>, repair: bool) -> Option<Finding> {
        if !self.is_stray(side, &key).await {
            return None;
        }
        tokio::time::sleep(AGAIN).await;
        if !self.is_stray(side, &key).await {
            return None;
        }
        if repair {
            // Where the others' records list it, theirs is put in its place.
            let _ = self.client.coordinator().rewrite(&self.register_of(&key)).await;
        }
        let repaired = repair && !self.is_stray(side, &key).await;
        let note = if repaired {
            ""
        } else {
            "no record lists it: it was written there behind the protocol; `verify --adopt` makes it the store's own, or delete it on that node"
        };
        Some(Finding {
            register: key.escape_ascii().to_string(),
            fault: Fault::Stray,
            nodes: vec![side.node.name().to_owned()],
            repaired,
            note: note.to_owned(),
            id: key,
        })
    }

    pub(super) async fn is_stray(&self, side: &Side, key: &[u8]) -> bool {
        let (record, keys) = (self.register_of(key).record_key(), [key.to_vec()]);
        let call = ReadCall {
            record: &record,
            keys: &keys,
            at_ms: self.client.coordinator().now_ms(),
            commands: &[],
        };
        let reply = side.node.send(&|ticket| call.encode(ticket), PATIENCE).await;
        matches!(reply.map(ReadReply::parse), Ok(Ok(ReadReply::Refused(why))) if why.starts_with("STRAY"))
    }
}

pub(super) fn scanned(value: Value) -> Result<(String, Vec<Vec<u8>>), crate::script::Malformed> {
    let mut items = fields(value)?;
    let next = text(items.next().unwrap_or(Value::Nil))?;
    let keys = fields(items.next().unwrap_or(Value::Nil))?.filter_map(|key| crate::script::bytes(key).ok());
    Ok((next, keys.filter(|key| !key.starts_with(crate::command::RESERVED_PREFIX)).collect()))
}

/// What most of them are.
fn most_of<T: Clone + PartialEq>(all: &[T]) -> Option<T> {
    all.iter().max_by_key(|one| all.iter().filter(|other| other == one).count()).cloned()
}

fn minority<T: PartialEq>(swept: &Swept, all: &[T], common: &Option<T>) -> Vec<String> {
    let odd = swept.nodes.iter().zip(all).filter(|(_, one)| common.as_ref() != Some(*one));
    odd.map(|(side, _)| side.node.name().to_owned()).collect()
}
