//! Who is who among the members of a pass, and whether a change of members may go on.

use super::{Pass, Progress};
use crate::command::Register;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{Configuration, ConnectError, Member, Node, RemoteNode, Seat};
use std::sync::Arc;

impl Pass {
    pub(super) fn cluster_id(&self) -> &str {
        self.nodes().first().map_or("", |node| node.cluster().id.as_str())
    }

    /// The next generation with the same members, each with the address that it has here.
    pub(super) fn following(&self) -> Configuration {
        let mut next = self.roster.configuration.clone();
        next.generation += 1;
        for member in &mut next.members {
            if let Some(node) = self.node_of(&member.id) {
                member.address = Some(node.name().to_owned());
            }
        }
        next
    }

    pub(super) fn votes(&self, id: &str) -> bool {
        self.node_of(id).is_some_and(|node| matches!(node.seat(), Seat::Voter(_)))
    }

    /// The id of the member that is behind a node. The only one that nobody has seen is behind the only node that never answered.
    pub(super) fn id_of(&self, node: &Arc<RemoteNode>) -> Option<String> {
        if let Some(id) = node.member() {
            return Some(id.to_string());
        }
        let nodes = self.nodes().iter();
        let unseen =
            |id: &str| !self.nodes().iter().any(|node| node.member().is_some_and(|seen| *seen == *id));
        let mut missing = self.roster.configuration.members.iter().filter(|member| unseen(&member.id));
        let only = missing.next().filter(|_| missing.next().is_none())?;
        (nodes.filter(|node| node.member().is_none()).count() == 1).then(|| only.id.clone())
    }

    pub(super) fn node_of(&self, id: &str) -> Option<&Arc<RemoteNode>> {
        self.nodes().iter().find(|node| self.id_of(node).is_some_and(|member| member == id))
    }

    pub(super) fn is_seated(&self, id: &str) -> bool {
        self.nodes().iter().any(|node| node.session().is_some_and(|session| *session.node == *id))
    }

    pub(super) fn find(&self, whom: &str) -> Option<String> {
        let named = |member: &&Member| member.id == whom || member.address.as_deref() == Some(whom);
        let members = self.roster.configuration.members.iter();
        let by_node = self.nodes().iter().find(|node| node.name() == whom).and_then(|node| self.id_of(node));
        let known = members.clone().find(named).map(|member| member.id.clone());
        known.or_else(|| by_node.filter(|id| self.roster.configuration.contains(id)))
    }

    pub(super) fn no_such_member(&self, whom: &str) -> Error {
        let members = self.roster.configuration.members_text().replace(',', ", ");
        ConnectError::List(format!("there is no member {whom}; the members are {members}")).into()
    }

    /// The admissions of all members that stay: each must vote, under one epoch of this generation.
    pub(super) fn who_votes(&self, next: &Configuration) -> Result<Vec<String>, Error> {
        let mut fences = Vec::new();
        let mut epochs = Vec::new();
        let mut failures = Vec::new();
        for member in self.roster.configuration.members.iter().filter(|member| next.contains(&member.id)) {
            let node = self.node_of(&member.id);
            let seat = node.map(|node| node.seat());
            let session = node.and_then(|node| node.session());
            let (Some(Seat::Voter(epoch)), Some(session)) = (seat, session) else {
                failures.push(NodeFailure { node: member.to_string(), reason: "it does not vote".into() });
                continue;
            };
            fences.push(session.fence.to_string());
            epochs.push(epoch);
        }
        let generation = self.roster.configuration.generation;
        let is_one = epochs.windows(2).all(|pair| pair[0] == pair[1]);
        if failures.is_empty() && is_one && epochs.iter().all(|epoch| epoch.generation() == generation) {
            return Ok(fences);
        }
        Err(Error::NotApplied {
            why: "every member that stays must vote while the members change; run `anarcho-heal --once`, or remove the one that is gone first",
            failures: Failures(failures),
        })
    }

    /// Brings every register to all nodes that are there.
    pub(super) async fn establish(&self, next: &Configuration, progress: &dyn Progress) -> Result<(), Error> {
        let mut summary = self.empty_summary();
        let unfinished = |why| Error::NotApplied { why, failures: Default::default() };
        let found = self.sweep(&mut summary, progress).await?;
        if found.failed > 0 {
            return Err(unfinished("some registers could not be brought to all members; run it again"));
        }
        let stays = |place: &usize| self.id_of(&self.nodes()[*place]).is_some_and(|id| next.contains(&id));
        let staying = self.roster.configuration.members.iter().filter(|member| next.contains(&member.id));
        // One that was away for a moment votes all the time, and was not compared.
        if found.nodes.iter().filter(|place| stays(place)).count() < staying.count() {
            return Err(unfinished("a member was away during the sweep; run it again"));
        }
        let configuration = Register::from_id(Configuration::key());
        let mended = self.client.coordinator().mend(&configuration).await?;
        if !self.is_of_this(&mended) {
            return Err(unfinished("the members have changed meanwhile; run it again"));
        }
        Ok(())
    }
}
