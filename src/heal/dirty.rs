//! The dirty set: registers whose last settle is known to have missed a node.

use super::side::PATIENCE;
use super::sweep::{AT_ONCE, BUNCH, PAGE};
use super::{Pass, Progress, Summary};
use crate::command::Register;
use crate::node::Node;
use crate::script::{clean_call, dirty_call, parse_dirty};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};

/// Who remembers a register, and under which mark.
type Marks = Vec<(usize, String)>;

impl Pass {
    /// Mends every register that a node remembers as dirty, and takes it off once all nodes hold the same.
    pub(super) async fn drain_dirty(&self, summary: &mut Summary, progress: &dyn Progress) {
        let mut dirty: Vec<(Vec<u8>, Marks)> = self.dirty().await.into_iter().collect();
        while !dirty.is_empty() {
            let bunch = dirty.split_off(dirty.len().saturating_sub(BUNCH));
            let alike = self.alike(&bunch).await;
            let judged = bunch.into_iter().map(|(id, marks)| (alike.contains(&id), id, marks));
            let mut draining = futures_util::stream::iter(judged)
                .map(|(is_alike, id, marks)| self.drain(id, marks, is_alike, progress))
                .buffer_unordered(AT_ONCE);
            while let Some((repaired, cleaned)) = draining.next().await {
                repaired.into_iter().for_each(|place| summary.repaired[place].registers += 1);
                summary.cleaned += u64::from(cleaned);
                self.client.telemetry().cleaned.inc_by(u64::from(cleaned));
            }
            if self.is_stopped() {
                return;
            }
        }
    }

    /// Those that every node of the cluster holds alike already: since they were marked, something has mended them.
    async fn alike(&self, bunch: &[(Vec<u8>, Marks)]) -> BTreeSet<Vec<u8>> {
        let Ok(swept) = self.swept().await else { return BTreeSet::new() };
        if swept.nodes.len() < self.nodes().len() {
            return BTreeSet::new();
        }
        let registers: Vec<Vec<u8>> = bunch.iter().map(|(id, _)| id.clone()).collect();
        let Ok(holdings) = self.holdings(&swept, &registers).await else { return BTreeSet::new() };
        holdings.into_iter().filter(|(_, held)| swept.is_identical(held)).map(|(id, _)| id).collect()
    }

    /// Who was given the register, and whether it is off the dirty sets.
    async fn drain(
        &self,
        id: Vec<u8>,
        marks: Marks,
        is_alike: bool,
        progress: &dyn Progress,
    ) -> (Vec<usize>, bool) {
        let mut repaired = Vec::new();
        if !is_alike {
            if self.is_stopped() {
                return (repaired, false);
            }
            let mended = match self.client.coordinator().mend(&Register::from_id(id.clone())).await {
                Ok(mended) if self.is_of_this(&mended) => mended,
                _ => return (repaired, false),
            };
            let complete = mended.is_complete();
            repaired = mended.repaired;
            if !complete {
                return (repaired, false);
            }
        }
        for (place, mark) in marks {
            let node = &self.nodes()[place];
            let call = node.send(&|ticket| clean_call(ticket.fence, &id, &mark), PATIENCE);
            if let Err(error) = call.await {
                progress.note(&format!("{}: a dirty mark stays: {error}", node.name()));
            }
        }
        (repaired, true)
    }

    async fn dirty(&self) -> BTreeMap<Vec<u8>, Marks> {
        let mut dirty: BTreeMap<Vec<u8>, Marks> = BTreeMap::new();
        for (place, node) in self.nodes().iter().enumerate() {
            let mut cursor = Some("0".to_owned());
            while let Some(from) = cursor.take() {
                let reply = node.send(&|ticket| dirty_call(ticket, &from, PAGE), PATIENCE).await;
                let Ok(Ok((next, rows))) = reply.map(parse_dirty) else {
                    break;
                };
                cursor = next;
                for (id, mark) in rows {
                    dirty.entry(id).or_default().push((place, mark));
                }
            }
        }
        dirty
    }
}
