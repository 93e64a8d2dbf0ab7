//! The task that keeps one node's subscriptions: connects, subscribes to what is wanted, and notices when the connection is dead.

use super::listener::{Listeners, Topic};
use super::remote::RemoteNode;
use super::{Node, Seat};
use crate::surroundings::Patience;
use futures_util::StreamExt;
use redis::RedisResult;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior};

/// How often a connection is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(1);
/// So long a connection stays open without any subscription.
const CLOSES_AFTER: Duration = Duration::from_secs(10);
/// The first pause after a failed connect; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// So many names go into one SUBSCRIBE.
const NAMES_AT_ONCE: usize = 200;

/// Why a connection was left.
enum Left {
    /// It is of no use any more.
    Broken,
    /// Nothing was listened to for a while.
    Idle,
    /// The client is gone, or the node was removed.
    Over,
}

type Changes = UnboundedReceiver<Topic>;

/// When the task ends before its time, as with its runtime, nobody may rely on its subscriptions.
struct Attended<'a> {
    listeners: &'a Weak<Listeners>,
    index: usize,
}

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        if let Some(all) = self.listeners.upgrade() {
            all.lost(self.index);
        }
    }
}

pub(super) async fn attend(
    listeners: Weak<Listeners>,
    node: Weak<RemoteNode>,
    index: usize,
    mut changes: Changes,
) {
    let _attended = Attended { listeners: &listeners, index };
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(all) = listeners.upgrade() else { return };
        // What is wanted is asked for anew with each connection; while there is none, news must not pile up.
        while changes.try_recv().is_ok() {}
        if changes.is_closed() {
            return;
        }
        all.sweep();
        let is_idle = all.topics().is_empty();
        drop(all);
        if is_idle {
            if changes.recv().await.is_none() {
                return;
            }
            continue;
        }
        let Some(strong) = node.upgrade() else { return };
        let opened = open(&strong).await;
        drop(strong);
        let Some(pubsub) = opened else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
            continue;
        };
        pause = FIRST_PAUSE;
        let (sink, stream) = pubsub.split();
        let control = Control {
            listeners: &listeners,
            index,
            sink,
            held: HashSet::new(),
            idle_since: None,
            was_refused: false,
        };
        let left = tokio::select! {
            left = control.run(&mut changes) => left,
            () = hear(&listeners, index, stream) => Left::Broken,
        };
        let Some(all) = listeners.upgrade() else { return };
        all.lost(index);
        match left {
            Left::Over => return,
            Left::Broken => tokio::time::sleep(FIRST_PAUSE).await,
            Left::Idle => {}
        }
    }
}

/// None where the node is away, or its server not reachable; and where the surroundings have no subscriptions at all.
async fn open(node: &Arc<RemoteNode>) -> Option<PubSub> {
    if matches!(node.seat(), Seat::Away(_)) {
        return None;
    }
    let config = &node.config;
    let patience = Patience { connect: config.connect_timeout, answer: config.answer_timeout };
    let opening = config.surroundings.listen(&node.client, patience);
    match tokio::time::timeout(config.connect_timeout, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::debug!(node = node.name(), %error, "cannot listen");
            None
        }
        Err(_) => None,
    }
}

async fn hear(listeners: &Weak<Listeners>, index: usize, mut stream: PubSubStream) {
    while let Some(message) = stream.next().await {
        let Some(all) = listeners.upgrade() else { return };
        let name: RedisResult<Vec<u8>> =
            if message.from_pattern() { message.get_pattern() } else { message.get_channel() };
        let Ok(name) = name else { continue };
        let topic = Topic { is_pattern: message.from_pattern(), name };
        if let Some(line) = all.line(&topic) {
            line.take(index, message);
        }
    }
}

struct Control<'a> {
    listeners: &'a Weak<Listeners>,
    index: usize,
    sink: PubSubSink,
    /// What the node has confirmed.
    held: HashSet<Topic>,
    idle_since: Option<Instant>,
    was_refused: bool,
}

impl Control<'_> {
    async fn run(mut self, changes: &mut Changes) -> Left {
        // First the news, then what is wanted: whatever comes in between is in both.
        while changes.try_recv().is_ok() {}
        let Some(all) = self.listeners.upgrade() else { return Left::Over };
        let mut changed = all.topics();
        drop(all);
        let mut ticks = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.follow(changed).await.is_none() {
                return Left::Broken;
            }
            changed = Vec::new();
            tokio::select! {
                topic = changes.recv() => {
                    let Some(topic) = topic else { return Left::Over };
                    changed.push(topic);
                    while let Ok(topic) = changes.try_recv() {
                        changed.push(topic);
                    }
                }
                _ = ticks.tick() => {
                    if let Some(left) = self.look().await {
                        return left;
                    }
                    changed = self.missing();
                }
            }
        }
    }

    /// What was refused: the user may be allowed to meanwhile.
    fn missing(&self) -> Vec<Topic> {
        let wanted = self.listeners.upgrade().map(|all| all.topics()).unwrap_or_default();
        wanted.into_iter().filter(|topic| !self.held.contains(topic)).collect()
    }

    /// Asks whether the node is still there; leaves when nothing is listened to for long.
    async fn look(&mut self) -> Option<Left> {
        let Some(all) = self.listeners.upgrade() else { return Some(Left::Over) };
        all.sweep();
        drop(all);
        let idle_since = *self.idle_since.get_or_insert_with(Instant::now);
        if !self.held.is_empty() {
            self.idle_since = None;
        } else if idle_since.elapsed() >= CLOSES_AFTER {
            return Some(Left::Idle);
        }
        let mut sink = self.sink.clone();
        let answered = in_time(sink.ping::<redis::Value>()).await;
        answered.is_none().then_some(Left::Broken)
    }

    /// Brings the subscriptions of these topics in line with what is wanted.
    async fn follow(&mut self, changed: Vec<Topic>) -> Option<()> {
        let all = self.listeners.upgrade()?;
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for topic in changed.into_iter().collect::<HashSet<_>>() {
            match all.line(&topic) {
                // Subscribed to all the time, for those who were there before.
                Some(_) if self.held.contains(&topic) => all.confirmed(&topic, self.index),
                Some(_) => wanted.push(topic),
                None if self.held.remove(&topic) => unwanted.push(topic),
                None => {}
            }
        }
        drop(all);
        for is_pattern in [false, true] {
            let of_kind = |topics: &[Topic]| -> Vec<Topic> {
                topics.iter().filter(|topic| topic.is_pattern == is_pattern).cloned().collect()
            };
            for topics in of_kind(&unwanted).chunks(NAMES_AT_ONCE) {
                self.unsubscribe(topics, is_pattern).await?;
            }
            for topics in of_kind(&wanted).chunks(NAMES_AT_ONCE) {
                self.subscribe(topics, is_pattern).await?;
            }
        }
        Some(())
    }

    async fn subscribe(&mut self, topics: &[Topic], is_pattern: bool) -> Option<()> {
        let names: Vec<&[u8]> = topics.iter().map(|topic| topic.name.as_slice()).collect();
        let mut sink = self.sink.clone();
        let answered = match is_pattern {
            true => in_time(sink.psubscribe(names)).await?,
            false => in_time(sink.subscribe(names)).await?,
        };
        if let Err(error) = answered {
            // The user may not: nobody is told that the subscription is there, and who waits asks now and then.
            if !std::mem::replace(&mut self.was_refused, true) {
                tracing::warn!(%error, "a node refuses a subscription");
            }
            return (!error.is_connection_dropped() && !error.is_unrecoverable_error()).then_some(());
        }
        let all = self.listeners.upgrade()?;
        for topic in topics {
            self.held.insert(topic.clone());
            all.confirmed(topic, self.index);
        }
        Some(())
    }

    async fn unsubscribe(&mut self, topics: &[Topic], is_pattern: bool) -> Option<()> {
        let names: Vec<&[u8]> = topics.iter().map(|topic| topic.name.as_slice()).collect();
        let mut sink = self.sink.clone();
        let answered = match is_pattern {
            true => in_time(sink.punsubscribe(names)).await?,
            false => in_time(sink.unsubscribe(names)).await?,
        };
        answered.ok()
    }
}

/// A connection that does not answer in time is dead.
async fn in_time<T>(asking: impl Future<Output = RedisResult<T>>) -> Option<RedisResult<T>> {
    match tokio::time::timeout(PING_EVERY, asking).await {
        Ok(Err(error)) if error.is_connection_dropped() => None,
        answered => answered.ok(),
    }
}
