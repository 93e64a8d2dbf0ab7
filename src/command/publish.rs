//! PUBLISH and PUBSUB: on each node a channel has a name of its own, so that only messages of this client's kind are heard.

use super::refusal::Refusal;
use super::request::Request;
use super::row::Row;
use redis::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What stands before the names of channels on a node.
const CHANNEL: &[u8] = b"anrcho_pub:";
const SHARD_CHANNEL: &[u8] = b"anrcho_spub:";

/// The name of a channel, or of a pattern of channels, on a node.
pub fn on_node(is_shard: bool, name: &[u8]) -> Vec<u8> {
    [prefix(is_shard), name].concat()
}

/// The user's name of a node's channel; none for any other channel.
pub fn of_node(is_shard: bool, name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(prefix(is_shard))
}

fn prefix(is_shard: bool) -> &'static [u8] {
    if is_shard { SHARD_CHANNEL } else { CHANNEL }
}

/// A message to all who listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The channel on the nodes.
    pub channel: Vec<u8>,
    /// As the caller gave it.
    pub message: Vec<u8>,
}

/// PUBLISH channel message, SPUBLISH channel message
pub(super) fn publish(row: &Row, request: &Request<'_>) -> Publish {
    let channel = on_node(row.name == "spublish", request.arg(1));
    Publish { channel, message: request.arg(2).to_vec() }
}

/// A question about who listens, to all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Census {
    /// Which channels are listened to, of those that match.
    Channels {
        /// Of the sharded ones.
        is_shard: bool,
        /// A pattern.
        pattern: Vec<u8>,
    },
    /// How many listen to each.
    Listeners {
        /// Of the sharded ones.
        is_shard: bool,
        /// The channels.
        channels: Vec<Vec<u8>>,
    },
    /// How many patterns are listened to.
    Patterns,
}

/// PUBSUB CHANNELS|SHARDCHANNELS [pattern], NUMSUB|SHARDNUMSUB [channel ...], NUMPAT
pub(super) fn census(row: &Row, request: &Request<'_>) -> Result<Census, Refusal> {
    let is_shard = row.name.starts_with("pubsub|shard");
    match row.name {
        "pubsub|numpat" if request.len() == 2 => Ok(Census::Patterns),
        "pubsub|numsub" | "pubsub|shardnumsub" => {
            let channels = request.args().iter().skip(2).map(|channel| channel.to_vec()).collect();
            Ok(Census::Listeners { is_shard, channels })
        }
        "pubsub|channels" | "pubsub|shardchannels" if request.len() <= 3 => {
            let pattern = if request.len() == 3 { request.arg(2).to_vec() } else { b"*".to_vec() };
            Ok(Census::Channels { is_shard, pattern })
        }
        _ => {
            let name = String::from_utf8_lossy(request.arg(1));
            let words =
                format!("unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP.");
            Err(Refusal::Invalid(words))
        }
    }
}

impl Census {
    /// The command for a node. Sharded channels are ordinary ones there.
    pub fn command(&self) -> Vec<Vec<u8>> {
        let word = |text: &str| text.as_bytes().to_vec();
        match self {
            Self::Channels { is_shard, pattern } => {
                vec![word("PUBSUB"), word("CHANNELS"), on_node(*is_shard, pattern)]
            }
            Self::Listeners { is_shard, channels } => {
                let channels = channels.iter().map(|channel| on_node(*is_shard, channel));
                [word("PUBSUB"), word("NUMSUB")].into_iter().chain(channels).collect()
            }
            Self::Patterns => vec![word("PUBSUB"), word("NUMPAT")],
        }
    }

    /// One reply of all nodes' replies: what any of them knows, the largest number of any.
    pub fn joined(&self, replies: Vec<Value>) -> Value {
        match self {
            Self::Channels { is_shard, .. } => {
                let names = replies.into_iter().flat_map(items).filter_map(|item| match item {
                    Value::BulkString(name) => of_node(*is_shard, &name).map(<[u8]>::to_vec),
                    _ => None,
                });
                let names: BTreeSet<Vec<u8>> = names.collect();
                Value::Array(names.into_iter().map(Value::BulkString).collect())
            }
            Self::Listeners { is_shard, channels } => {
                let mut most: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
                for reply in replies {
                    let mut fields = items(reply).into_iter();
                    while let (Some(Value::BulkString(name)), Some(Value::Int(count))) =
                        (fields.next(), fields.next())
                    {
                        let seen = most.entry(name).or_default();
                        *seen = count.max(*seen);
                    }
                }
                let row = |channel: &Vec<u8>| {
                    let count = most.get(&on_node(*is_shard, channel)).copied().unwrap_or_default();
                    [Value::BulkString(channel.clone()), Value::Int(count)]
                };
                Value::Array(channels.iter().flat_map(row).collect())
            }
            Self::Patterns => {
                let counts = replies.into_iter().filter_map(|reply| match reply {
                    Value::Int(count) => Some(count),
                    _ => None,
                });
                Value::Int(counts.max().unwrap_or_default())
            }
        }
    }
}

fn items(reply: Value) -> Vec<Value> {
    match reply {
        Value::Array(items) => items,
        Value::Map(fields) => fields.into_iter().flat_map(|(name, value)| [name, value]).collect(),
        _ => Vec::new(),
    }
}
