//! More nodes restarted at once than the protocol can tell the loss of: the cluster goes on with the newest that all nodes together hold.
//!
//! While a majority remembers all that it answered, nothing acknowledged is lost. Where fewer do, nobody can prove that of any write:
//! a server without `appendfsync always` may have forgotten its last second. Then no node votes, and this decides for all of them:
//!
//! 1. all N members are there: nothing is concluded from silence;
//! 2. all of them enter a new epoch with a token of this pass; what was answered before counts no more, and fewer than a majority votes;
//! 3. of every register that any of them holds, the highest (accepted, version, digest) is settled on all N, under a ballot above
//!    every promise that is left, by calls that name the pass's tokens: another pass that ends meanwhile ends this one;
//! 4. a last look finds all N alike; then they vote again, one after the other.
//!
//! Interrupted anywhere it can be repeated: what it has settled is what a repetition finds highest, and as long as fewer than a majority
//! votes nothing else is decided. What it cannot promise: a write whose every trace was forgotten is lost; a node that took a settle
//! outranks one that only ran later ops, so of ops acknowledged by the fast path those after the last settle may be lost though one node
//! still had them; a key whose tombstone was purged returns if a node came back with data from before the delete.

use super::rejoin::{Rejoin, of_node};
use super::{Healer, Pass, Progress, Purpose, Summary};
use crate::coordinator::View;
use crate::error::Error;
use crate::node::{ConnectError, Node, Pinned, Refusal, RemoteNode, Seat};
use crate::protocol::Epoch;
use std::sync::Arc;

/// How often all nodes are compared before it is given up.
const SWEEPS: usize = 3;

impl Healer {
    /// Lets a cluster go on that no majority remembers, from what all nodes hold. Refused while a majority votes, and while a member is
    /// away.
    pub async fn recover(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        self.client.inner().catch_up().await;
        let pass = Pass { purpose: Purpose::Recover, ..self.pass_here() };
        pass.recover(progress).await
    }
}

impl Pass {
    async fn recover(&self, progress: &dyn Progress) -> Result<Summary, Error> {
        self.check_recoverable()?;
        let rejoin = self.enter_all(progress).await?;
        let mut summary = self.empty_summary();
        let mut last = self.sweep(&mut summary, progress).await?;
        (summary.seen, summary.identical, summary.differing) = (last.seen, last.identical, last.differing);
        for _ in 1..SWEEPS {
            if last.differing == 0 && last.failed == 0 {
                break;
            }
            last = self.sweep(&mut summary, progress).await?;
        }
        summary.failed = last.failed;
        if last.differing == 0 && last.failed == 0 {
            let all: Vec<usize> = (0..self.nodes().len()).collect();
            self.finish_rejoin(rejoin, &all, &mut summary, progress).await?;
        } else {
            progress
                .note("some registers could not be settled on all nodes, so no node votes yet; run it again");
        }
        summary.away = self.away();
        summary.complete = self.all_vote();
        tracing::warn!(
            registers = summary.seen,
            differed = summary.differing,
            "recovered from what the nodes held: what was acknowledged just before they restarted may be lost"
        );
        Ok(summary)
    }

    fn check_recoverable(&self) -> Result<(), Error> {
        let (voters, majority) = (self.voters(), self.client.coordinator().quorum().majority());
        if voters >= majority {
            let text = "a majority votes, so nothing needs to be recovered; `anarcho-heal --once` brings the others back";
            return Err(ConnectError::List(text.into()).into());
        }
        let adopting = |node: &&Arc<RemoteNode>| node.session().is_some_and(|session| session.adopting);
        if let Some(node) = self.nodes().iter().find(adopting) {
            return Err(of_node(node, Refusal::Adopting));
        }
        if self.all_answer() { Ok(()) } else { Err(self.no_quorum(voters)) }
    }

    /// Whether every member is there, and says what it holds.
    pub(super) fn all_answer(&self) -> bool {
        let members = self.roster.configuration.members.len();
        self.nodes().len() == members
            && self.nodes().iter().all(|node| match node.seat() {
                Seat::Voter(_) | Seat::Joining => true,
                Seat::Away(_) => node.refusal() == Some(Refusal::Emptied),
            })
    }

    /// All nodes, under the tokens of this pass.
    pub(super) fn pinned(&self) -> Arc<View> {
        let pin = |(place, node): (usize, &Arc<RemoteNode>)| {
            let fence = self.fence_of(place).unwrap_or_default();
            Arc::new(Pinned::new(Arc::new(Arc::clone(node)), fence)) as Arc<dyn Node>
        };
        let nodes = self.nodes().iter().enumerate().map(pin).collect();
        let configuration = &self.roster.configuration;
        Arc::new(View::new(configuration.generation, configuration.flushed, nodes))
    }

    /// Steps 1 and 2.
    async fn enter_all(&self, progress: &dyn Progress) -> Result<Rejoin, Error> {
        let all: Vec<usize> = (0..self.nodes().len()).collect();
        let epoch = self.next_epoch(&all, Epoch::default()).await;
        let mut rejoin = Rejoin { epoch, joiners: Vec::new() };
        for place in all {
            let node = &self.nodes()[place];
            if matches!(node.seat(), Seat::Voter(_)) {
                // Its vote stays, and is one of too few.
                let moved = self.move_voter(node, epoch).await;
                self.note_fence(place, moved.map_err(|refusal| of_node(node, refusal))?);
            } else {
                rejoin.joiners.push(self.enter(place, epoch).await?);
            }
        }
        self.refresh_all().await;
        if self.all_answer() && self.voters() < self.client.coordinator().quorum().majority() {
            progress.note("all nodes are there; each register is decided from what they hold");
            return Ok(rejoin);
        }
        Err(self.no_quorum(self.voters()))
    }
}
