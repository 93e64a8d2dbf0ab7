//! The sweep: the same registers' digests on all nodes, page by page, in the union of all nodes' scans (P49).

use super::{Pass, Progress, Summary};
use crate::command::Register;
use crate::error::Error;
use crate::node::{Node, RemoteNode, Seat};
use crate::script::{DigestPage, DigestRow, Held, digest_of_call, digest_scan_call, forget_call};
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Keys that a node looks at for one page.
const PAGE: usize = 1_000;
/// Registers that are mended at a time.
const AT_ONCE: usize = 16;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one sweep found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The joining nodes that were compared with the others, by their place in the list.
    pub(super) joining: Vec<usize>,
    pub(super) seen: u64,
    pub(super) identical: u64,
    pub(super) differing: u64,
    pub(super) failed: u64,
}

/// The nodes of a sweep: those that vote, and those that are being filled.
struct Swept {
    nodes: Vec<(usize, Arc<RemoteNode>, bool)>,
    about: u64,
}

/// What each node of the sweep holds of one register, in the order of `Swept::nodes`.
type Holdings = Vec<Option<Held>>;

impl Pass {
    /// Compares every register on every node that is there, and mends what differs.
    pub(super) async fn sweep(&self, summary: &mut Summary, progress: &dyn Progress) -> Result<Found, Error> {
        let swept = self.swept().await?;
        let joining = swept.nodes.iter().filter(|(_, _, joining)| *joining).map(|(place, ..)| *place);
        let mut found = Found { joining: joining.collect(), ..Found::default() };
        for scanner in 0..swept.nodes.len() {
            let mut cursor = Some("0".to_owned());
            while let Some(from) = cursor {
                let page = self.page(&swept, scanner, &from).await?;
                cursor = page.next;
                let holdings = self.holdings(&swept, scanner, page.rows).await?;
                self.judge(&swept, scanner, holdings, &mut found, summary).await;
                let repaired = summary.repaired.iter().map(|node| node.registers).sum();
                progress.compared(found.seen, swept.about.max(found.seen), repaired);
            }
        }
        Ok(found)
    }

    async fn swept(&self) -> Result<Swept, Error> {
        let mut nodes = Vec::new();
        let mut voters = 0;
        for (place, node) in self.nodes().iter().enumerate() {
            match node.seat() {
                Seat::Voter(_) => {
                    voters += 1;
                    nodes.push((place, Arc::clone(node), false));
                }
                Seat::Joining => nodes.push((place, Arc::clone(node), true)),
                Seat::Away(_) => {}
            }
        }
        if voters < self.client.coordinator().quorum().majority() {
            return Err(self.no_quorum(voters));
        }
        let sizes = join_all(nodes.iter().map(|(_, node, _)| async {
            match node.send(&|_| redis::cmd("DBSIZE"), PATIENCE).await {
                Ok(redis::Value::Int(keys)) => u64::try_from(keys).unwrap_or(0) / 2,
                _ => 0,
            }
        }));
        let about = sizes.await.into_iter().max().unwrap_or(0);
        Ok(Swept { nodes, about })
    }

    /// A node that does not answer makes the pass unfinished: nothing is concluded from silence.
    async fn page(&self, swept: &Swept, scanner: usize, cursor: &str) -> Result<DigestPage, Error> {
        let (_, node, _) = &swept.nodes[scanner];
        let reply = node.send(&|ticket| digest_scan_call(ticket, cursor, PAGE), PATIENCE).await;
        parsed(node, reply.map(DigestPage::parse))
    }

    /// What every node holds of the registers of one node's page.
    async fn holdings(
        &self,
        swept: &Swept,
        scanner: usize,
        rows: Vec<DigestRow>,
    ) -> Result<BTreeMap<Vec<u8>, Holdings>, Error> {
        let mut holdings: BTreeMap<Vec<u8>, Holdings> = BTreeMap::new();
        for row in rows {
            holdings.entry(row.register).or_insert_with(|| vec![None; swept.nodes.len()])[scanner] = row.held;
        }
        if holdings.is_empty() {
            return Ok(holdings);
        }
        let records: Vec<Vec<u8>> =
            holdings.keys().map(|id| Register::from_id(id.clone()).record_key()).collect();
        let others: Vec<usize> = (0..swept.nodes.len()).filter(|other| *other != scanner).collect();
        let asked = others
            .iter()
            .map(|other| swept.nodes[*other].1.send(&|ticket| digest_of_call(ticket, &records), PATIENCE));
        for (other, reply) in others.iter().zip(join_all(asked).await) {
            let page = parsed(&swept.nodes[*other].1, reply.map(DigestPage::parse))?;
            for row in page.rows {
                if let Some(held) = holdings.get_mut(&row.register) {
                    held[*other] = row.held;
                }
            }
        }
        Ok(holdings)
    }

    async fn judge(
        &self,
        swept: &Swept,
        scanner: usize,
        holdings: BTreeMap<Vec<u8>, Holdings>,
        found: &mut Found,
        summary: &mut Summary,
    ) {
        let mut differing = Vec::new();
        for (id, held) in holdings {
            // What an earlier node of the list holds was seen in that node's scan.
            if held[..scanner].iter().any(Option::is_some) {
                continue;
            }
            found.seen += 1;
            if swept.is_identical(&held) {
                found.identical += 1;
            } else {
                differing.push((Register::from_id(id), held));
            }
        }
        found.differing += u64::try_from(differing.len()).unwrap_or(u64::MAX);
        let mut mending = futures_util::stream::iter(differing)
            .map(|(register, held)| self.mend_one(swept, register, held))
            .buffer_unordered(AT_ONCE);
        while let Some(repaired) = mending.next().await {
            match repaired {
                Some(places) => places.into_iter().for_each(|place| summary.repaired[place].registers += 1),
                None => found.failed += 1,
            }
        }
    }

    /// Brings one register to all nodes of the sweep; none where that failed.
    async fn mend_one(&self, swept: &Swept, register: Register, held: Holdings) -> Option<Vec<usize>> {
        if swept.only_joining_hold(&held) {
            return self.forget(swept, &register, &held).await;
        }
        let mended = self.client.coordinator().mend(&register).await;
        match mended {
            // A node that is away cannot be brought anything; it was counted as away. One that is swept must have got it: it
            // may be about to vote.
            Ok(mended)
                if self.is_of_this(&mended)
                    && swept.nodes.iter().all(|(place, ..)| !mended.missed.contains(place)) =>
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

    /// What no voter has, a joining node must not bring back (P08).
    async fn forget(&self, swept: &Swept, register: &Register, held: &Holdings) -> Option<Vec<usize>> {
        let mut places = Vec::new();
        for ((place, node, _), _) in swept.nodes.iter().zip(held).filter(|(_, held)| held.is_some()) {
            let record = register.record_key();
            let reply = node.send(&|ticket| forget_call(ticket.fence, &record), PATIENCE).await.ok()?;
            if !matches!(reply, redis::Value::Array(words) if words.first() == Some(&redis::Value::BulkString(b"OK".to_vec())))
            {
                return None;
            }
            places.push(*place);
        }
        Some(places)
    }
}

impl Swept {
    /// Equal histories on all nodes. A joining node must also have taken the newest settle and promised the highest ballot:
    /// what it promised before it lost its memory is gone.
    fn is_identical(&self, held: &Holdings) -> bool {
        let position = |held: &Option<Held>| held.map(|held| (held.version, held.digest));
        let equal = held.windows(2).all(|pair| position(&pair[0]) == position(&pair[1]));
        let newest = held.iter().flatten().map(|held| held.accepted).max().flatten();
        let highest = held.iter().flatten().map(|held| held.promised).max().flatten();
        let keeps = |held: &Held| held.accepted == newest && held.promised == highest;
        let joining = self.nodes.iter().zip(held).filter(|((_, _, joining), _)| *joining);
        equal && joining.into_iter().all(|(_, held)| held.as_ref().is_some_and(keeps))
    }

    fn only_joining_hold(&self, held: &Holdings) -> bool {
        self.nodes.iter().zip(held).all(|((_, _, joining), held)| *joining || held.is_none())
    }
}

fn parsed<T>(
    node: &Arc<RemoteNode>,
    reply: Result<Result<T, crate::script::Malformed>, crate::node::CallError>,
) -> Result<T, Error> {
    let reason = match reply {
        Ok(Ok(page)) => return Ok(page),
        Ok(Err(malformed)) => malformed.to_string(),
        Err(error) => error.to_string(),
    };
    let failure = crate::error::NodeFailure { node: node.name().to_owned(), reason };
    Err(Error::NotApplied {
        why: "a node stopped answering, so the sweep is unfinished",
        failures: crate::error::Failures(vec![failure]),
    })
}
