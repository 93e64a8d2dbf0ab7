//! From a list of URLs to a client.

use super::publish::Publisher;
use super::roster::{Roster, Starter, follow};
use super::{Client, Inner};
use crate::command::{Scopes, Table};
use crate::config::{Config, Consistency, Tls};
use crate::coordinator::Coordinator;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{
    Cluster, ConnectError, Listeners, Node, Probe, Refusal, RemoteNode, Seat, form, probe_all, seat,
};
use crate::protocol::Quorum;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Settings of a client in the making. Every setting has a default, see [`Config`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    nodes: Vec<String>,
    config: Config,
    scopes: Vec<Vec<u8>>,
    without_quorum: bool,
}

impl Builder {
    /// The nodes' URLs: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS. All of them, each once; three or five are usual.
    #[must_use]
    pub fn nodes<I, S>(mut self, urls: I) -> Builder
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.nodes.extend(urls.into_iter().map(Into::into));
        self
    }

    /// What replies promise where the call does not say. Default: linearizable.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Builder {
        self.config.consistency = consistency;
        self
    }

    /// After how long an operation gives up. Default 5 s; twice that, and four times `max_clock_offset`, must fit into `retry_window`.
    #[must_use]
    pub fn operation_timeout(mut self, timeout: Duration) -> Builder {
        self.config.operation_timeout = timeout;
        self
    }

    /// After how long opening a connection gives up. Default 1 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.config.connect_timeout = timeout;
        self
    }

    /// After how long a node's answer is no longer awaited. Default 2 s.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Builder {
        self.config.answer_timeout = timeout;
        self
    }

    /// Makes all keys that start with this prefix one register, so that whatever is done with them can be atomic; the empty prefix makes
    /// the whole database one. May be given several times; of nested ones the longest counts. It is fixed when the cluster is initialised:
    /// later clients name the same ones, or none and take what the nodes have.
    #[must_use]
    pub fn scope(mut self, prefix: impl AsRef<[u8]>) -> Builder {
        self.scopes.push(prefix.as_ref().to_vec());
        self
    }

    /// As [`scope`](Builder::scope), for several prefixes.
    #[must_use]
    pub fn scopes<I, S>(mut self, prefixes: I) -> Builder
    where
        I: IntoIterator<Item = S>,
        S: AsRef<[u8]>,
    {
        self.scopes.extend(prefixes.into_iter().map(|prefix| prefix.as_ref().to_vec()));
        self
    }

    /// Certificates for nodes with `rediss://` URLs.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.config.tls = tls;
        self
    }

    /// All settings at once.
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self
    }

    /// Connect also where fewer than a majority can vote: for whoever mends that.
    #[must_use]
    pub fn even_without_quorum(mut self) -> Builder {
        self.without_quorum = true;
        self
    }

    /// Looks at every node, starts a new cluster where all of them answer and are empty, and connects.
    pub async fn connect(mut self) -> Result<Client, Error> {
        self.check()?;
        if !self.scopes.is_empty() {
            let scopes = Scopes::new(std::mem::take(&mut self.scopes)).map_err(ConnectError::List)?;
            self.config.scopes = Some(scopes);
        }
        let config = Arc::new(self.config);
        let mut probes = probe_all(&self.nodes, &config).await?;
        if !self.without_quorum {
            check_adopted(&probes)?;
        }
        let cluster = form(&*config.surroundings, &mut probes, &config).await?;
        let configuration = cluster.configuration.clone();
        let probes = seat(probes, &configuration, &config).await?;
        check_purge_age(&cluster, &config)?;
        let scopes = cluster.terms.scopes.clone();
        let starter = Starter { config: Arc::clone(&config), cluster, seats: Arc::default() };
        let start = |probe: Probe| starter.node(probe.name, probe.client);
        let nodes: Vec<Arc<RemoteNode>> = probes.into_iter().map(start).collect();
        futures_util::future::join_all(nodes.iter().map(|node| node.first_look())).await;
        if !self.without_quorum {
            check_quorum(&nodes)?;
        }
        let table = command_table(&nodes, &config).await?.with_scopes(scopes);
        let roster = Arc::new(Roster::new(configuration, nodes));
        let coordinator = Coordinator::start(roster.view(), Arc::clone(&config));
        let consistency = config.consistency;
        let listeners = Listeners::start(roster.configuration.generation, &roster.nodes);
        let publisher = Publisher::new(config.surroundings.random());
        let (lines, exchange) = (Arc::default(), Arc::default());
        let roster = RwLock::new(roster);
        let inner =
            Inner { coordinator, roster, starter, listeners, lines, exchange, publisher, table, config };
        let inner = Arc::new(inner);
        let occasions = inner.starter.seats.occasions();
        inner.catch_up().await;
        tokio::spawn(follow(Arc::downgrade(&inner), occasions));
        let client = Client { inner, consistency };
        if !self.without_quorum {
            client.finish_what_was_decided().await;
        }
        Ok(client)
    }

    fn check(&self) -> Result<(), Error> {
        if self.config.hedge.0 > self.config.hedge.1 {
            return Err(ConnectError::List("the lower bound of hedge is above the upper one".into()).into());
        }
        // Ballots of two coordinators may differ by both their clocks' offsets from the nodes', at the op and at its retry.
        if longest_op(&self.config) > self.config.retry_window {
            let text = "retry_window must be at least twice operation_timeout and four times max_clock_offset together, so that no retry outlives the memory of its op";
            return Err(ConnectError::List(text.into()).into());
        }
        Ok(())
    }
}

/// The longest that two coordinators' ballots of one op may be apart.
fn longest_op(config: &Config) -> Duration {
    let needed = config.operation_timeout.saturating_mul(2);
    needed.saturating_add(config.max_clock_offset.saturating_mul(4))
}

/// What the nodes have forgotten must be out of reach of every op.
fn check_purge_age(cluster: &Cluster, config: &Config) -> Result<(), ConnectError> {
    let Ok(purge_age_ms) = cluster.terms.purge_age_ms.parse() else { return Ok(()) };
    // An op with much to send may take up to its memory on the nodes.
    let needed = longest_op(config).max(config.retry_window);
    let purge_age = Duration::from_millis(purge_age_ms);
    if needed < purge_age {
        return Ok(());
    }
    Err(ConnectError::List(format!(
        "the cluster forgets deletions after {purge_age:?}, which must be more than retry_window, and than twice operation_timeout and four times max_clock_offset together, here {needed:?}"
    )))
}

/// Until all that one server holds is on all nodes, none of them may be asked.
fn check_adopted(probes: &[Probe]) -> Result<(), ConnectError> {
    let adopting = |probe: &&Probe| probe.found.as_ref().is_ok_and(|opened| opened.look.is_adopting());
    match probes.iter().find(adopting) {
        Some(probe) => Err(ConnectError::Node { node: probe.name.clone(), refusal: Refusal::Adopting }),
        None => Ok(()),
    }
}

fn check_quorum(nodes: &[Arc<RemoteNode>]) -> Result<(), ConnectError> {
    let needed = Quorum::of(nodes.len()).majority();
    let mut failures = Vec::new();
    for node in nodes {
        let reason = match node.seat() {
            Seat::Voter(_) => continue,
            Seat::Joining => "it is being filled from the others; run `anarcho-heal --once`".to_owned(),
            Seat::Away(reason) => reason,
        };
        failures.push(NodeFailure { node: node.name().to_owned(), reason });
    }
    let voters = nodes.len() - failures.len();
    if voters >= needed {
        Ok(())
    } else {
        Err(ConnectError::NoQuorum { voters, needed, failures: Failures(failures) })
    }
}

/// What the servers themselves say of their commands; what not all of them know is refused by name.
async fn command_table(nodes: &[Arc<RemoteNode>], config: &Config) -> Result<Table, ConnectError> {
    let mut whole: Option<Table> = None;
    for node in nodes {
        if matches!(node.seat(), Seat::Away(_)) {
            continue;
        }
        let Ok(reply) = node.send(&|_| redis::cmd("COMMAND"), config.answer_timeout).await else {
            continue;
        };
        let table = Table::from_reply(&reply).map_err(|error| ConnectError::List(error.to_string()))?;
        whole = Some(match whole {
            Some(whole) => whole.merge(table),
            None => table,
        });
    }
    whole.ok_or_else(|| ConnectError::List("no node answered COMMAND".into()))
}
