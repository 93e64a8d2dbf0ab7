//! Adoption: one server with data and empty ones become a cluster, while the server's readers read on.
//!
//! ```text
//!   source                                    the others, empty
//!   admit adopt: role `adopting`              claim, join           nobody votes
//!   adopt list: each key into a record
//!   snapshot ────────────────────────────▶    settle                each register, as the source has it
//!   values compared on all nodes; listed once more: nothing has changed
//!   demote: role `joining`
//!   promote                                   promote               all vote
//! ```
//!
//! The source's values are read and never written. As long as its role is `adopting` nobody votes and its history wins over all others, so
//! whatever was interrupted is begun again: what is listed stays listed, what was copied is found identical. Interrupted while the first
//! of them begin to vote, it is a cluster like any other: a healer, or `recover` where fewer than a majority votes, ends it.
//!
//! Who writes to the source itself meanwhile goes behind the protocol. That is noticed as long as it comes before the last look at the key
//! (`list` sees new and otherwise expiring keys, the comparison other values and keys that are gone); what had changed is copied again, a few times, and
//! where it goes on changing nobody votes. What comes later is found by `verify`, as any write behind the protocol is.

use super::rejoin::{Joiner, Rejoin, change, of_node};
use super::{Healer, Pass, Progress, Purpose, survey};
use crate::config::Config;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::{ConnectError, Node, take};
use crate::protocol::Epoch;
use serde::Serialize;
use std::collections::BTreeSet;

/// How often all is listed, copied and compared before somebody else's writes are too many.
const PASSES: usize = 4;
/// Changed keys that are named.
pub(super) const NAMED: usize = 20;

/// What an adoption came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Adopted {
    /// The server whose data it was.
    pub source: String,
    /// Its keys.
    pub keys: u64,
    /// The registers that they make, and that are on all nodes now.
    pub registers: u64,
    /// What was written to the server itself while it was adopted, and was copied again; the first few by name.
    pub changed: Vec<String>,
    /// Nodes that vote.
    pub voters: usize,
    /// Whether all nodes vote and hold the same values.
    pub complete: bool,
}

impl Healer {
    /// Makes one server that holds data and others that hold nothing a cluster. Run again after an interruption, it goes on. Refused, with
    /// nothing changed, where the servers are anything else.
    pub async fn adopt<I, S>(nodes: I, config: Config, progress: &dyn Progress) -> Result<Adopted, Error>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let urls: Vec<String> = nodes.into_iter().map(Into::into).collect();
        let (probes, source, _) = survey::adoptable(&urls, &config).await?;
        let name = probes[source.place].name.clone();
        take(&*config.surroundings, &probes, &source).await?;
        let healer = Healer::connect(urls, config).await?;
        let pass = healer.pass_here();
        let Some(place) = pass.nodes().iter().position(|node| node.name() == name) else {
            return Err(ConnectError::List(format!("{name} is no member of its own cluster")).into());
        };
        Pass { purpose: Purpose::Adopt(place), ..pass }.adopt(place, progress).await
    }
}

impl Pass {
    async fn adopt(&self, place: usize, progress: &dyn Progress) -> Result<Adopted, Error> {
        let rejoin = self.enter_copies(place).await?;
        let swept = self.swept().await?;
        let Some(side) = swept.nodes.iter().find(|side| side.place == place) else {
            return Err(self.no_quorum(0));
        };
        let mut adopted = Adopted { source: side.node.name().to_owned(), ..Adopted::default() };
        let (mut changed, mut proven) = (BTreeSet::new(), false);
        for pass in 0..PASSES {
            let listed = self.list_all(side, &mut adopted, progress).await?;
            if proven && listed.is_empty() {
                adopted.changed = changed.into_iter().take(NAMED).collect();
                return self.finish_adoption(place, rejoin, adopted, progress).await;
            }
            if pass > 0 {
                changed.extend(listed);
            }
            adopted.registers = self.copy_all(progress).await?;
            let verified = self.verify_all(&swept, false, progress).await?;
            proven = verified.findings.is_empty();
            self.list_anew(side, &verified, &mut changed).await?;
        }
        let reason = format!(
            "changed meanwhile: {}",
            changed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")
        );
        let failure = NodeFailure { node: adopted.source, reason };
        Err(Error::NotApplied {
            why: "somebody writes to the server while its data is adopted, so no node votes yet; stop what writes to it (readers may go on) and run it again",
            failures: Failures(vec![failure]),
        })
    }

    /// A new epoch and new tokens on all nodes: whatever another try still sends is refused.
    async fn enter_copies(&self, source: usize) -> Result<Rejoin, Error> {
        let all: Vec<usize> = (0..self.nodes().len()).collect();
        let epoch = self.next_epoch(&all, Epoch::default()).await;
        let mut rejoin = Rejoin { epoch, joiners: vec![self.enter_source(source, epoch).await?] };
        for place in all.into_iter().filter(|place| *place != source) {
            rejoin.joiners.push(self.enter(place, epoch).await?);
        }
        self.refresh_all().await;
        if self.all_answer() { Ok(rejoin) } else { Err(self.no_quorum(0)) }
    }

    async fn enter_source(&self, place: usize, epoch: Epoch) -> Result<Joiner, Error> {
        let node = &self.nodes()[place];
        let opened = node.look().await.map_err(|refusal| of_node(node, refusal))?;
        let (look, run_id) = (&opened.look, opened.info.run_id.clone());
        let (fence, number) = (node.new_fence(epoch), epoch.0.to_string());
        let (members, scopes) = (look.configuration().members_text(), look.scopes.encode());
        let args = [
            "adopt",
            &look.cluster,
            &look.node,
            &members,
            &run_id,
            &fence,
            &number,
            &scopes,
            &look.purge_age_ms,
        ];
        change(&opened.connection, &args).await.map_err(|refusal| of_node(node, refusal))?;
        self.note_fence(place, fence.clone());
        Ok(Joiner { place, node: look.node.clone(), run_id, fence })
    }

    /// All nodes hold the same. From here on the source is one of them: if this is interrupted, its history must not win over what a
    /// majority without it has decided since.
    async fn finish_adoption(
        &self,
        place: usize,
        mut rejoin: Rejoin,
        mut adopted: Adopted,
        progress: &dyn Progress,
    ) -> Result<Adopted, Error> {
        for joiner in rejoin.joiners.iter_mut().filter(|joiner| joiner.place == place) {
            self.step_down(joiner, rejoin.epoch).await?;
        }
        for joiner in &rejoin.joiners {
            let node = &self.nodes()[joiner.place];
            let promoted = self.promote(node, joiner, rejoin.epoch).await;
            promoted.map_err(|refusal| of_node(node, refusal))?;
            progress.note(&format!("{} votes", node.name()));
        }
        self.refresh_all().await;
        adopted.voters = self.voters();
        adopted.complete = self.all_vote();
        Ok(adopted)
    }

    /// The source joins like the others, if it is still what this pass has copied.
    async fn step_down(&self, source: &mut Joiner, epoch: Epoch) -> Result<(), Error> {
        let node = &self.nodes()[source.place];
        let opened = node.look().await.map_err(|refusal| of_node(node, refusal))?;
        let fence = node.new_fence(epoch);
        let args = ["demote", &source.node, &fence, &source.run_id, &source.fence];
        change(&opened.connection, &args).await.map_err(|refusal| of_node(node, refusal))?;
        self.note_fence(source.place, fence.clone());
        source.fence = fence;
        Ok(())
    }
}
