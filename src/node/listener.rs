//! Listens to what nodes publish: one connection of its own to each node, opened when there is something to listen to.
//!
//! ```text
//!   who waits, who subscribes ── listen(topic) ─▶ Listeners ── wanted ─▶ a task per node ── SUBSCRIBE ─▶ node
//!            ◀── heard, confirmed, lost ─────────────┘◀── messages ──────────┘◀──────────────────────────┘
//! ```
//!
//! A message that a node publishes while no connection is there is gone. So everybody is told not only what was heard, but also when a
//! subscription was confirmed anew: from then on nothing is missed, and what was missed before must be found out otherwise.

use super::attend::attend;
use super::remote::RemoteNode;
use redis::Msg;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long a subscription outlives the last one who wanted it: who waits again and again does not subscribe each time.
const LINGERS: Duration = Duration::from_secs(2);

/// What is listened to: a channel, or all that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whether the name is a pattern.
    pub is_pattern: bool,
    /// As the node knows it.
    pub name: Vec<u8>,
}

/// Takes messages as they come, on the task of the connection: it must not wait.
pub trait Hear: Debug + Send + Sync {
    /// The node with this index has told this.
    fn heard(&self, node: usize, message: Msg);
}

/// What became of a topic so far.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Counts messages, and subscriptions that were confirmed: whoever saw the same number twice missed nothing in between, as far as
    /// enough subscriptions stayed alive.
    pub count: u64,
    /// Whether the subscription at each node is confirmed, and its connection answers.
    pub live: Vec<bool>,
}

impl Heard {
    /// How many subscriptions are alive.
    pub fn live(&self) -> usize {
        self.live.iter().filter(|live| **live).count()
    }
}

/// One topic.
#[derive(Debug)]
pub(super) struct Line {
    heard: watch::Sender<Heard>,
    hear: Option<Arc<dyn Hear>>,
}

impl Line {
    fn set_live(&self, node: usize, live: bool) {
        self.heard.send_if_modified(|heard| {
            let Some(slot) = heard.live.get_mut(node).filter(|slot| **slot != live) else { return false };
            *slot = live;
            heard.count += u64::from(live);
            true
        });
    }

    pub(super) fn take(&self, node: usize, message: Msg) {
        if let Some(hear) = &self.hear {
            hear.heard(node, message);
        }
        self.heard.send_modify(|heard| heard.count += 1);
    }
}

#[derive(Debug)]
struct Wanted {
    line: Arc<Line>,
    users: usize,
    idle_since: Option<Instant>,
}

/// All that a client listens to.
#[derive(Debug)]
pub struct Listeners {
    wanted: Mutex<HashMap<Topic, Wanted>>,
    tasks: RwLock<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    /// Of which the nodes are the members.
    generation: u64,
    all: Vec<Attending>,
}

/// The task of one node; its place is the node's index for ever.
#[derive(Debug)]
struct Attending {
    node: Weak<RemoteNode>,
    /// None once the node was removed: the task ends, and what it still hears of counts as not listened to.
    changes: Option<mpsc::UnboundedSender<Topic>>,
}

impl Listeners {
    /// Nothing is opened before somebody listens. The tasks end with the last handle.
    pub fn start(generation: u64, nodes: &[Arc<RemoteNode>]) -> Arc<Listeners> {
        let listeners = Arc::new(Listeners { wanted: Mutex::default(), tasks: RwLock::default() });
        listeners.follow(generation, nodes);
        listeners
    }

    /// Listens to these nodes, the members of this generation, and to no others any more; unless a later generation is known already.
    ///
    /// One that was removed must not count from now on: it hears of nothing that is committed without it. That its last handle is gone would
    /// be known too late, since its supervisor keeps one for seconds.
    pub fn follow(self: &Arc<Self>, generation: u64, nodes: &[Arc<RemoteNode>]) {
        // In this order, as `listen` does: whoever begins to listen meanwhile is told to all tasks.
        let all = self.wanted();
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        if generation < tasks.generation {
            return;
        }
        tasks.generation = generation;
        let is = |task: &Attending, node: &Arc<RemoteNode>| {
            std::ptr::eq(task.node.as_ptr(), Arc::as_ptr(node)) && task.changes.is_some()
        };
        for (index, task) in tasks.all.iter_mut().enumerate() {
            if !nodes.iter().any(|node| is(task, node)) {
                task.changes = None;
                all.values().for_each(|wanted| wanted.line.set_live(index, false));
            }
        }
        for node in nodes {
            if tasks.all.iter().any(|task| is(task, node)) {
                continue;
            }
            let (changes, hears) = mpsc::unbounded_channel();
            all.values().for_each(|wanted| wanted.line.heard.send_modify(|heard| heard.live.push(false)));
            tokio::spawn(attend(Arc::downgrade(self), Arc::downgrade(node), tasks.all.len(), hears));
            tasks.all.push(Attending { node: Arc::downgrade(node), changes: Some(changes) });
        }
        drop((all, tasks));
        self.stir();
    }

    /// Listens from now on, until what is answered is dropped. The first who listens to a topic says who takes its messages.
    pub fn listen(self: &Arc<Self>, topic: Topic, hear: Option<Arc<dyn Hear>>) -> Listening {
        let mut all = self.wanted();
        let live = vec![false; self.tasks().all.len()];
        let wanted = all.entry(topic.clone()).or_insert_with(|| Wanted {
            line: Arc::new(Line { heard: watch::Sender::new(Heard { count: 0, live }), hear }),
            users: 0,
            idle_since: None,
        });
        // One that lingers is subscribed to.
        let is_new = wanted.users == 0 && wanted.idle_since.is_none();
        wanted.users += 1;
        wanted.idle_since = None;
        let line = Arc::clone(&wanted.line);
        drop(all);
        if is_new {
            self.tell(&topic);
        }
        Listening { heard: line.heard.subscribe(), topic, listeners: Arc::clone(self) }
    }

    /// Makes everybody who waits look again.
    pub fn stir(&self) {
        self.wanted().values().for_each(|wanted| wanted.line.heard.send_modify(|heard| heard.count += 1));
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<Topic, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> RwLockReadGuard<'_, Tasks> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, topic: &Topic) {
        for changes in self.tasks().all.iter().filter_map(|task| task.changes.as_ref()) {
            // A task that is gone needs no news.
            let _ = changes.send(topic.clone());
        }
    }

    pub(super) fn topics(&self) -> Vec<Topic> {
        self.wanted().keys().cloned().collect()
    }

    pub(super) fn line(&self, topic: &Topic) -> Option<Arc<Line>> {
        self.wanted().get(topic).map(|wanted| Arc::clone(&wanted.line))
    }

    /// The subscription at this node is alive; it does not count where the node was removed meanwhile.
    pub(super) fn confirmed(&self, topic: &Topic, node: usize) {
        let all = self.wanted();
        let is_member = self.tasks().all.get(node).is_some_and(|task| task.changes.is_some());
        if let Some(wanted) = all.get(topic).filter(|_| is_member) {
            wanted.line.set_live(node, true);
        }
    }

    /// No subscription at this node is alive any more.
    pub(super) fn lost(&self, node: usize) {
        self.wanted().values().for_each(|wanted| wanted.line.set_live(node, false));
    }

    /// Drops what nobody wants any more.
    pub(super) fn sweep(&self) {
        let mut dropped = Vec::new();
        self.wanted().retain(|topic, wanted| {
            let stays = wanted.idle_since.is_none_or(|since| since.elapsed() < LINGERS);
            if !stays {
                dropped.push(topic.clone());
            }
            stays
        });
        dropped.iter().for_each(|topic| self.tell(topic));
    }

    fn leave(&self, topic: &Topic) {
        let mut all = self.wanted();
        let Some(wanted) = all.get_mut(topic) else { return };
        wanted.users = wanted.users.saturating_sub(1);
        wanted.idle_since = (wanted.users == 0).then(Instant::now);
        // Who reads messages comes and goes seldom, and others are to see that nobody listens.
        if wanted.users == 0 && wanted.line.hear.is_some() {
            all.remove(topic);
            drop(all);
            self.tell(topic);
        }
    }
}

/// Somebody who listens to a topic.
#[derive(Debug)]
pub struct Listening {
    topic: Topic,
    heard: watch::Receiver<Heard>,
    listeners: Arc<Listeners>,
}

/// Looks at what becomes of a topic, without making anybody listen to it.
#[derive(Clone, Debug)]
pub struct Watching(watch::Receiver<Heard>);

impl Listening {
    /// To look at it while this may be dropped.
    pub fn watch(&self) -> Watching {
        Watching(self.heard.clone())
    }

    /// What became of it so far.
    pub fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// As [`Watching::until`].
    pub async fn until(&self, holds: impl FnMut(&Heard) -> bool) {
        self.watch().until(holds).await;
    }
}

impl Watching {
    /// What became of it so far.
    pub fn heard(&self) -> Heard {
        self.0.borrow().clone()
    }

    /// Waits until this holds. Never comes back where nobody listens any more.
    pub async fn until(&self, holds: impl FnMut(&Heard) -> bool) {
        if self.0.clone().wait_for(holds).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.leave(&self.topic);
    }
}
