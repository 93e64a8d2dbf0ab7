//! One key on every node: what each holds, what a read would decide, and what would be repaired.

use super::Healer;
use crate::command::Register;
use crate::node::{Node, RemoteNode, Seat};
use crate::protocol::{NodeIndex, Quorum, ReadAnswer, ReadRound, ReadStep, RepairNeed, Rule};
use crate::script::{ReadCall, ReadReply};
use futures_util::future::join_all;
use redis::Value;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// A key on one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyOnNode {
    /// The node's address.
    pub node: String,
    /// voter, joining, or away.
    pub role: &'static str,
    /// Length of the register's history; none where there is no record.
    pub version: Option<u64>,
    /// Which writes, in which order.
    pub digest: String,
    /// The highest ballot that the node answered.
    pub promised: String,
    /// The ballot of its last settle; empty before the first.
    pub accepted: String,
    /// The version at that settle.
    pub settled: Option<u64>,
    /// The value's type, `none` where there is none.
    pub kind: String,
    /// Bytes of memory that the value takes.
    pub bytes: u64,
    /// Milliseconds until it expires; none where it does not.
    pub expires_in_ms: Option<u64>,
    /// What is odd about it.
    pub note: String,
}

/// A key on all nodes, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The key.
    pub key: String,
    /// The register that it is part of.
    pub register: String,
    /// As each node holds it.
    pub nodes: Vec<KeyOnNode>,
    /// The rule by which a read is answered; empty where the nodes do not agree.
    pub rule: String,
    /// What that means.
    pub verdict: String,
    /// What would be repaired, and why.
    pub repairs: Vec<String>,
}

impl Healer {
    /// What every node holds of a key; changes nothing.
    pub async fn explain(&self, key: &[u8]) -> Explanation {
        let pass = self.pass_here();
        let register = pass.register_of(key);
        let now_ms = self.client.coordinator().now_ms();
        let looks = pass.nodes().iter().map(|node| look(node, &register, key, now_ms));
        let looks = join_all(looks).await;
        let mut round = ReadRound::new(Quorum::of(looks.len()));
        let mut step = ReadStep::Wait;
        for (place, (on_node, answer)) in looks.iter().enumerate() {
            let counts = on_node.role == "voter";
            let taken =
                round.on_answer(NodeIndex(place), if counts { answer.clone() } else { ReadAnswer::NoVote });
            step = if taken == ReadStep::Wait { step } else { taken };
        }
        let nodes: Vec<KeyOnNode> = looks.into_iter().map(|(on_node, _)| on_node).collect();
        let (rule, verdict) = verdict(&step, &round);
        let repairs = repairs(&nodes, &step, &round);
        let shown = key.escape_ascii().to_string();
        Explanation { key: shown, register: register.to_string(), nodes, rule, verdict, repairs }
    }
}

/// The node's word on the register, and what it has of the key.
async fn look(
    node: &Arc<RemoteNode>,
    register: &Register,
    key: &[u8],
    at_ms: u64,
) -> (KeyOnNode, ReadAnswer<Vec<Value>>) {
    let (role, note) = match node.seat() {
        Seat::Voter(_) => ("voter", String::new()),
        Seat::Joining => ("joining", "its answers do not count yet".to_owned()),
        Seat::Away(reason) => ("away", reason),
    };
    let mut found = KeyOnNode {
        node: node.name().to_owned(),
        role,
        version: None,
        digest: String::new(),
        promised: String::new(),
        accepted: String::new(),
        settled: None,
        kind: "unknown".into(),
        bytes: 0,
        expires_in_ms: None,
        note,
    };
    if role == "away" {
        return (found, ReadAnswer::NoVote);
    }
    let (record, keys) = (register.record_key(), [key.to_vec()]);
    let commands = [vec![b"TYPE".to_vec(), key.to_vec()]];
    let call = ReadCall { record: &record, keys: &keys, at_ms, commands: &commands };
    let reply = node.send(&|ticket| call.encode(ticket), PATIENCE).await.map(ReadReply::parse);
    found.kind = word(node, "TYPE", key).await;
    found.bytes = number(node, &["MEMORY", "USAGE"], key).await.unwrap_or(0);
    found.expires_in_ms = number(node, &["PTTL"], key).await;
    let answer = match reply {
        Ok(Ok(ReadReply::Report { promised, standing, replies, due_ms })) => {
            found.version = Some(standing.position.version.0);
            found.digest = standing.position.digest.to_string();
            found.promised = promised.to_string();
            found.accepted = standing.accepted.map(|ballot| ballot.to_string()).unwrap_or_default();
            found.settled = Some(standing.settled.0);
            ReadAnswer::Report { promised, standing, due_ms, reply: replies }
        }
        Ok(Ok(ReadReply::Absent(replies))) => ReadAnswer::Absent { reply: replies },
        Ok(Ok(ReadReply::Expiring(at_ms))) => {
            found.note = format!("is about to expire, or was lost: it is due at {at_ms} ms since 1970");
            ReadAnswer::Expiring { at_ms }
        }
        Ok(Ok(ReadReply::Refused(why))) => {
            found.note = why;
            ReadAnswer::NoVote
        }
        Ok(Ok(ReadReply::Fenced)) => {
            found.note = "its admission changed while it was asked".into();
            ReadAnswer::NoVote
        }
        Ok(Err(malformed)) => {
            found.note = malformed.to_string();
            ReadAnswer::NoVote
        }
        Err(error) => {
            found.note = error.to_string();
            ReadAnswer::NoVote
        }
    };
    (found, answer)
}

async fn word(node: &Arc<RemoteNode>, command: &str, key: &[u8]) -> String {
    match node.send(&|_| redis::cmd(command).arg(key).to_owned(), PATIENCE).await {
        Ok(Value::SimpleString(text)) => text,
        _ => "unknown".into(),
    }
}

/// None below zero, and where the node does not say.
async fn number(node: &Arc<RemoteNode>, command: &[&str], key: &[u8]) -> Option<u64> {
    let encode = |_: &crate::script::Ticket<'_>| {
        let mut cmd = redis::cmd(command[0]);
        command[1..].iter().for_each(|word| {
            cmd.arg(word);
        });
        cmd.arg(key);
        cmd
    };
    match node.send(&encode, PATIENCE).await {
        Ok(Value::Int(number)) => u64::try_from(number).ok(),
        _ => None,
    }
}

fn verdict(step: &ReadStep, round: &ReadRound<Vec<Value>>) -> (String, String) {
    let ReadStep::Decided(decided) = step else {
        let text = match step {
            ReadStep::Disagree(why)
                if why.reachable < Quorum::of(round.clone().into_answers().len()).majority() =>
            {
                "too few nodes answer to tell"
            }
            _ => "the nodes do not agree: a write is under way, or a slow read will decide (R4)",
        };
        return (String::new(), text.to_owned());
    };
    let text = match decided.rule {
        Rule::R1 => "all nodes hold the same history and promise: a read is answered at once (R1)",
        Rule::R2 => "a majority has settled this history: a read is answered at once (R2)",
        Rule::R3 => "a majority has no record: the key does not exist (R3)",
        Rule::W1 | Rule::W2 | Rule::Quorum => "decided",
    };
    (format!("{:?}", decided.rule), text.to_owned())
}

fn repairs(nodes: &[KeyOnNode], step: &ReadStep, round: &ReadRound<Vec<Value>>) -> Vec<String> {
    if !matches!(step, ReadStep::Decided(_)) {
        let text = "a slow read takes the history with the highest (accepted, version, digest) of a majority's promises (W2) and gives it to the others";
        return vec![text.to_owned()];
    }
    let needs = round.repairs().into_iter().filter_map(|(index, need)| {
        let node = nodes.get(index.0)?;
        let what = match need {
            RepairNeed::Confirm => "has, or may have, this history, and is told that it is settled",
            RepairNeed::State => "holds another history, or none, and is given this one",
        };
        Some(format!("{} {what}", node.node))
    });
    let mut lines: Vec<String> = needs.collect();
    let joining = nodes.iter().filter(|node| node.role == "joining");
    lines.extend(joining.map(|node| format!("{} is given every register before it votes", node.node)));
    lines
}
