//! The purge: a tombstone goes when it has been settled alike on all nodes, and everything that could bring the value back is older.
//!
//! 1. *The guard*: a node that has no record of a register takes no ballot older than the purge age (`lua/lib/age.lua`). So it forgets
//!    a promise only when all that the promise turned away is turned away by age.
//! 2. *The question*: all N nodes vote under one epoch, and each says of the tombstone that it may go, or that it has none.
//! 3. *The purge*: each node is told which tombstone, under the fence with which it answered, and drops exactly that one.
//! 4. *The rejoin* of a node that was away drops what no voter holds (see `sweep`).
//!
//! While a node is away or joining, nothing is purged: nobody may go on without it. `tests/growth/mod.rs` searched these rules.

use super::Pass;
use crate::command::Register;
use crate::error::Error;
use crate::node::{Node, Seat};
use crate::protocol::Epoch;
use crate::script::{
    Malformed, Purged, Ticket, Tombstone, Verdict, parse_purged, purge_drop_call, purge_of_call, purge_page,
    purge_scan_call,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use redis::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys that a node looks at for one page.
const PAGE: usize = 1_000;
/// Registers that are settled or dropped at a time.
const AT_ONCE: usize = 16;
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a purge came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PurgeSummary {
    /// Tombstones that are gone from all nodes.
    pub purged: u64,
    /// Tombstones that were settled on all nodes, so that they may go once that is long enough ago.
    pub settled: u64,
    /// Tombstones that stay for now: a node holds another history, or changed its mind.
    pub kept: u64,
    /// Tombstones that there are afterwards, the young ones too: on the node that has most.
    pub held: u64,
}

/// What the nodes say of one register, in their order.
type Verdicts = Vec<Verdict>;

impl Pass {
    /// Purges what may go. Purges nothing unless all nodes vote under one epoch.
    pub(super) async fn purge(&self) -> Result<PurgeSummary, Error> {
        let mut summary = PurgeSummary::default();
        if let Some(epoch) = self.common_epoch() {
            for scanner in 0..self.nodes().len() {
                if self.purge_by(scanner, epoch, &mut summary).await.is_none() {
                    break;
                }
            }
        }
        summary.held = self.tombstones().await;
        Ok(summary)
    }

    /// Purges what one node finds on itself; none where a node did not answer.
    async fn purge_by(&self, scanner: usize, epoch: Epoch, summary: &mut PurgeSummary) -> Option<()> {
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let scan = |ticket: &Ticket<'_>| purge_scan_call(ticket, &from, PAGE);
            let page = self.ask_voter(scanner, epoch, &scan, purge_page).await?;
            cursor = page.next;
            let found: BTreeMap<Vec<u8>, Verdict> = page.rows.into_iter().collect();
            let verdicts = self.question(scanner, epoch, found).await?;
            self.carry_out(scanner, epoch, verdicts, summary).await;
        }
        Some(())
    }

    /// How many tombstones the node holds that has most of them.
    async fn tombstones(&self) -> u64 {
        let counts = self.nodes().iter().map(|node| async move {
            let (mut count, mut cursor) = (0, Some("0".to_owned()));
            while let Some(from) = cursor {
                let scan = |ticket: &Ticket<'_>| purge_scan_call(ticket, &from, PAGE);
                let page = purge_page(node.send(&scan, PATIENCE).await.ok()?).ok()?;
                count += page.tombstones;
                cursor = page.next;
            }
            Some(count)
        });
        join_all(counts).await.into_iter().flatten().max().unwrap_or(0)
    }

    fn common_epoch(&self) -> Option<Epoch> {
        let votes = |seat| match seat {
            Seat::Voter(epoch) if epoch.generation() == self.roster.configuration.generation => Some(epoch),
            _ => None,
        };
        let epochs: Option<Vec<Epoch>> = self.nodes().iter().map(|node| votes(node.seat())).collect();
        let epochs = epochs.filter(|epochs| epochs.len() == self.roster.configuration.members.len())?;
        epochs.first().copied().filter(|first| epochs.iter().all(|epoch| epoch == first))
    }

    /// One node's answer, if it still votes under that epoch.
    async fn ask_voter<T>(
        &self,
        place: usize,
        epoch: Epoch,
        encode: &(dyn Fn(&Ticket<'_>) -> redis::Cmd + Sync),
        parse: fn(Value) -> Result<T, Malformed>,
    ) -> Option<T> {
        let node = self.nodes().get(place)?;
        parse(node.send_as(epoch, encode, PATIENCE).await.ok()?).ok()
    }

    /// What all nodes say of what one of them found. A node that does not answer ends the purge.
    async fn question(
        &self,
        scanner: usize,
        epoch: Epoch,
        found: BTreeMap<Vec<u8>, Verdict>,
    ) -> Option<BTreeMap<Vec<u8>, Verdicts>> {
        let nodes = self.nodes().len();
        let records: Vec<Vec<u8>> =
            found.keys().map(|id| Register::from_id(id.clone()).record_key()).collect();
        let mut verdicts: BTreeMap<Vec<u8>, Verdicts> = BTreeMap::new();
        for (id, verdict) in found {
            verdicts.entry(id).or_insert_with(|| vec![Verdict::Nothing; nodes])[scanner] = verdict;
        }
        if records.is_empty() {
            return Some(verdicts);
        }
        let of = |ticket: &Ticket<'_>| purge_of_call(ticket, &records);
        let others: Vec<usize> = (0..nodes).filter(|other| *other != scanner).collect();
        let asked = others.iter().map(|other| self.ask_voter(*other, epoch, &of, purge_page));
        for (other, page) in others.iter().zip(join_all(asked).await) {
            for (id, verdict) in page?.rows {
                if let Some(verdicts) = verdicts.get_mut(&id) {
                    verdicts[*other] = verdict;
                }
            }
        }
        Some(verdicts)
    }

    async fn carry_out(
        &self,
        scanner: usize,
        epoch: Epoch,
        verdicts: BTreeMap<Vec<u8>, Verdicts>,
        summary: &mut PurgeSummary,
    ) {
        // What an earlier node of the list has was decided in that node's scan.
        let is_new = |(_, verdicts): &(Vec<u8>, Verdicts)| {
            verdicts[..scanner].iter().all(|verdict| *verdict == Verdict::Nothing)
        };
        let mut ending = futures_util::stream::iter(verdicts.into_iter().filter(is_new))
            .map(|(id, verdicts)| self.end(Register::from_id(id), epoch, verdicts))
            .buffer_unordered(AT_ONCE);
        while let Some(ended) = ending.next().await {
            match ended {
                Ended::Purged => summary.purged += 1,
                Ended::Settled => summary.settled += 1,
                Ended::Kept => summary.kept += 1,
            }
        }
    }

    async fn end(&self, register: Register, epoch: Epoch, verdicts: Verdicts) -> Ended {
        match judge(&verdicts) {
            Judgement::Stays => Ended::Kept,
            Judgement::Settle => match self.client.coordinator().settle_all(&register).await {
                Ok(true) => Ended::Settled,
                Ok(false) | Err(_) => Ended::Kept,
            },
            Judgement::Goes(tombstone) => {
                let record = register.record_key();
                let drop = |ticket: &Ticket<'_>| purge_drop_call(ticket, &record, &tombstone);
                let holders = (0..verdicts.len()).filter(|place| verdicts[*place] != Verdict::Nothing);
                let dropping = holders.map(|place| self.ask_voter(place, epoch, &drop, parse_purged));
                let all = join_all(dropping).await.into_iter().all(|purged| purged == Some(Purged::Gone));
                if all { Ended::Purged } else { Ended::Kept }
            }
        }
    }
}

enum Ended {
    Purged,
    Settled,
    Kept,
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Goes(Tombstone),
    Settle,
    Stays,
}

/// All must speak of one tombstone, or have none.
fn judge(verdicts: &[Verdict]) -> Judgement {
    if verdicts.contains(&Verdict::Stays) {
        return Judgement::Stays;
    }
    let mut tombstones = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Go(tombstone) => Some(*tombstone),
        _ => None,
    });
    match tombstones.next() {
        Some(first) if !verdicts.contains(&Verdict::Unsettled) && tombstones.all(|other| other == first) => {
            Judgement::Goes(first)
        }
        _ => Judgement::Settle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Position, Version};

    #[test]
    fn only_what_all_nodes_agree_on_goes() {
        let go = |version| {
            let position = Position { version: Version(version), ..Position::default() };
            Verdict::Go(Tombstone { position, accepted: None })
        };
        let Verdict::Go(one) = go(1) else { unreachable!() };
        let (stays, unsettled, nothing) = (Verdict::Stays, Verdict::Unsettled, Verdict::Nothing);
        for (verdicts, judgement) in [
            ([go(1), go(1), go(1)], Judgement::Goes(one)),
            ([nothing, go(1), nothing], Judgement::Goes(one)),
            ([go(1), go(2), go(1)], Judgement::Settle),
            ([go(1), unsettled, go(1)], Judgement::Settle),
            ([unsettled, nothing, nothing], Judgement::Settle),
            ([go(1), go(1), stays], Judgement::Stays),
            ([unsettled, stays, nothing], Judgement::Stays),
        ] {
            assert_eq!(judge(&verdicts), judgement, "{verdicts:?}");
        }
    }
}
