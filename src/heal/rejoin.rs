//! Brings nodes back that came up empty, flushed, or with older data (P05, P06, P56).

use super::{Pass, Progress, Summary};
use crate::client::move_server;
use crate::error::Error;
use crate::node::{ConnectError, Node, Opened, Refusal, RemoteNode, Seat, admit_call};
use crate::protocol::{Epoch, Role};
use crate::surroundings::Connection;
use std::sync::{Arc, PoisonError};

/// A node that is being filled.
pub(super) struct Joiner {
    pub(super) place: usize,
    pub(super) node: String,
    pub(super) run_id: String,
    /// The token of this pass: whoever changed the node meanwhile replaced it.
    pub(super) fence: String,
}

/// A rejoin under way.
pub(super) struct Rejoin {
    pub(super) epoch: Epoch,
    pub(super) joiners: Vec<Joiner>,
}

pub(super) fn of_node(node: &Arc<RemoteNode>, refusal: Refusal) -> Error {
    ConnectError::Node { node: node.name().to_owned(), refusal }.into()
}

fn other_pass(what: &str) -> Refusal {
    Refusal::HealedByAnother(what.to_owned())
}

/// Changes a node's admission; what it finds other than this pass knows it, another pass has made so.
pub(super) async fn change(connection: &Connection, args: &[&str]) -> Result<(), Refusal> {
    let (status, words) = admit_call(connection, args).await?;
    if status == "OK" { Ok(()) } else { Err(other_pass(&format!("{status} {}", words.join(" ")))) }
}

impl Pass {
    /// Steps 1 and 2: a new epoch on the voters, then the nodes that do not vote are marked as joining. None where all vote
    /// under one epoch already.
    pub(super) async fn begin_rejoin(&self, progress: &dyn Progress) -> Result<Option<Rejoin>, Error> {
        let nodes = self.nodes();
        let mut voters: Vec<(usize, Epoch)> = Vec::new();
        let mut joining = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let emptied = node.refusal() == Some(Refusal::Emptied);
            match node.seat() {
                // One of another generation is moved, not filled.
                Seat::Voter(epoch) if epoch.generation() != self.roster.configuration.generation => {}
                Seat::Voter(epoch) => voters.push((place, epoch)),
                Seat::Joining => joining.push(place),
                Seat::Away(_) if emptied => joining.push(place),
                Seat::Away(_) => {}
            }
        }
        let majority = self.client.coordinator().quorum().majority();
        let newest = voters.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default();
        let holders = voters.iter().filter(|(_, epoch)| *epoch == newest).count();
        if joining.is_empty() && holders == voters.len() {
            return Ok(None);
        }
        if holders >= majority {
            // The newest epoch may have commits that a voter of an older one never heard of: it is filled like any other. Where
            // fewer hold it, it has no commits, and the pass that began it was interrupted: all voters move on.
            let older = voters.extract_if(.., |(_, epoch)| *epoch != newest);
            joining.extend(older.map(|(place, _)| place));
        }
        let voters: Vec<usize> = voters.into_iter().map(|(place, _)| place).collect();
        if voters.len() < majority {
            return Err(self.no_quorum(voters.len()));
        }
        let epoch = self.next_epoch(&joining, newest).await;
        self.move_voters(&voters, epoch).await?;
        let mut joiners = Vec::new();
        for place in joining {
            progress.note(&format!("{} is being filled from the voters", nodes[place].name()));
            joiners.push(self.enter(place, epoch).await?);
        }
        self.refresh_all().await;
        Ok(Some(Rejoin { epoch, joiners }))
    }

    /// Above every epoch that a voter or a joining node holds.
    pub(super) async fn next_epoch(&self, joining: &[usize], newest: Epoch) -> Epoch {
        let mut highest = newest;
        for place in joining {
            if let Ok(opened) = self.nodes()[*place].look().await {
                highest = highest.max(opened.look.epoch);
            }
        }
        Epoch(highest.0 + 1)
    }

    /// A voter that cannot be moved is left behind and filled by a later pass, provided that a majority moves: stopping half-way would
    /// leave no epoch with a majority.
    async fn move_voters(&self, voters: &[usize], epoch: Epoch) -> Result<(), Error> {
        let mut moved = 0;
        let mut last = None;
        for place in voters {
            let node = &self.nodes()[*place];
            match self.move_voter(node, epoch).await {
                Ok(_) => moved += 1,
                Err(refusal) => last = Some(of_node(node, refusal)),
            }
        }
        match last {
            Some(error) if moved < self.client.coordinator().quorum().majority() => Err(error),
            _ => Ok(()),
        }
    }

    /// Answers the node's new token.
    pub(super) async fn move_voter(&self, node: &Arc<RemoteNode>, epoch: Epoch) -> Result<String, Refusal> {
        let opened = node.look().await?;
        if opened.look.role() != Role::Voter {
            return Err(Refusal::Forbidden("it does not vote any more; run it again".into()));
        }
        let (id, number, fence) = (opened.look.node.clone(), epoch.0.to_string(), node.new_fence(epoch));
        change(&opened.connection, &["epoch", &id, &number, &fence]).await?;
        Ok(fence)
    }

    /// Notes the token under which this pass fills a node.
    pub(super) fn note_fence(&self, place: usize, fence: String) {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).insert(place, fence);
    }

    /// Marks one node as joining, under the new epoch and with a token of this pass.
    pub(super) async fn enter(&self, place: usize, epoch: Epoch) -> Result<Joiner, Error> {
        let node = &self.nodes()[place];
        let opened = node.look().await.map_err(|refusal| of_node(node, refusal))?;
        let (run_id, fence, number) =
            (opened.info.run_id.clone(), node.new_fence(epoch), epoch.0.to_string());
        let id =
            if opened.look.is_unknown() { self.enter_empty(node).await? } else { opened.look.node.clone() };
        if opened.look.role() == Role::Voter && !opened.look.is_unknown() {
            if opened.look.epoch >= epoch {
                return Err(of_node(node, other_pass("it has brought the node back")));
            }
            let args = ["demote", &id, &fence, &opened.look.run_id, &opened.look.fence];
            admit_call(&opened.connection, &args).await.map_err(|refusal| of_node(node, refusal))?;
        }
        let args = ["rejoin", &id, &number, &run_id, &fence];
        change(&opened.connection, &args).await.map_err(|refusal| of_node(node, refusal))?;
        self.note_fence(place, fence.clone());
        Ok(Joiner { place, node: id, run_id, fence })
    }

    /// An empty server takes the place of the member that lost its data, in the generation of the others.
    async fn enter_empty(&self, node: &Arc<RemoteNode>) -> Result<String, Error> {
        let id = self.missing_member().await?;
        let moved = move_server(node, &id, &self.roster.configuration).await;
        moved.map(|()| id).map_err(|refusal| of_node(node, refusal))
    }

    /// The id of the member that lost its data: the one that no reachable node has. Two such ids cannot be told apart.
    async fn missing_member(&self) -> Result<String, Error> {
        let nodes = self.nodes();
        let mut present = Vec::new();
        for node in nodes {
            match node.look().await {
                Ok(opened) => present.push(opened.look.node),
                Err(refusal) => {
                    let text =
                        format!("start it first, so that it is clear which node lost its data ({refusal})");
                    return Err(of_node(node, Refusal::Forbidden(text)));
                }
            }
        }
        let members = self.roster.configuration.members.iter();
        let missing = members.map(|member| member.id.clone()).find(|id| !present.contains(id));
        missing
            .ok_or_else(|| ConnectError::List("every member of the cluster is present already".into()).into())
    }

    /// Step 4: every node that was filled votes again, if it is still what was filled. A node that could not be reached while the
    /// sweep ran was not filled, whatever it says now.
    pub(super) async fn finish_rejoin(
        &self,
        rejoin: Rejoin,
        swept: &[usize],
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        for joiner in &rejoin.joiners {
            let node = &self.nodes()[joiner.place];
            if !swept.contains(&joiner.place) {
                progress.note(&format!(
                    "{} was away during the sweep and does not vote yet; run it again",
                    node.name()
                ));
                continue;
            }
            match self.promote(node, joiner, rejoin.epoch).await {
                Ok(()) => {
                    progress.note(&format!("{} votes again", node.name()));
                    summary.rejoined.push(node.name().to_owned());
                }
                Err(refusal) => {
                    progress.note(&format!("{} does not vote yet: {refusal}; run it again", node.name()))
                }
            }
        }
        self.refresh_all().await;
        Ok(())
    }

    /// INFO and the promotion go over one connection: the process that is promoted is the one that was filled.
    pub(super) async fn promote(
        &self,
        node: &Arc<RemoteNode>,
        joiner: &Joiner,
        epoch: Epoch,
    ) -> Result<(), Refusal> {
        let opened: Opened = node.look().await?;
        if opened.info.run_id != joiner.run_id {
            return Err(Refusal::Unreachable("it restarted while it was being filled".into()));
        }
        let (number, fence) = (epoch.0.to_string(), node.new_fence(epoch));
        let args = ["promote", &joiner.node, &number, &joiner.run_id, &fence, &joiner.fence];
        let (status, words) = admit_call(&opened.connection, &args).await?;
        if status == "OK" {
            return Ok(());
        }
        Err(Refusal::Unreachable(format!(
            "it changed while it was being filled ({status} {})",
            words.join(" ")
        )))
    }

    pub(super) async fn refresh_all(&self) {
        let nodes = self.nodes();
        futures_util::future::join_all(nodes.iter().map(|node| node.refresh())).await;
    }
}
