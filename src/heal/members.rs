//! Members come and go, one at a time.
//!
//! A change from members C to C' goes in four steps, each of which can be repeated, by anyone:
//!
//! 1. *The sweep*: every register is brought to all of C that stay, so that a majority of C holds it. All of them vote meanwhile.
//! 2. *The decision*, at the register of the configuration (see `client::generation`).
//! 3. *The move*: whoever voted votes on, a new server joins, and every call of the generation before is refused.
//! 4. *The fill*: the pass that brings back any node fills the new one, and only then it votes.
//!
//! A new server is filled after the move, not before the decision: filled before, it may hold what a later write outranks, and outvote
//! that write. A dead member is replaced by removing it and then adding the new one. `tests/growth/mod.rs` searched all of this.

use super::{Healer, Pass, Progress, Summary};
use crate::client::{Roster, move_server};
use crate::config::Config;
use crate::error::Error;
use crate::node::{
    Configuration, ConnectError, Member, Node, Probe, Refusal, RemoteNode, member_id, probe_all,
};
use std::sync::Arc;

/// How often a change is begun again because something else changed meanwhile.
const TRIES: usize = 5;

/// Fewer members than this are not a replicated store.
const FEWEST: usize = 2;

impl Healer {
    /// Adds the server at this URL, which must be empty, to the members, and fills it. Run again after an interruption it goes on where
    /// it stopped.
    pub async fn add(&self, url: &str, config: &Config, progress: &dyn Progress) -> Result<Summary, Error> {
        let probe = probe_one(url, config).await?;
        for _ in 0..TRIES {
            let pass = self.pass().await;
            let here = &pass.roster.configuration;
            if let Some(id) = self.known_as(&probe, &pass)? {
                if pass.votes(&id) {
                    let text = format!("{} is a member already, and votes: nothing to do", probe.name);
                    return Err(ConnectError::List(text).into());
                }
                self.enter(&id, &pass.roster, progress).await?;
                return self.once(progress).await;
            }
            let member =
                Member { id: new_id(&probe, here, pass.cluster_id())?, address: Some(probe.name.clone()) };
            let mut next = pass.following();
            next.members.push(member);
            progress.note(&format!("{} becomes one of {} members", probe.name, next.members.len()));
            self.change(&pass, next, progress).await?;
        }
        Err(too_many_changes())
    }

    /// Removes the member of this id or address. It need not be there; the others must.
    pub async fn remove(&self, whom: &str, progress: &dyn Progress) -> Result<Summary, Error> {
        for _ in 0..TRIES {
            let pass = self.pass().await;
            let Some(id) = pass.find(whom) else {
                return Err(pass.no_such_member(whom));
            };
            if pass.roster.configuration.members.len() <= FEWEST {
                let text = format!("{whom} is one of the last {FEWEST} members: add another one first");
                return Err(ConnectError::List(text).into());
            }
            let mut next = pass.following();
            next.members.retain(|member| member.id != id);
            progress.note(&format!("{whom} is removed; {} members stay", next.members.len()));
            if self.change(&pass, next, progress).await? {
                return self.once(progress).await;
            }
        }
        Err(too_many_changes())
    }

    /// Brings the member of this id or address back, with whoever else does not vote: fills it from those that do, and lets it vote.
    pub async fn rejoin(&self, whom: &str, progress: &dyn Progress) -> Result<Summary, Error> {
        let pass = self.pass().await;
        if pass.find(whom).is_none() {
            return Err(pass.no_such_member(whom));
        }
        self.once(progress).await
    }

    /// Puts the server at this URL in the place of the member of this id or address: removes the one, then adds the other.
    pub async fn replace(
        &self,
        whom: &str,
        url: &str,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<Summary, Error> {
        let probe = probe_one(url, config).await?;
        let pass = self.pass().await;
        let is_member = self.known_as(&probe, &pass)?.is_some();
        if pass.find(whom).is_some() {
            // What would stop the second half is said before the first one.
            if !is_member {
                new_id(&probe, &pass.roster.configuration, pass.cluster_id())?;
            }
            self.remove(whom, progress).await?;
        } else if !is_member {
            let removed = self.client.last_removed().await?;
            let is_it = |member: Member| member.id == whom || member.address.as_deref() == Some(whom);
            if !removed.is_some_and(is_it) {
                return Err(pass.no_such_member(whom));
            }
            progress.note(&format!("{whom} is removed already"));
        }
        self.add(url, config, progress).await
    }

    /// Sweeps, decides and moves; false where another change was decided first.
    async fn change(&self, pass: &Pass, next: Configuration, progress: &dyn Progress) -> Result<bool, Error> {
        let before = pass.who_votes(&next)?;
        pass.establish(&next, progress).await?;
        if pass.who_votes(&next)? != before {
            progress.note("a node was admitted anew meanwhile: the sweep begins again");
            return Ok(false);
        }
        let client = &self.client;
        // With the addresses, for who names the removed one by its address later.
        let here = Configuration { generation: pass.roster.configuration.generation, ..pass.following() };
        match client.begin_generation(&here, next).await {
            Ok(true) => {}
            Ok(false) | Err(Error::VersionMismatch) => return Ok(false),
            Err(error) => return Err(error),
        }
        client.inner().move_all().await;
        Ok(true)
    }

    /// The id under which the server is a member already, or is to become one after a decision.
    fn known_as(&self, probe: &Probe, pass: &Pass) -> Result<Option<String>, Error> {
        let opened = probe.found.as_ref().map_err(|refusal| of_probe(probe, refusal.clone()))?;
        let members = &pass.roster.configuration.members;
        let is_it = |member: &&Member| {
            if opened.look.is_unknown() {
                member.address.as_deref() == Some(probe.name.as_str()) && !pass.is_seated(&member.id)
            } else {
                member.id == opened.look.node && opened.look.cluster == pass.cluster_id()
            }
        };
        let known = members.iter().find(is_it).map(|member| member.id.clone());
        let is_same = |node: &Arc<RemoteNode>| {
            node.name() != probe.name
                && node.session().is_some_and(|session| *session.run_id == *opened.info.run_id)
        };
        match pass.nodes().iter().find(|node| is_same(node)) {
            Some(other) => Err(of_probe(probe, Refusal::SameServer(other.name().to_owned()))),
            None => Ok(known),
        }
    }

    /// A member that was decided on and whose server does not know it yet.
    async fn enter(&self, id: &str, roster: &Roster, progress: &dyn Progress) -> Result<(), Error> {
        let of_it = |node: &&Arc<RemoteNode>| {
            roster.configuration.members.iter().any(|member| {
                member.id == id && member.address.as_deref() == Some(node.name()) && node.session().is_none()
            })
        };
        let Some(node) = roster.nodes.iter().find(of_it) else { return Ok(()) };
        let moved = move_server(node, id, &roster.configuration).await;
        moved.map_err(|refusal| ConnectError::Node { node: node.name().to_owned(), refusal })?;
        progress.note(&format!("{} is a member now", node.name()));
        node.refresh().await;
        Ok(())
    }
}

async fn probe_one(url: &str, config: &Config) -> Result<Probe, Error> {
    let probes = probe_all(&[url.to_owned()], config).await?;
    probes.into_iter().next().ok_or_else(|| ConnectError::List("name the new server's URL".into()).into())
}

fn of_probe(probe: &Probe, refusal: Refusal) -> Error {
    ConnectError::Node { node: probe.name.clone(), refusal }.into()
}

/// The id that the server gets as a member; why it cannot become a member.
fn new_id(probe: &Probe, here: &Configuration, cluster: &str) -> Result<String, Error> {
    let opened = probe.found.as_ref().map_err(|refusal| of_probe(probe, refusal.clone()))?;
    let look = &opened.look;
    if look.cluster == cluster && !here.contains(&look.node) {
        // It was removed once: what the others do not hold goes when it is filled.
        return Ok(look.node.clone());
    }
    if !look.is_unknown() {
        let refusal = Refusal::OtherCluster { found: look.cluster.clone(), expected: cluster.to_owned() };
        return Err(of_probe(probe, refusal));
    }
    if look.keys > 0 {
        return Err(of_probe(probe, Refusal::HoldsData { keys: look.keys }));
    }
    let id = member_id(&opened.info.run_id);
    if here.contains(&id) {
        return Err(of_probe(probe, Refusal::SameMember(id)));
    }
    Ok(id)
}

fn too_many_changes() -> Error {
    let why = "other changes of the cluster came between every time; run it again";
    Error::NotApplied { why, failures: Default::default() }
}
