//! Subscribers: what redis-rs' `aio::PubSub` is to one server, over all nodes.

use super::exchange::{Exchange, Inbox, Outbox, mailbox};
use super::{Client, Delivery, SubscriptionKind};
use crate::command::on_node;
use crate::error::{Error, Failures};
use crate::node::{Hear, Listening, Topic};
use futures_util::Stream;
use redis::{Msg, RedisResult, ToRedisArgs};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::time::timeout;

impl Client {
    /// A subscriber without subscriptions.
    ///
    /// It hears each message once, though every node carries it, and goes on when a node dies, hangs or restarts: while N-M+1 nodes (a majority of three)
    /// are listened to, nothing that was published successfully is missed. Messages of one publisher come in its order as long as no node lacks some of
    /// them. As in Redis a message is for those who listen when it is published, and nobody hears it twice,
    /// within bounds on what comes thousands of messages late; the README has them.
    ///
    /// Subscribers of one client share one connection to each node. One that leaves 65,536 messages or 32 MiB unread is dropped: its stream ends.
    ///
    /// ```no_run
    /// # async fn example(store: anarchoredis::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt;
    /// use redis::AsyncCommands;
    ///
    /// let mut pubsub = store.pubsub();
    /// pubsub.subscribe("news").await?;
    /// let () = store.clone().publish("news", "hello").await?;
    /// let message = pubsub.on_message().next().await.ok_or("dropped for not reading")?;
    /// assert_eq!(message.get_payload::<String>()?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn pubsub(&self) -> PubSub {
        let (outbox, inbox) = mailbox();
        let subscriptions = Arc::new(Subscriptions { client: self.clone(), outbox, all: Mutex::default() });
        let stream = PubSubStream { inbox, subscriptions: Arc::clone(&subscriptions) };
        PubSub { sink: PubSubSink { subscriptions }, stream }
    }
}

/// A subscriber, with the methods of `redis::aio::PubSub`.
#[derive(Debug)]
pub struct PubSub {
    sink: PubSubSink,
    stream: PubSubStream,
}

/// The part that subscribes and unsubscribes. Clones share the subscriptions, which end with the stream.
#[derive(Clone, Debug)]
pub struct PubSubSink {
    subscriptions: Arc<Subscriptions>,
}

/// The part that messages come from. It ends where the subscriber was dropped for not reading.
#[derive(Debug)]
pub struct PubSubStream {
    inbox: Inbox,
    subscriptions: Arc<Subscriptions>,
}

#[derive(Debug)]
struct Subscriptions {
    client: Client,
    outbox: Arc<Outbox>,
    all: Mutex<BTreeMap<(SubscriptionKind, Vec<u8>), Listening>>,
}

impl Subscriptions {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(SubscriptionKind, Vec<u8>), Listening>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let all = std::mem::take(&mut *self.all());
        for (kind, name) in all.keys() {
            self.exchange().leave(&topic(*kind, name), &self.outbox);
        }
    }

    fn exchange(&self) -> &Arc<Exchange> {
        &self.client.inner.exchange
    }
}

fn topic(kind: SubscriptionKind, name: &[u8]) -> Topic {
    Topic {
        is_pattern: kind == SubscriptionKind::Pattern,
        name: on_node(kind == SubscriptionKind::Shard, name),
    }
}

impl PubSubSink {
    /// Subscribes to one more, and answers how many subscriptions there are then, as Redis counts them: channels and patterns together, sharded channels
    /// apart. Comes back when enough nodes have confirmed it that no message published from then on is missed.
    pub async fn add(&self, kind: SubscriptionKind, name: &[u8]) -> Result<usize, Error> {
        let subscriptions = &self.subscriptions;
        let client = &subscriptions.client;
        let topic = topic(kind, name);
        let confirmed = {
            let mut all = subscriptions.all();
            let hear: Arc<dyn Hear> = Arc::clone(subscriptions.exchange()) as Arc<dyn Hear>;
            let listening = || {
                subscriptions.exchange().join(&topic, &subscriptions.outbox);
                client.inner.listeners.listen(topic.clone(), Some(hear))
            };
            all.entry((kind, name.to_vec())).or_insert_with(listening).watch()
        };
        let needed = client.ears_needed();
        let confirming = confirmed.until(|heard| heard.live() >= needed);
        if timeout(client.inner.config.operation_timeout, confirming).await.is_err() {
            let reached = confirmed.heard().live();
            return Err(Error::NoQuorum { needed, reached, failures: Failures::default() });
        }
        Ok(self.count(kind))
    }

    /// Takes a subscription back, and answers how many there are then.
    pub fn remove(&self, kind: SubscriptionKind, name: &[u8]) -> usize {
        if self.subscriptions.all().remove(&(kind, name.to_vec())).is_some() {
            self.subscriptions.exchange().leave(&topic(kind, name), &self.subscriptions.outbox);
        }
        self.count(kind)
    }

    /// The names of this kind that are subscribed to.
    pub fn names(&self, kind: SubscriptionKind) -> Vec<Vec<u8>> {
        let all = self.subscriptions.all();
        all.keys().filter(|(other, _)| *other == kind).map(|(_, name)| name.clone()).collect()
    }

    fn count(&self, kind: SubscriptionKind) -> usize {
        let is_shard = kind == SubscriptionKind::Shard;
        self.subscriptions
            .all()
            .keys()
            .filter(|(other, _)| (*other == SubscriptionKind::Shard) == is_shard)
            .count()
    }

    async fn add_all(&self, kind: SubscriptionKind, names: impl ToRedisArgs) -> RedisResult<()> {
        let names = names.to_redis_args();
        let adding = names.iter().map(|name| self.add(kind, name));
        for added in futures_util::future::join_all(adding).await {
            added?;
        }
        Ok(())
    }

    fn remove_all(&self, kind: SubscriptionKind, names: impl ToRedisArgs) -> RedisResult<()> {
        let named = names.to_redis_args();
        let named = if named.is_empty() { self.names(kind) } else { named };
        for name in &named {
            self.remove(kind, name);
        }
        Ok(())
    }
}

/// The methods that redis-rs has on both a subscriber and its sink.
macro_rules! subscribing {
    ($type:ty, $sink:ident) => {
        impl $type {
            /// Subscribes to channels. Fails where too few nodes confirm it within the operation's time-out; it is asked for further, until it is taken back.
            pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().add_all(SubscriptionKind::Channel, channels).await
            }

            /// Takes subscriptions to channels back; all of them where none is named.
            pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().remove_all(SubscriptionKind::Channel, channels)
            }

            /// Subscribes to all channels that match a pattern.
            pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().add_all(SubscriptionKind::Pattern, patterns).await
            }

            /// Takes subscriptions to patterns back; all of them where none is named.
            pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().remove_all(SubscriptionKind::Pattern, patterns)
            }

            /// Subscribes to sharded channels.
            pub async fn ssubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().add_all(SubscriptionKind::Shard, channels).await
            }

            /// Takes subscriptions to sharded channels back; all of them where none is named.
            pub async fn sunsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
                self.$sink().remove_all(SubscriptionKind::Shard, channels)
            }
        }
    };
}

subscribing!(PubSub, sink);
subscribing!(PubSubSink, itself);

impl PubSubSink {
    fn itself(&self) -> &PubSubSink {
        self
    }
}

impl PubSub {
    fn sink(&self) -> &PubSubSink {
        &self.sink
    }

    /// The messages, while it is borrowed.
    pub fn on_message(&mut self) -> impl Stream<Item = Msg> + '_ {
        &mut self.stream
    }

    /// The messages.
    pub fn into_on_message(self) -> PubSubStream {
        self.stream
    }

    /// Both parts, to subscribe to more while messages come.
    pub fn split(self) -> (PubSubSink, PubSubStream) {
        (self.sink, self.stream)
    }
}

impl PubSubStream {
    /// The next message, with the kind of the subscription that brings it; none where the subscriber was dropped for not reading.
    pub async fn next_delivery(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|context| self.poll_delivery(context)).await
    }

    /// Whether so much was left unread that the subscriber was dropped.
    pub fn is_overrun(&self) -> bool {
        self.inbox.is_overrun()
    }

    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let polled = self.inbox.deliveries.poll_recv(context);
        if let Poll::Ready(Some(delivery)) = &polled {
            self.inbox.took(delivery);
        }
        polled
    }
}

impl Drop for PubSubStream {
    fn drop(&mut self) {
        self.subscriptions.end();
    }
}

impl Stream for PubSubStream {
    type Item = Msg;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Msg>> {
        self.poll_delivery(context).map(|delivery| delivery.and_then(Delivery::into_msg))
    }
}
