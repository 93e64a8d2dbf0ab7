//! The nodes of a client, generation by generation: a client learns by itself who was added or removed, and that all was deleted.
//!
//! Every node of a newer generation says who its members are. The client goes on with those, and moves the members that are still
//! in an older generation: who began the change may have died.

use super::{Client, Inner};
use crate::config::Config;
use crate::coordinator::View;
use crate::node::{
    Cluster, Configuration, Member, Node, Refusal, RemoteNode, Seats, Session, admit_call, client_at,
};
use crate::surroundings::Surroundings;
use futures_util::future::join_all;
use std::sync::{Arc, PoisonError, Weak};
use tokio::sync::watch;

/// The members of one generation, each with its node.
#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) configuration: Configuration,
    pub(crate) nodes: Vec<Arc<RemoteNode>>,
}

impl Roster {
    /// From now on the nodes are asked as members of this configuration.
    pub(super) fn new(configuration: Configuration, nodes: Vec<Arc<RemoteNode>>) -> Roster {
        let expected = Arc::new(configuration.clone());
        nodes.iter().for_each(|node| node.go_by(Arc::clone(&expected)));
        Roster { configuration, nodes }
    }

    pub(super) fn view(&self) -> View {
        let nodes = self.nodes.iter().map(|node| Arc::new(Arc::clone(node)) as Arc<dyn Node>).collect();
        View::new(self.configuration.generation, self.configuration.flushed, nodes)
    }

    /// The same members' nodes again, and new ones for new members; in the old order, so that a walk under way goes on.
    fn followed_by(
        &self,
        configuration: Configuration,
        start: impl Fn(&Member) -> Option<Arc<RemoteNode>>,
    ) -> Option<Roster> {
        let stays = |node: &Arc<RemoteNode>| match node.member() {
            Some(id) => configuration.contains(&id),
            None => configuration.members.iter().any(|member| member.address.as_deref() == Some(node.name())),
        };
        let mut nodes: Vec<Arc<RemoteNode>> = self.nodes.iter().filter(|node| stays(node)).cloned().collect();
        let is_new = |member: &&Member| !nodes.iter().any(|node| is_behind(node, member));
        let new: Vec<Arc<RemoteNode>> =
            configuration.members.iter().filter(is_new).filter_map(&start).collect();
        // Who never said who it is takes the place that is left.
        let nameless = self.nodes.iter().filter(|node| node.member().is_none() && !stays(node));
        nodes.extend(new);
        let left = configuration.members.len().saturating_sub(nodes.len());
        nodes.extend(nameless.take(left).cloned());
        // All N, or none: W1 needs an answer of each.
        (nodes.len() == configuration.members.len()).then(|| Roster::new(configuration, nodes))
    }
}

fn is_behind(node: &Arc<RemoteNode>, member: &Member) -> bool {
    match node.member() {
        Some(id) => *id == *member.id,
        None => member.address.as_deref() == Some(node.name()),
    }
}

/// What a client needs for the nodes of members that it did not know.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) config: Arc<Config>,
    pub(super) cluster: Cluster,
    pub(super) seats: Arc<Seats>,
}

impl Starter {
    fn start(&self, member: &Member, like: &redis::Client) -> Option<Arc<RemoteNode>> {
        let address = member.address.as_deref()?;
        let client = match client_at(address, like, &self.config) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(address, %error, "a new member of the cluster cannot be reached");
                return None;
            }
        };
        tracing::info!(address, "a new member of the cluster");
        Some(self.node(address.to_owned(), client))
    }

    pub(super) fn node(&self, name: String, client: redis::Client) -> Arc<RemoteNode> {
        let (config, seats) = (Arc::clone(&self.config), Arc::clone(&self.seats));
        RemoteNode::start(name, client, config, self.cluster.clone(), seats)
    }
}

/// Follows every change until the client is gone.
pub(super) async fn follow(client: Weak<Inner>, mut occasions: watch::Receiver<u64>) {
    while occasions.changed().await.is_ok() {
        let Some(strong) = client.upgrade() else { return };
        strong.catch_up().await;
        if strong.is_behind() {
            // Whoever decided it has died, or is slow.
            let consistency = strong.config.consistency;
            Client { inner: strong, consistency }.finish_what_was_decided().await;
        }
    }
}

impl Inner {
    /// Whether a node knows of a decision that nobody has carried out yet.
    fn is_behind(&self) -> bool {
        let roster = self.roster();
        let newest = roster.nodes.iter().filter_map(|node| Some(node.session()?.decided)).max();
        newest.is_some_and(|newest| newest > roster.configuration.generation)
    }

    pub(crate) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn surroundings(&self) -> &dyn Surroundings {
        &*self.config.surroundings
    }

    /// Goes on with the newest generation that a node is in, and brings the others there.
    pub(crate) async fn catch_up(&self) {
        let sessions = self.roster().nodes.iter().filter_map(|node| node.session()).collect::<Vec<_>>();
        let newest = sessions.iter().max_by_key(|session| session.configuration.generation);
        let Some(newest) = newest.map(|session| Configuration::clone(&session.configuration)) else { return };
        if newest.generation > self.roster().configuration.generation {
            tracing::info!(generation = newest.generation, members = %newest.members_text(), "the cluster has changed");
            self.adopt(newest).await;
        }
        self.move_all().await;
    }

    /// Goes on with this configuration, unless a later one is known already.
    pub(crate) async fn adopt(&self, configuration: Configuration) {
        let current = self.roster();
        let like = current.nodes.first().map(|node| node.redis_client().clone());
        let start = |member: &Member| self.starter.start(member, like.as_ref()?);
        let Some(next) = current.followed_by(configuration, start) else {
            tracing::error!("not every new member has an address that can be used: this client stays behind");
            return;
        };
        let next = Arc::new(next);
        {
            let mut roster = self.roster.write().unwrap_or_else(PoisonError::into_inner);
            if roster.configuration.generation >= next.configuration.generation {
                return;
            }
            *roster = Arc::clone(&next);
        }
        self.coordinator.follow(next.view());
        self.listeners.follow(next.configuration.generation, &next.nodes);
        join_all(next.nodes.iter().map(|node| node.first_look())).await;
    }

    /// Moves every member that can be reached to the generation of the roster; answers how many are there.
    pub(crate) async fn move_all(&self) -> usize {
        let roster = self.roster();
        let moves = roster.nodes.iter().map(|node| async {
            let is_there =
                |session: &Arc<Session>| session.epoch.generation() >= roster.configuration.generation;
            match node.session() {
                Some(_) if node.is_stranger() => false,
                Some(session) if is_there(&session) => true,
                Some(session) => match self.move_node(node, &session, &roster.configuration).await {
                    Ok(()) => true,
                    Err(refusal) => {
                        tracing::warn!(node = node.name(), %refusal, "is still in an older generation");
                        false
                    }
                },
                None => false,
            }
        });
        join_all(moves).await.into_iter().filter(|moved| *moved).count()
    }

    async fn move_node(
        &self,
        node: &Arc<RemoteNode>,
        session: &Arc<Session>,
        to: &Configuration,
    ) -> Result<(), Refusal> {
        let id = session.node.to_string();
        move_server(node, &id, to).await?;
        node.refresh().await;
        Ok(())
    }
}

/// Moves whatever server is behind a node into a generation, as the member of this id.
pub(crate) async fn move_server(node: &Arc<RemoteNode>, id: &str, to: &Configuration) -> Result<(), Refusal> {
    let opened = node.look().await?;
    let (epoch, flushed) = (to.first_epoch(), to.flushed.to_string());
    let (number, fence, members) = (epoch.0.to_string(), node.new_fence(epoch), to.members_text());
    let (cluster, scopes) = (node.cluster(), node.cluster().terms.scopes.encode());
    let (run_id, age) = (&opened.info.run_id, &cluster.terms.purge_age_ms);
    let args = ["move", &cluster.id, id, &members, &number, &fence, run_id, &flushed, &scopes, age];
    let (status, words) = admit_call(&opened.connection, &args).await?;
    match status.as_str() {
        "OK" => Ok(()),
        "NOT_EMPTY" => Err(Refusal::HoldsData { keys: words.concat().parse().unwrap_or_default() }),
        "CLAIMED" => Err(Refusal::OtherCluster { found: words.join(" "), expected: cluster.id.clone() }),
        _ => Err(Refusal::Unreachable(format!("{status} {}", words.join(" ")))),
    }
}
