//! ANARCHO: what no Redis has.
//!
//! ```text
//!   ANARCHO STATUS                       how the store and this proxy do
//!   ANARCHO NODES                        how each node does
//!   ANARCHO VERSION key                  length and digest of the key's history, or nil
//!   ANARCHO EXPLAIN key                  what each node holds of the key's register
//!   ANARCHO CONSISTENCY [level]          this connection's level: linearizable (high), quorum (medium), one (low)
//!   ANARCHO WITH level command [arg ...] one command at that level
//! ```

use super::wait::{Look, looks};
use super::{bulk, int, refuse, sub, unknown_sub, wrong_arity};
use crate::client::Client;
use crate::client::steps::reply_or_error;
use crate::command::Plan;
use crate::config::Consistency;
use crate::node::{Node, Seat};
use crate::proxy::dialogue::{Dialogue, Step, name_of};
use crate::proxy::request::Request;
use crate::proxy::shared::Shared;
use redis::Value;

/// ANARCHO subcommand ...
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    match (sub(request).as_str(), request.len()) {
        ("status", 2) => Step::Now(status(&with.shared, &with.client)),
        ("nodes", 2) => Step::Now(nodes(&with.client)),
        ("version", 3) => version(with, request),
        ("explain", 3) => explain(with, request),
        ("consistency", 2) => Step::Now(bulk(name_of_level(with.client.consistency()))),
        ("consistency", 3) => set_level(with, request),
        ("with", 4..) => one_at(with, request),
        ("", _) => wrong_arity("anarcho"),
        (sub @ ("status" | "nodes" | "version" | "explain" | "consistency" | "with"), _) => {
            wrong_arity(&format!("anarcho|{sub}"))
        }
        _ => unknown_sub("anarcho", request),
    }
}

/// A level by its name here, or by RedisRaft's.
pub fn level(name: &[u8]) -> Option<Consistency> {
    match name.to_ascii_lowercase().as_slice() {
        b"linearizable" | b"high" => Some(Consistency::Linearizable),
        b"quorum" | b"medium" => Some(Consistency::Quorum),
        b"one" | b"low" => Some(Consistency::One),
        _ => None,
    }
}

fn name_of_level(level: Consistency) -> &'static str {
    match level {
        Consistency::Linearizable => "linearizable",
        Consistency::Quorum => "quorum",
        Consistency::One => "one",
    }
}

const NO_LEVEL: &str = "ERR there is no such level: linearizable (high), quorum (medium) or one (low)";

fn set_level(with: &mut Dialogue, request: &Request) -> Step {
    let Some(level) = level(request.word(2)) else { return refuse(NO_LEVEL) };
    if !with.session.is_plain() {
        return refuse("ERR the level cannot change while keys are watched");
    }
    with.client = with.client.with_consistency(level);
    with.session = with.client.session();
    Step::Now(Value::Okay)
}

/// One command of the store at a level of its own.
fn one_at(with: &mut Dialogue, request: &Request) -> Step {
    let Some(level) = level(request.word(2)) else { return refuse(NO_LEVEL) };
    let inner = request.after(3);
    if super::is_ours(&name_of(&inner)) {
        return refuse("ERR only commands on data have a level");
    }
    let client = with.client.with_consistency(level);
    let plan = match client.plan(&inner.words()) {
        Ok(plan) => plan,
        Err(error) => return Step::Now(reply_or_error(Err(error))),
    };
    if let Plan::Write(call) = &plan {
        with.last_write = call.keys.first().cloned();
    }
    let before = std::mem::replace(&mut with.client, client.clone());
    let refusal = with.no_quorum();
    with.client = before;
    match refusal {
        Some(refusal) => Step::Now(refusal),
        None => Step::Alone(Box::pin(async move { reply_or_error(client.run_plan(plan).await) })),
    }
}

fn status(shared: &Shared, client: &Client) -> Value {
    let repairs = client.repairs();
    Value::Map(vec![
        (bulk("nodes"), int(client.nodes().len())),
        (bulk("voters"), int(shared.voters())),
        (bulk("majority"), int(shared.majority())),
        (bulk("ready"), int(i64::from(shared.has_quorum()))),
        (bulk("consistency"), bulk(name_of_level(client.consistency()))),
        (bulk("repairs_requested"), int(repairs.requested)),
        (bulk("repairs_done"), int(repairs.done)),
        (bulk("repairs_failed"), int(repairs.failed)),
        (bulk("repairs_overflowed"), int(repairs.overflowed)),
        (bulk("repairs_waiting"), int(repairs.waiting)),
    ])
}

/// A node's seat in a word, and the reason where there is one.
pub fn seat_words(seat: &Seat) -> (&'static str, String) {
    match seat {
        Seat::Voter(_) => ("voter", String::new()),
        Seat::Joining => ("joining", "it is being filled from the others".into()),
        Seat::Away(reason) => ("away", reason.clone()),
    }
}

fn nodes(client: &Client) -> Value {
    let roster = client.inner().roster();
    let told = roster.nodes.iter().map(|node| {
        let (seat, reason) = seat_words(&node.seat());
        let epoch = match node.seat() {
            Seat::Voter(epoch) => epoch.0,
            _ => 0,
        };
        Value::Map(vec![
            (bulk("address"), bulk(node.name())),
            (bulk("seat"), bulk(seat)),
            (bulk("reason"), bulk(reason)),
            (bulk("epoch"), int(epoch)),
            (bulk("usual_latency_us"), int(node.usual_latency().as_micros())),
            (bulk("clock_offset_ms"), int(node.clock_offset_ms())),
        ])
    });
    Value::Array(told.collect())
}

fn version(with: &Dialogue, request: &Request) -> Step {
    let (client, key) = (with.client.clone(), request.word(2).to_vec());
    Step::Alone(Box::pin(async move {
        match client.version(&key).await {
            Ok(Some(position)) => {
                Value::Array(vec![int(position.version.0), bulk(position.digest.to_string())])
            }
            Ok(None) => Value::Nil,
            Err(error) => reply_or_error(Err(error)),
        }
    }))
}

fn explain(with: &Dialogue, request: &Request) -> Step {
    let (client, key) = (with.client.clone(), request.word(2).to_vec());
    Step::Alone(Box::pin(async move {
        let register = client.table().scopes().register_of(&key);
        let looks = looks(&client, &register).await;
        Value::Map(vec![
            (bulk("register"), bulk(register.id())),
            (bulk("record"), bulk(register.record_key())),
            (bulk("nodes"), Value::Array(looks.iter().map(told).collect())),
        ])
    }))
}

/// What one node holds of a register.
fn told(look: &Look) -> Value {
    let (seat, reason) = seat_words(&look.seat);
    let mut fields = vec![(bulk("node"), bulk(look.node.clone())), (bulk("seat"), bulk(seat))];
    let mut add = |name: &str, value: Value| fields.push((bulk(name), value));
    match &look.standing {
        Some((promised, standing)) => {
            let accepted = standing.accepted.map(|ballot| ballot.to_string()).unwrap_or_default();
            add("version", int(standing.position.version.0));
            add("digest", bulk(standing.position.digest.to_string()));
            add("settled", int(standing.settled.0));
            add("accepted", bulk(accepted));
            add("promised", bulk(promised.to_string()));
        }
        None if look.error.is_none() => add("version", Value::Nil),
        None => {}
    }
    if let Some(error) = &look.error {
        add("error", bulk(error.clone()));
    }
    if !reason.is_empty() {
        add("reason", bulk(reason));
    }
    Value::Map(fields)
}
