//! Keys that were there before the records, and keys that no record lists.

use super::Coordinator;
use super::View;
use super::transfer::{KEYS, REPAIR_PATIENCE, SNAPSHOT_BYTES};
use crate::command::Register;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::Node;
use crate::protocol::NodeIndex;
use crate::script::{AdoptCall, AdoptReply, Slice, Ticket, Want, drop_call, parse_dropped, snapshot_call};
use std::sync::Arc;
use tokio::time::Instant;

/// How often a ballot that was promised before is replaced by a higher one.
const TRIES: usize = 5;

impl Coordinator {
    /// Takes these keys of a register into its record on a node whose role is `adopting`; says whether anything was to be done. The view's
    /// nodes are to name the tokens of the pass: what a pass that has ended still sends must come to nothing.
    pub async fn list_keys(
        &self,
        view: &View,
        register: &Register,
        keys: &[Vec<u8>],
        node: NodeIndex,
        anew: bool,
    ) -> Result<bool, Error> {
        let (record, node) = (register.record_key(), view.node(node));
        let mut changed = false;
        for some in keys.chunks(KEYS) {
            changed |= self.list_some(&record, some, node, anew).await?;
        }
        Ok(changed)
    }

    async fn list_some(
        &self,
        record: &[u8],
        keys: &[Vec<u8>],
        node: &Arc<dyn Node>,
        anew: bool,
    ) -> Result<bool, Error> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let call = AdoptCall { record, keys, ballot: self.next_ballot(), op: self.next_op(), anew };
            let encode = |ticket: &Ticket<'_>| call.encode(ticket);
            let reply = node.send(&encode, self.config.operation_timeout).await;
            why = match reply.map(AdoptReply::parse) {
                Ok(Ok(AdoptReply::Listed(_))) => return Ok(true),
                Ok(Ok(AdoptReply::Same(_))) => return Ok(false),
                Ok(Ok(AdoptReply::Nack(promised))) => {
                    self.observe(promised);
                    "it has promised a higher ballot".to_owned()
                }
                Ok(Ok(AdoptReply::Refused(text))) => return Err(refused(node, text)),
                Ok(Err(malformed)) => malformed.to_string(),
                Err(error) => error.to_string(),
            };
        }
        Err(refused(node, why))
    }

    /// The names of all keys that a node's record of a register lists.
    pub async fn names_on(
        &self,
        view: &View,
        register: &Register,
        node: NodeIndex,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let (record, deadline) = (register.record_key(), Instant::now() + REPAIR_PATIENCE);
        let unnamed = || refused(view.node(node), "it does not name the keys of a register".into());
        let (mut names, mut position) = (Vec::new(), Some("0".to_owned()));
        while let Some(from) = position {
            let want = Want::Names(&from, KEYS);
            let encode = |ticket: &Ticket<'_>| snapshot_call(ticket, &record, &want, SNAPSHOT_BYTES);
            let reply = self.call(view, node, &encode, deadline).await;
            let reply = reply.map_err(|error| refused(view.node(node), error.to_string()))?;
            let page = Slice::parse(reply).map_err(|error| refused(view.node(node), error.to_string()))?;
            let page = page.ok_or_else(unnamed)?;
            names.extend(page.elements);
            position = page.next;
        }
        Ok(names)
    }

    /// Drops those of these keys that the node's record does not list.
    pub async fn drop_strays(
        &self,
        register: &Register,
        keys: &[Vec<u8>],
        node: NodeIndex,
    ) -> Result<u64, Error> {
        let view = self.view();
        let (record, node) = (register.record_key(), view.node(node));
        let encode = |ticket: &Ticket<'_>| drop_call(ticket, &record, keys);
        let reply = node.send(&encode, self.config.operation_timeout).await;
        let reply = reply.map_err(|error| refused(node, error.to_string()))?;
        parse_dropped(reply).map_err(|error| refused(node, error.to_string()))
    }
}

fn refused(node: &Arc<dyn Node>, reason: String) -> Error {
    let failure = NodeFailure { node: node.name().to_owned(), reason };
    Error::NotApplied { why: "a node did not take keys into its records", failures: Failures(vec![failure]) }
}
