//! From what the nodes carry to what subscribers hear: each message once, though every node carries it.
//!
//! A message travels as `PUBLISHER-SEQUENCE MESSAGE`, both numbers 16 hex digits. Each publisher sends its messages to every node in the order of
//! their sequence, over one connection, so that each node hands them on in that order; the first copy of each counts, and the firsts of ordered copies
//! are in order. Where a node lacks some that others carry (it was cut off, or lags), a message may overtake an earlier one. [`Once`] remembers what was
//! heard, and says within which bounds none is heard twice.

use super::once::Once;
use crate::command::of_node;
use crate::node::{Hear, Topic};
use redis::{Msg, PushKind, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What stands before a message: two numbers of 16 hex digits, with a dash between and a space behind.
pub(super) const ENVELOPE: usize = 34;
/// What was heard of a topic is remembered for so long after its last subscriber left.
const FORGETS_AFTER: Duration = Duration::from_secs(60);
/// A subscriber that has left so many messages, or bytes, unread is dropped, as Redis drops it.
const UNREAD_MESSAGES: usize = 65_536;
const UNREAD_BYTES: usize = 32 * 1024 * 1024;

/// What somebody subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubscriptionKind {
    /// One channel: SUBSCRIBE.
    Channel,
    /// All channels whose names match: PSUBSCRIBE.
    Pattern,
    /// One sharded channel: SSUBSCRIBE.
    Shard,
}

/// One message, as one subscription brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of which kind the subscription is.
    pub kind: SubscriptionKind,
    /// The pattern, where it is one of those.
    pub pattern: Option<Vec<u8>>,
    /// The channel that it was published on.
    pub channel: Vec<u8>,
    /// The message.
    pub payload: Vec<u8>,
}

impl Delivery {
    /// As redis-rs has it.
    pub fn into_msg(self) -> Option<Msg> {
        let kind = match self.kind {
            SubscriptionKind::Channel => PushKind::Message,
            SubscriptionKind::Pattern => PushKind::PMessage,
            SubscriptionKind::Shard => PushKind::SMessage,
        };
        let fields = self.pattern.into_iter().chain([self.channel, self.payload]);
        Msg::from_owned_value(Value::Push { kind, data: fields.map(Value::BulkString).collect() })
    }

    fn bytes(&self) -> usize {
        64 + self.channel.len() + self.payload.len()
    }
}

/// The reading end of a subscriber.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) deliveries: mpsc::UnboundedReceiver<Delivery>,
    post: Arc<Post>,
}

/// The end that messages are put in.
#[derive(Debug)]
pub(super) struct Outbox {
    deliveries: Mutex<Option<mpsc::UnboundedSender<Delivery>>>,
    post: Arc<Post>,
}

#[derive(Debug, Default)]
struct Post {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    is_overrun: AtomicBool,
}

pub(super) fn mailbox() -> (Arc<Outbox>, Inbox) {
    let (sender, deliveries) = mpsc::unbounded_channel();
    let post = Arc::new(Post::default());
    let outbox = Outbox { deliveries: Mutex::new(Some(sender)), post: Arc::clone(&post) };
    (Arc::new(outbox), Inbox { deliveries, post })
}

impl Outbox {
    fn put(&self, delivery: Delivery) {
        let mut sender = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = self.post.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.post.bytes.fetch_add(delivery.bytes(), Ordering::Relaxed) + delivery.bytes();
        if messages > UNREAD_MESSAGES || bytes > UNREAD_BYTES {
            self.post.is_overrun.store(true, Ordering::Relaxed);
            *sender = None;
        }
        if let Some(sender) = &*sender {
            // Who does not read any more misses nothing.
            let _ = sender.send(delivery);
        }
    }
}

impl Inbox {
    /// Whoever takes one says so.
    pub(super) fn took(&self, delivery: &Delivery) {
        self.post.messages.fetch_sub(1, Ordering::Relaxed);
        self.post.bytes.fetch_sub(delivery.bytes(), Ordering::Relaxed);
    }

    pub(super) fn is_overrun(&self) -> bool {
        self.post.is_overrun.load(Ordering::Relaxed)
    }
}

/// One topic's subscribers, and what it has brought.
#[derive(Debug, Default)]
struct Desk {
    once: Once,
    outboxes: Vec<Arc<Outbox>>,
    idle_since: Option<Instant>,
}

/// All topics of a client.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    desks: Mutex<HashMap<Topic, Desk>>,
    swept: Mutex<Option<Instant>>,
}

impl Exchange {
    fn desks(&self) -> MutexGuard<'_, HashMap<Topic, Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, topic: &Topic, outbox: &Arc<Outbox>) {
        self.sweep();
        let mut desks = self.desks();
        let desk = desks.entry(topic.clone()).or_default();
        desk.idle_since = None;
        desk.outboxes.push(Arc::clone(outbox));
    }

    /// Forgets what was heard on topics that nobody wants any more; looks at most as often as that may be due.
    fn sweep(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|swept| swept.elapsed() >= FORGETS_AFTER / 4) {
            *swept = Some(Instant::now());
            self.desks()
                .retain(|_, desk| desk.idle_since.is_none_or(|since| since.elapsed() < FORGETS_AFTER));
        }
    }

    pub(super) fn leave(&self, topic: &Topic, outbox: &Arc<Outbox>) {
        if let Some(desk) = self.desks().get_mut(topic) {
            desk.outboxes.retain(|other| !Arc::ptr_eq(other, outbox));
            desk.idle_since = desk.outboxes.is_empty().then(Instant::now);
        }
    }
}

/// Publisher and sequence.
fn envelope(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix(' ')?;
    let (publisher, sequence) = text.split_once('-')?;
    Some((u64::from_str_radix(publisher, 16).ok()?, u64::from_str_radix(sequence, 16).ok()?))
}

impl Hear for Exchange {
    fn heard(&self, _node: usize, message: Msg) {
        let is_pattern = message.from_pattern();
        let name = if is_pattern { message.get_pattern::<Vec<u8>>() } else { message.get_channel() };
        let (Ok(name), Ok(channel)) = (name, message.get_channel::<Vec<u8>>()) else { return };
        // What somebody else publishes on such a channel is no message of ours.
        let Some((head, payload)) = message.get_payload_bytes().split_at_checked(ENVELOPE) else { return };
        let Some((publisher, sequence)) = envelope(head) else { return };
        let is_shard = of_node(true, &channel).is_some();
        let Some(channel) = of_node(is_shard, &channel) else { return };
        let topic = Topic { is_pattern, name };
        let mut desks = self.desks();
        let Some(desk) = desks.get_mut(&topic) else { return };
        if !desk.once.is_new(publisher, sequence) {
            return;
        }
        let kind = match (is_pattern, is_shard) {
            (true, _) => SubscriptionKind::Pattern,
            (false, true) => SubscriptionKind::Shard,
            (false, false) => SubscriptionKind::Channel,
        };
        let pattern = is_pattern.then(|| of_node(false, &topic.name).unwrap_or_default().to_vec());
        let delivery = Delivery { kind, pattern, channel: channel.to_vec(), payload: payload.to_vec() };
        desk.outboxes.iter().for_each(|outbox| outbox.put(delivery.clone()));
    }
}
