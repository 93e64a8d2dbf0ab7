//! SUBSCRIBE and its kin: what comes is pushed to the client as it comes.

use super::{bulk, int, refuse};
use crate::client::steps::reply_or_error;
use crate::client::{Delivery, PubSubSink, SubscriptionKind};
use crate::proxy::dialogue::{Dialogue, Step};
use crate::proxy::request::Request;
use redis::Value;

/// What a client that subscribes in RESP2 may say besides.
const BESIDES: [&str; 3] = ["ping", "quit", "reset"];

/// The kind, and whether it is taken back.
fn meaning(name: &str) -> Option<(SubscriptionKind, bool)> {
    match name {
        "subscribe" => Some((SubscriptionKind::Channel, false)),
        "psubscribe" => Some((SubscriptionKind::Pattern, false)),
        "ssubscribe" => Some((SubscriptionKind::Shard, false)),
        "unsubscribe" => Some((SubscriptionKind::Channel, true)),
        "punsubscribe" => Some((SubscriptionKind::Pattern, true)),
        "sunsubscribe" => Some((SubscriptionKind::Shard, true)),
        _ => None,
    }
}

/// Whether a client that speaks RESP2 and subscribes may say this.
pub fn is_allowed(name: &str) -> bool {
    meaning(name).is_some() || BESIDES.contains(&name)
}

/// The refusal of anything else.
pub fn refusal(name: &str) -> Step {
    refuse(&format!(
        "ERR Can't execute '{name:.128}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    ))
}

/// PING of a client that subscribes in RESP2.
pub fn pong(request: &Request) -> Value {
    Value::Array(vec![bulk("pong"), bulk(request.word(1))])
}

/// (P|S)SUBSCRIBE name ... and (P|S)UNSUBSCRIBE [name ...]: a message of its own for each.
pub fn answer(with: &mut Dialogue, name: &str, request: &Request) -> Step {
    let Some((kind, takes_back)) = meaning(name) else {
        return refuse("ERR syntax error");
    };
    let word = name.to_owned();
    let names: Vec<Vec<u8>> = request.words()[1..].iter().map(|word| word.to_vec()).collect();
    if takes_back {
        return Step::Now(unsubscribe(with.ears.as_ref(), kind, &word, names));
    }
    let sink = with.ears.get_or_insert_with(|| {
        let (sink, stream) = with.shared.client.pubsub().split();
        with.new_stream = Some(stream);
        sink
    });
    let sink = sink.clone();
    Step::Alone(Box::pin(async move {
        let mut told = Vec::with_capacity(names.len());
        for name in names {
            match sink.add(kind, &name).await {
                Ok(count) => told.push(message(&word, bulk(name), int(count))),
                Err(error) => told.push(reply_or_error(Err(error))),
            }
        }
        Value::Array(told)
    }))
}

fn unsubscribe(sink: Option<&PubSubSink>, kind: SubscriptionKind, word: &str, names: Vec<Vec<u8>>) -> Value {
    let names = match sink {
        Some(sink) if names.is_empty() => sink.names(kind),
        _ => names,
    };
    let count = |name: &[u8]| sink.map_or(0, |sink| sink.remove(kind, name));
    if names.is_empty() {
        // A name that nobody can have taken back: only the number is wanted.
        return Value::Array(vec![message(word, Value::Nil, int(sink.map_or(0, |sink| others(sink, kind))))]);
    }
    let told = names.into_iter().map(|name| {
        let left = count(&name);
        message(word, bulk(name), int(left))
    });
    Value::Array(told.collect())
}

/// How many subscriptions are counted with those of this kind.
fn others(sink: &PubSubSink, kind: SubscriptionKind) -> usize {
    match kind {
        SubscriptionKind::Shard => sink.names(SubscriptionKind::Shard).len(),
        _ => sink.names(SubscriptionKind::Channel).len() + sink.names(SubscriptionKind::Pattern).len(),
    }
}

fn message(word: &str, name: Value, count: Value) -> Value {
    Value::Array(vec![bulk(word), name, count])
}

/// What comes, as the client gets it.
pub fn delivered(delivery: Delivery) -> Value {
    let word = match delivery.kind {
        SubscriptionKind::Channel => "message",
        SubscriptionKind::Pattern => "pmessage",
        SubscriptionKind::Shard => "smessage",
    };
    let mut parts = vec![bulk(word)];
    parts.extend(delivery.pattern.map(bulk));
    parts.extend([bulk(delivery.channel), bulk(delivery.payload)]);
    Value::Array(parts)
}
