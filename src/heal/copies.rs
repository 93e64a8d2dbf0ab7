//! The work of an adoption: the source's keys are listed in its records, and its registers are copied to the others.

use super::adopt::{Adopted, NAMED};
use super::side::Side;
use super::sweep::{Holdings, Swept};
use super::verify::{Fault, PAGE, Verified, scanned};
use super::{Pass, Progress};
use crate::command::Register;
use crate::error::{Error, Failures, NodeFailure};
use crate::node::Node;
use crate::protocol::NodeIndex;
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};

/// Sweeps until all copies are there.
const SWEEPS: usize = 3;
/// Registers that are listed at a time.
const AT_ONCE: usize = 64;

impl Pass {
    /// Lists every key that the source has; answers the names of those that were not listed as they are.
    pub(super) async fn list_all(
        &self,
        side: &Side,
        adopted: &mut Adopted,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, Error> {
        let (mut changed, mut cursor) = (Vec::new(), Some("0".to_owned()));
        adopted.keys = 0;
        let view = &self.pinned();
        while let Some(from) = cursor {
            let encode = |_: &crate::script::Ticket<'_>| {
                redis::cmd("SCAN").arg(&from).arg("COUNT").arg(PAGE).to_owned()
            };
            let (next, keys) = self.ask_patiently(side, &encode, scanned).await?;
            cursor = (next != "0").then_some(next);
            adopted.keys += keys.len() as u64;
            let mut registers: BTreeMap<Vec<u8>, (Register, Vec<Vec<u8>>)> = BTreeMap::new();
            for key in keys {
                let register = self.register_of(&key);
                registers.entry(register.id().to_vec()).or_insert_with(|| (register, Vec::new())).1.push(key);
            }
            let listing = registers.into_values().map(|(register, mut keys)| async move {
                keys.sort();
                keys.dedup(); // a scan may name one twice
                let coordinator = self.client.coordinator();
                let listed =
                    coordinator.list_keys(view, &register, &keys, NodeIndex(side.place), false).await?;
                Ok::<_, Error>(if listed { keys } else { Vec::new() })
            });
            let mut listing = futures_util::stream::iter(listing).buffer_unordered(AT_ONCE);
            while let Some(listed) = listing.next().await {
                changed.extend(listed?.iter().take(NAMED).map(|key| key.escape_ascii().to_string()));
            }
            changed.truncate(NAMED);
            progress.compared(adopted.keys, side.keys, 0);
        }
        Ok(changed)
    }

    /// Copies what the others lack, until they lack nothing; says how many registers there are.
    pub(super) async fn copy_all(&self, progress: &dyn Progress) -> Result<u64, Error> {
        let mut summary = self.empty_summary();
        let mut last = self.sweep(&mut summary, progress).await?;
        for _ in 1..SWEEPS {
            if last.differing == 0 && last.failed == 0 {
                break;
            }
            last = self.sweep(&mut summary, progress).await?;
        }
        if last.failed == 0 {
            return Ok(last.seen);
        }
        Err(Error::NotApplied {
            why: "some registers could not be copied to all nodes, so none votes yet; the log says which and why; run it again",
            failures: Failures::default(),
        })
    }

    /// One register as the source has it, on all nodes.
    pub(super) async fn copy_one(
        &self,
        swept: &Swept,
        source: usize,
        register: &Register,
        held: &Holdings,
    ) -> Option<Vec<usize>> {
        let of_source = swept.nodes.iter().zip(held).find(|(side, _)| side.place == source);
        if of_source.is_none_or(|(_, held)| held.is_none()) {
            return self.forget(swept, register, held).await;
        }
        let (coordinator, index) = (self.client.coordinator(), NodeIndex(source));
        let view = self.pinned();
        let mut copied = coordinator.copy_from(register, &view, index).await;
        if copied.is_err() {
            // A key that its record lists may be gone: it was deleted since.
            let names = coordinator.names_on(&view, register, index).await.ok()?;
            coordinator.list_keys(&view, register, &names, index, true).await.ok()?;
            copied = coordinator.copy_from(register, &view, index).await;
        }
        match copied {
            Ok(mended) => Some(mended.repaired),
            Err(error) => {
                tracing::warn!(%register, %error, "could not be copied");
                None
            }
        }
    }

    /// What was found to differ is a new version of the source's.
    pub(super) async fn list_anew(
        &self,
        side: &Side,
        verified: &Verified,
        changed: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let (coordinator, view, index) = (self.client.coordinator(), self.pinned(), NodeIndex(side.place));
        for finding in &verified.findings {
            let is_here = finding.nodes.iter().any(|node| node == side.node.name());
            if finding.fault == Fault::Stray && !is_here {
                let reason = format!("it holds {}, which somebody else wrote there", finding.register);
                let failures = finding
                    .nodes
                    .iter()
                    .map(|node| NodeFailure { node: node.clone(), reason: reason.clone() });
                return Err(Error::NotApplied {
                    why: "a server that was to be empty is written to; stop that, FLUSHALL it and run it again",
                    failures: Failures(failures.collect()),
                });
            }
            changed.insert(finding.register.clone());
            if finding.fault == Fault::Stray {
                continue; // the next listing takes it
            }
            let register = Register::from_id(finding.id.clone());
            let names = coordinator.names_on(&view, &register, index).await?;
            coordinator.list_keys(&view, &register, &names, index, true).await?;
        }
        Ok(())
    }
}
