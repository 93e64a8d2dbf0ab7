//! Large keys on their way to a node: in slices, aside, until a settle puts them in place.

use super::Coordinator;
use super::transfer::{Goal, SNAPSHOT_BYTES, Stopped};
use crate::protocol::NodeIndex;
use crate::script::{Form, KeyState, Slice, Ticket, Want, snapshot_call, stage_call};
use tokio::time::Instant;

/// Elements of a large collection that move at a time; bytes of a large string.
const SLICE_ELEMENTS: usize = 1_000;
const SLICE_BYTES: usize = 1024 * 1024;
/// After how long an abandoned stage is dropped by the node itself.
const STAGE_TTL_MS: u64 = 60_000;
impl Coordinator {
    /// Brings large keys over in slices and puts a pointer to the stage in their place.
    pub(super) async fn stage_large(
        &self,
        goal: &Goal,
        record: &[u8],
        states: Vec<KeyState>,
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<Vec<KeyState>, Stopped> {
        let mut all = Vec::with_capacity(states.len());
        for (place, state) in states.into_iter().enumerate() {
            if state.form == Form::Large {
                all.push(self.stage_key(goal, record, state, place, to, deadline).await?);
            } else {
                all.push(state);
            }
        }
        Ok(all)
    }

    async fn stage_key(
        &self,
        goal: &Goal,
        record: &[u8],
        state: KeyState,
        place: usize,
        to: NodeIndex,
        deadline: Instant,
    ) -> Result<KeyState, Stopped> {
        let [form, length] = state.elements.as_slice() else {
            return Err(Stopped::Failed);
        };
        let form = large_form(form).ok_or(Stopped::Failed)?;
        let stage = format!("anrcho_stage:{:016x}:{place}", self.config.surroundings.random()).into_bytes();
        let key = [state.key.clone()];
        let count = if form == Form::String { SLICE_BYTES } else { SLICE_ELEMENTS };
        let mut position = Some("0".to_owned());
        let mut first = true;
        while let Some(from) = position {
            let encode = |ticket: &Ticket<'_>| {
                snapshot_call(ticket, record, &Want::Slice(&key, &from, count), SNAPSHOT_BYTES)
            };
            let slice = Slice::parse(self.call(goal, goal.source, &encode, deadline).await?)?
                .ok_or(Stopped::Moved)?;
            if slice.digest != goal.position.digest {
                return Err(Stopped::Moved);
            }
            let bytes: usize = slice.elements.iter().map(Vec::len).sum();
            self.telemetry.moved.inc_by(bytes as u64);
            if !slice.elements.is_empty() {
                let encode = |ticket: &Ticket<'_>| {
                    stage_call(ticket, record, &stage, form, first, STAGE_TTL_MS, &slice.elements)
                };
                self.call(goal, to, &encode, deadline).await?;
                first = false;
            }
            position = slice.next;
        }
        let elements = vec![stage, form.as_str().into(), length.clone()];
        Ok(KeyState { form: Form::Staged, elements, ..state })
    }
}

fn large_form(word: &[u8]) -> Option<Form> {
    [Form::String, Form::List, Form::Hash, Form::Set, Form::Zset]
        .into_iter()
        .find(|form| form.as_str().as_bytes() == word)
}
