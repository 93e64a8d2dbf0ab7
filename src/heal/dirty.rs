//! The dirty set: registers whose last settle is known to have missed a node.

use super::{Pass, Progress, Summary};
use crate::command::Register;
use crate::node::Node;
use crate::script::{clean_call, dirty_call, parse_dirty};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

const PAGE: usize = 1_000;
/// Registers that are mended at a time.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Who remembers a register, and under which mark.
type Marks = Vec<(usize, String)>;

impl Pass {
    /// Mends every register that a node remembers as dirty, and takes it off once all nodes hold the same.
    pub(super) async fn drain_dirty(&self, summary: &mut Summary, progress: &dyn Progress) {
        let draining = self.dirty().await.into_iter().map(|(id, marks)| self.drain_one(id, marks, progress));
        let mut draining = futures_util::stream::iter(draining).buffer_unordered(AT_ONCE);
        while let Some((repaired, cleaned)) = draining.next().await {
            repaired.into_iter().for_each(|place| summary.repaired[place].registers += 1);
            summary.cleaned += u64::from(cleaned);
        }
    }

    /// Who was given the register, and whether it is off the dirty sets.
    async fn drain_one(&self, id: Vec<u8>, marks: Marks, progress: &dyn Progress) -> (Vec<usize>, bool) {
        let register = Register::from_id(id.clone());
        if self.is_stopped() {
            return (Vec::new(), false);
        }
        let mended = match self.client.coordinator().mend(&register).await {
            Ok(mended) if self.is_of_this(&mended) => mended,
            _ => return (Vec::new(), false),
        };
        if !mended.is_complete() {
            return (mended.repaired, false);
        }
        for (place, mark) in marks {
            let node = &self.nodes()[place];
            let call = node.send(&|ticket| clean_call(ticket.fence, &id, &mark), PATIENCE);
            if let Err(error) = call.await {
                progress.note(&format!("{}: a dirty mark stays: {error}", node.name()));
            }
        }
        self.client.telemetry().cleaned.inc();
        (mended.repaired, true)
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
