//! The public API: a client that looks like one Redis connection and is backed by all nodes.

mod ask;
mod blocking;
mod builder;
mod connection;
mod exchange;
mod generation;
mod kill;
mod lines;
mod once;
mod pipeline;
mod publish;
mod pubsub;
mod roster;
mod run;
mod session;
pub(crate) mod steps;
mod transaction;
mod versions;
mod walk;

pub use builder::Builder;
pub use exchange::{Delivery, SubscriptionKind};
pub use pubsub::{PubSub, PubSubSink, PubSubStream};
pub(crate) use roster::{Roster, move_server};
pub use session::Session;
pub use versions::{Applied, KeySnapshot};

use crate::command::Table;
use crate::config::{Config, Consistency};
use crate::coordinator::{Coordinator, RepairCounts};
use crate::error::Error;
use crate::node::{Listeners, Node, RemoteNode, Seat};
use crate::telemetry::Telemetry;
use roster::Starter;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// A handle to the replicated store. Cheap to clone, `Send + Sync`; clones share connections, queues and clock.
///
/// It implements [`redis::aio::ConnectionLike`], so `redis::AsyncCommands`, `redis::cmd` and pipelines work on it as they do on a
/// connection to one Redis.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use redis::AsyncCommands;
///
/// let mut store = anarchoredis::Client::builder()
///     .nodes(["redis://127.0.0.1:7001", "redis://127.0.0.1:7002", "redis://127.0.0.1:7003"])
///     .connect()
///     .await?;
/// let _: () = store.set("greeting", "hello").await?;
/// let greeting: String = store.get("greeting").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
    consistency: Consistency,
}

#[derive(Debug)]
pub(crate) struct Inner {
    coordinator: Arc<Coordinator>,
    roster: RwLock<Arc<Roster>>,
    starter: Starter,
    listeners: Arc<Listeners>,
    lines: Arc<lines::Lines>,
    exchange: Arc<exchange::Exchange>,
    publisher: publish::Publisher,
    table: Table,
    config: Arc<Config>,
}

/// How one node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its address.
    pub address: String,
    /// What it counts as now.
    pub seat: Seat,
}

impl Client {
    /// Starts with the addresses of the nodes.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same store, with another promise for each reply. Costs nothing; use it for single calls.
    ///
    /// ```no_run
    /// # async fn example(store: anarchoredis::Client) -> redis::RedisResult<()> {
    /// use anarchoredis::Consistency;
    /// use redis::AsyncCommands;
    /// let fresh_enough: Option<String> = store.with_consistency(Consistency::Quorum).get("greeting").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_consistency(&self, consistency: Consistency) -> Client {
        Client { inner: Arc::clone(&self.inner), consistency }
    }

    /// How each node is doing, in the order of the list that was given.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let status =
            |node: &Arc<RemoteNode>| NodeStatus { address: node.name().to_owned(), seat: node.seat() };
        self.inner.roster().nodes.iter().map(status).collect()
    }

    /// What this client and its healers count, in Prometheus' text format; see [`telemetry::serve`](crate::telemetry::serve).
    pub fn metrics(&self) -> String {
        let roster = self.inner.roster();
        let role = |node: &Arc<RemoteNode>| match node.seat() {
            Seat::Voter(_) => "voter",
            Seat::Joining => "joining",
            Seat::Away(_) => "away",
        };
        let nodes = roster.nodes.iter().map(|node| (node.name(), role(node)));
        self.telemetry().text(self.repairs().waiting, nodes)
    }

    /// The counters themselves.
    pub fn telemetry(&self) -> &Telemetry {
        &self.inner.coordinator.telemetry
    }

    /// What the background repair of this client has done.
    pub fn repairs(&self) -> RepairCounts {
        self.inner.coordinator.repair_counts()
    }

    /// Takes no further operations, waits for those under way and for the repairs that wait, at most as long as an operation may
    /// take. Says whether all of it was done.
    pub async fn close(self) -> bool {
        let coordinator = &self.inner.coordinator;
        coordinator.close();
        self.inner.listeners.stir();
        let deadline = Instant::now() + self.inner.config.operation_timeout;
        while !coordinator.is_idle() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    pub(crate) fn coordinator(&self) -> &Arc<Coordinator> {
        &self.inner.coordinator
    }

    pub(crate) fn table(&self) -> &Table {
        &self.inner.table
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn consistency(&self) -> Consistency {
        self.consistency
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// The result of an operation of this crate's own API.
pub type Result<T, E = Error> = std::result::Result<T, E>;
