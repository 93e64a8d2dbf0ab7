//! The sweep: finds the registers that the nodes do not hold alike, in the union of all nodes' keys (P49), and mends them.
//!
//! Where the nodes hold nearly the same, it compares sums of many registers before marks of single ones, and those before the
//! registers themselves (`summary`): what it moves follows what differs. A node that is to be filled is given the whole list
//! (`listing`).

use super::pace::Pace;
use super::side::{PATIENCE, Side, keys_on};
use super::{Pass, Progress, Purpose, Summary};
use crate::command::Register;
use crate::error::Error;
use crate::node::{Node, RemoteNode, Seat};
use crate::script::{Compared, DigestPage, Held, digest_of_call, forget_call};
use futures_util::StreamExt;
use futures_util::future::join_all;
use redis::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Keys that a node looks at for one page: few enough that its clients hardly notice the call, and enough that a sweep moves little.
pub(super) const PAGE: usize = 600;
/// Registers that are mended at a time; within the limits, a quarter of that.
pub(super) const AT_ONCE: usize = 16;
/// Registers that are compared at a time, where they are known by name.
pub(super) const BUNCH: usize = 512;
/// What one sweep found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The joining nodes that were compared with the others, by their place in the list.
    pub(super) joining: Vec<usize>,
    /// All nodes that were compared.
    pub(super) nodes: Vec<usize>,
    pub(super) seen: u64,
    pub(super) identical: u64,
    pub(super) differing: u64,
    pub(super) failed: u64,
}

/// The nodes of a sweep: those that vote, and those that are being filled.
pub(super) struct Swept {
    pub(super) nodes: Vec<Side>,
}

/// What each node of the sweep holds of one register, in the order of `Swept::nodes`.
pub(super) type Holdings = Vec<Option<Held>>;

impl Pass {
    /// Compares every register on every node that is there, and mends what differs.
    pub(super) async fn sweep(&self, summary: &mut Summary, progress: &dyn Progress) -> Result<Found, Error> {
        let mut swept = self.swept().await?;
        if swept.lacks_much() && self.purpose == Purpose::Heal {
            self.copy_to_joining(&swept, summary, progress).await?;
            swept = self.swept().await?;
        }
        let joining = swept.nodes.iter().filter(|side| side.joining).map(|side| side.place);
        let mut found = Found {
            joining: joining.collect(),
            nodes: swept.nodes.iter().map(|side| side.place).collect(),
            ..Found::default()
        };
        if swept.lacks_much() {
            self.sweep_by_list(&swept, &mut found, summary, progress).await?;
        } else {
            self.sweep_by_sums(&swept, &mut found, summary, progress).await?;
        }
        self.client.telemetry().swept(found.seen, found.differing, found.failed);
        Ok(found)
    }

    pub(super) async fn swept(&self) -> Result<Swept, Error> {
        let mut nodes = Vec::new();
        let mut voters = 0;
        for (place, node) in self.nodes().iter().enumerate() {
            let joining = match node.seat() {
                Seat::Voter(_) => matches!(self.purpose, Purpose::Recover | Purpose::Adopt(_)),
                Seat::Joining => true,
                Seat::Away(_) => continue,
            };
            let Some(session) = node.session() else { continue };
            voters += usize::from(!joining);
            let (node, run_id) = (Arc::clone(node), Arc::clone(&session.run_id));
            nodes.push(Side { place, node, joining, run_id, keys: 0 });
        }
        let complete = match self.purpose {
            Purpose::Heal | Purpose::Look => voters >= self.client.coordinator().quorum().majority(),
            Purpose::Recover | Purpose::Adopt(_) => nodes.len() == self.nodes().len(),
        };
        if !complete {
            return Err(self.no_quorum(voters));
        }
        let sizes = join_all(nodes.iter().map(|side| keys_on(&side.node))).await;
        nodes.iter_mut().zip(sizes).for_each(|(side, keys)| side.keys = keys);
        Ok(Swept { nodes })
    }

    /// The pace of work on this node, in pages of at most so many keys.
    pub(super) async fn pace(&self, side: &Side, most: usize) -> Pace {
        Pace::beside(&side.node, self.settings.clone(), Arc::clone(&self.turns), most).await
    }

    /// What the nodes hold of these registers.
    pub(super) async fn holdings(
        &self,
        swept: &Swept,
        registers: &[Vec<u8>],
    ) -> Result<BTreeMap<Vec<u8>, Holdings>, Error> {
        let nothing = |id: &Vec<u8>| (id.clone(), vec![None; swept.nodes.len()]);
        let mut holdings: BTreeMap<Vec<u8>, Holdings> = registers.iter().map(nothing).collect();
        let records: Vec<Vec<u8>> =
            holdings.keys().map(|id| Register::from_id(id.clone()).record_key()).collect();
        let encode = |ticket: &crate::script::Ticket<'_>| digest_of_call(ticket, &records);
        let asked = swept.nodes.iter().map(|side| self.ask_patiently(side, &encode, DigestPage::parse));
        for (place, page) in join_all(asked).await.into_iter().enumerate() {
            for row in page?.rows {
                if let Some(held) = holdings.get_mut(&row.register) {
                    held[place] = row.held;
                }
            }
        }
        Ok(holdings)
    }

    /// Compares registers that are known by name, and mends those that differ.
    pub(super) async fn compare(
        &self,
        swept: &Swept,
        registers: &[Vec<u8>],
        found: &mut Found,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        let (mut pace, mut left) = (Pace::of(self.settings.clone(), BUNCH), registers);
        while !left.is_empty() {
            let (bunch, rest) = left.split_at(pace.keys().min(left.len()));
            left = rest;
            pace.give_way().await;
            let holdings = pace.timed(bunch.len(), self.holdings(swept, bunch)).await?;
            self.judge(swept, holdings, found, summary).await?;
            pace.spend(bunch.len() as u64, 0).await;
        }
        Ok(())
    }

    pub(super) async fn judge(
        &self,
        swept: &Swept,
        holdings: BTreeMap<Vec<u8>, Holdings>,
        found: &mut Found,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        let differing = holdings.into_iter().filter(|(_, held)| !swept.is_identical(held));
        let differing: Vec<_> = differing.map(|(id, held)| (Register::from_id(id), held)).collect();
        found.differing += u64::try_from(differing.len()).unwrap_or(u64::MAX);
        if self.purpose == Purpose::Look {
            for (_, held) in &differing {
                swept.lacking(held).for_each(|place| summary.repaired[place].registers += 1);
            }
            return Ok(());
        }
        let mut before = self.client.telemetry().moved.get();
        let mut mending = futures_util::stream::iter(differing)
            .map(|(register, held)| self.mend_one(swept, register, held))
            .buffer_unordered(if self.settings.borrow().patience > 0.0 { AT_ONCE / 4 } else { AT_ONCE });
        let (mut pace, moved) = (Pace::of(self.settings.clone(), AT_ONCE), &self.client.telemetry().moved);
        while let Some(repaired) = mending.next().await {
            pace.spend(1, moved.get().saturating_sub(before)).await;
            before = moved.get();
            match repaired {
                Some(places) => places.into_iter().for_each(|place| summary.repaired[place].registers += 1),
                None => found.failed += 1,
            }
        }
        Ok(())
    }

    /// Brings one register to all nodes of the sweep; none where that failed.
    async fn mend_one(&self, swept: &Swept, register: Register, held: Holdings) -> Option<Vec<usize>> {
        if self.is_stopped() {
            return None;
        }
        let mended = match self.purpose {
            Purpose::Adopt(source) => return self.copy_one(swept, source, &register, &held).await,
            Purpose::Recover => self.client.coordinator().recover(&register, &self.pinned()).await,
            _ if swept.only_joining_hold(&held) => return self.forget(swept, &register, &held).await,
            _ => self.client.coordinator().mend(&register).await,
        };
        match mended {
            // A node that is away cannot be brought anything; it was counted as away. One that is swept must have got it: it
            // may be about to vote.
            Ok(mended)
                if self.is_of_this(&mended)
                    && swept.nodes.iter().all(|side| !mended.missed.contains(&side.place)) =>
            {
                Some(mended.repaired)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%register, %error, "could not be mended");
                None
            }
        }
    }

    /// What no voter has, a joining node must not bring back (P08). Only while this pass fills it: by another pass's token it may have
    /// been given the register since it was compared.
    pub(super) async fn forget(
        &self,
        swept: &Swept,
        register: &Register,
        held: &Holdings,
    ) -> Option<Vec<usize>> {
        let mut places = Vec::new();
        for (side, _) in swept.nodes.iter().zip(held).filter(|(_, held)| held.is_some()) {
            // It is not this pass that will let it vote.
            let Some(fence) = self.fence_of(side.place) else { continue };
            let record = register.record_key();
            let reply = side.node.send(&|_| forget_call(&fence, &record), PATIENCE).await.ok()?;
            if !matches!(reply, Value::Array(words) if words.first() == Some(&Value::BulkString(b"OK".to_vec())))
            {
                return None;
            }
            places.push(side.place);
        }
        Some(places)
    }

    pub(super) fn fence_of(&self, place: usize) -> Option<String> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned()
    }

    /// Of each node whether it votes; none where it is away.
    pub(super) fn seats(&self) -> Vec<Option<bool>> {
        let votes = |node: &Arc<RemoteNode>| match node.seat() {
            Seat::Voter(_) => Some(true),
            Seat::Joining => Some(false),
            Seat::Away(_) => None,
        };
        self.nodes().iter().map(votes).collect()
    }
}

impl Swept {
    /// About how many registers there are: with each goes a key.
    pub(super) fn about(&self) -> u64 {
        self.nodes.iter().map(|side| side.keys / 2).max().unwrap_or(0)
    }

    pub(super) fn compared(&self) -> Compared {
        if self.nodes.iter().any(|side| side.joining) { Compared::Ballots } else { Compared::Digests }
    }

    /// A node that came back empty, or nearly.
    fn lacks_much(&self) -> bool {
        self.nodes.iter().any(|side| side.joining && side.keys < self.about())
    }

    /// Equal histories on all nodes. A joining node must also have taken the newest settle and promised the highest ballot:
    /// what it promised before it lost its memory is gone.
    pub(super) fn is_identical(&self, held: &Holdings) -> bool {
        let position = |held: &Option<Held>| held.map(|held| (held.version, held.digest));
        let equal = held.windows(2).all(|pair| position(&pair[0]) == position(&pair[1]));
        let newest = held.iter().flatten().map(|held| held.accepted).max().flatten();
        let highest = held.iter().flatten().map(|held| held.promised).max().flatten();
        let keeps = |held: &Held| held.accepted == newest && held.promised == highest;
        let joining = self.nodes.iter().zip(held).filter(|(side, _)| side.joining);
        equal && joining.into_iter().all(|(_, held)| held.as_ref().is_none_or(keeps))
    }

    fn only_joining_hold(&self, held: &Holdings) -> bool {
        self.nodes.iter().zip(held).all(|(side, held)| side.joining || held.is_none())
    }

    /// The nodes that do not hold what would win, by their place in the list; of a slow read, as far as it can be told beforehand.
    fn lacking<'a>(&'a self, held: &'a Holdings) -> impl Iterator<Item = usize> + 'a {
        let rank = |held: &Held| (held.accepted, held.version, held.digest);
        let votes = self.nodes.iter().zip(held).filter(|(side, _)| !side.joining);
        let winner = votes.filter_map(|(_, held)| held.as_ref().map(rank)).max();
        let lacks = move |held: &Option<Held>| held.as_ref().map(rank) != winner;
        self.nodes.iter().zip(held).filter(move |(_, held)| lacks(held)).map(|(side, _)| side.place)
    }
}
