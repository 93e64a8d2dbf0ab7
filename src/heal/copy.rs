//! The bulk of a fill: small registers go from one voter to the nodes that are being filled, many in a call.
//!
//! What arrives is the clone of a record that a voter holds, with all that it promised and accepted. It decides nothing: the sweep that
//! follows compares it with what a majority of voters holds, and mends what is not the newest. So nothing here needs to be complete.
//! A clone counts only once its node votes, which is under an epoch that no answer from before the loss was given in; whoever asks a
//! majority then finds, at the clone or at the voter, what it would have found at the voter alone. Searched in `tests/growth`.

use super::pace::Pace;
use super::side::{PATIENCE, Side};
use super::sweep::{PAGE, Swept};
use super::{Pass, Progress, Summary};
use crate::error::Error;
use crate::node::{Node, Pinned, Seat};
use crate::script::{Copies, Ticket, copy_in_call, copy_of_call, copy_scan_call, parse_copied};
use futures_util::future::join_all;
use std::sync::Arc;

/// Keys that the voter looks at for one call; half of them are records. The call must be short, since both nodes have others to serve.
const LOOKED_AT: usize = PAGE / 4;
/// Bytes of the values of one call, about.
const BYTES: usize = 256 * 1024;

impl Pass {
    /// Gives the joining nodes of this pass what the most advanced voter holds.
    pub(super) async fn copy_to_joining(
        &self,
        swept: &Swept,
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut joining: Vec<&Side> =
            swept.nodes.iter().filter(|side| side.joining && self.fence_of(side.place).is_some()).collect();
        let voters = swept.nodes.iter().filter(|side| matches!(side.node.seat(), Seat::Voter(_)));
        let Some(source) = voters.max_by_key(|side| (self.epoch_of(side), side.keys)) else { return Ok(()) };
        if joining.is_empty() {
            return Ok(());
        }
        let mut looked_at = 0;
        let mut pace = self.pace(source, LOOKED_AT).await;
        let mut keys = pace.keys();
        let mut page = self.next_copies(source, Some("0".to_owned()), keys).await?;
        // What gave no answer once is left to the sweep, which waits for it.
        while let Some(copies) = page.filter(|_| !joining.is_empty()) {
            looked_at += keys as u64 / 2;
            let giving = self.give_each(&mut joining, &copies, summary);
            let next = copies.next.clone();
            // Without limits the next page is read while this one is written; within them, one node at a time is at work.
            if pace.is_patient() {
                pace.timed(keys, giving).await;
                pace.give_way().await;
                keys = pace.keys();
                page = pace.timed(keys, self.next_copies(source, next, keys)).await?;
            } else {
                let (following, ()) = tokio::join!(self.next_copies(source, next, keys), giving);
                page = following?;
            }
            pace.spend(keys as u64, copies.packed.len() as u64).await;
            self.give_left(source, &mut joining, copies.left.clone(), summary, &mut pace).await;
            self.tell(progress, looked_at.min(swept.about()), swept.about(), summary);
        }
        progress
            .note(&format!("{} registers were copied in bulk; now all nodes are compared", summary.given()));
        Ok(())
    }

    fn epoch_of(&self, side: &Side) -> u64 {
        side.node.session().map_or(0, |session| session.epoch.0)
    }

    async fn next_copies(
        &self,
        source: &Side,
        cursor: Option<String>,
        keys: usize,
    ) -> Result<Option<Copies>, Error> {
        let Some(cursor) = cursor else { return Ok(None) };
        let encode = |ticket: &Ticket<'_>| copy_scan_call(ticket, &cursor, keys, BYTES);
        self.ask_patiently(source, &encode, Copies::parse).await.map(Some)
    }

    /// The rest of a page, call by call. What a node does not take the sweep gives it.
    async fn give_left(
        &self,
        source: &Side,
        joining: &mut Vec<&Side>,
        mut left: Vec<Vec<u8>>,
        summary: &mut Summary,
        pace: &mut Pace,
    ) {
        while !left.is_empty() && !self.is_stopped() {
            pace.give_way().await;
            let encode = |ticket: &Ticket<'_>| copy_of_call(ticket, &left, BYTES);
            let Ok(more) = self.ask_patiently(source, &encode, Copies::parse).await else { return };
            pace.spend(0, more.packed.len() as u64).await;
            self.give_each(joining, &more, summary).await;
            left = more.left;
        }
    }

    /// Whoever does not answer is taken off the list.
    async fn give_each(&self, joining: &mut Vec<&Side>, copies: &Copies, summary: &mut Summary) {
        self.client.telemetry().moved.inc_by((copies.packed.len() * joining.len()) as u64);
        let giving = joining.iter().map(|side| self.give_one(side, copies));
        let taken = join_all(giving).await;
        let mut answers = taken.into_iter();
        joining.retain(|side| {
            let taken = answers.next().flatten();
            summary.repaired[side.place].registers += taken.unwrap_or(0);
            taken.is_some()
        });
    }

    /// How many it took; none where it did not answer.
    async fn give_one(&self, side: &Side, copies: &Copies) -> Option<u64> {
        // By the token under which this pass fills it: another pass may have let it vote since.
        let node = Pinned::new(Arc::new(Arc::clone(&side.node)), self.fence_of(side.place)?);
        let encode = |ticket: &Ticket<'_>| copy_in_call(ticket, &copies.packed);
        let why = match node.send(&encode, PATIENCE).await.map(parse_copied) {
            Ok(Ok(taken)) => {
                self.client.telemetry().copied(side.node.name(), taken);
                return Some(taken);
            }
            Ok(Err(refused)) => refused.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::debug!(node = side.node.name(), why, "did not take copies");
        None
    }
}
