//! Brings one large key to a node: in slices, aside, so that only the settle makes it visible.

use super::Coordinator;
use super::transfer::{Goal, SNAPSHOT_BYTES, Stopped};
use crate::protocol::{Digest, NodeIndex};
use crate::script::{Form, KeyState, Slice, Ticket, Want, is_staged, snapshot_call, stage_call};
use tokio::time::Instant;

/// Most elements of a collection that move at a time, and about as many bytes as they should have.
const MOST_ELEMENTS: usize = 1_000;
const USUAL_BYTES: usize = 256 * 1024;
/// As many to begin with: how large they are is not known yet.
const FIRST_ELEMENTS: usize = 50;
/// Bytes of a string that move at a time.
const STRING_BYTES: usize = 1024 * 1024;
/// After how long an abandoned stage is dropped by the node itself.
const STAGE_TTL_MS: u64 = 60_000;

/// A large key on its way.
struct Journey<'a> {
    goal: &'a Goal,
    record: &'a [u8],
    key: [Vec<u8>; 1],
    form: Form,
    stage: Vec<u8>,
    to: NodeIndex,
    deadline: Instant,
    /// The digests at which its slices were read, one after the other.
    seen: &'a mut Vec<Digest>,
}

impl Coordinator {
    /// Brings a large key over and answers a pointer to the stage in its place.
    pub(super) async fn stage_key(
        &self,
        goal: &Goal,
        record: &[u8],
        state: KeyState,
        to: NodeIndex,
        deadline: Instant,
        seen: &mut Vec<Digest>,
    ) -> Result<KeyState, Stopped> {
        let (form, length) = form_and_length(&state)?;
        let stage = format!("anrcho_stage:{:016x}", self.config.surroundings.random()).into_bytes();
        let elements = vec![stage.clone(), form.as_str().into(), length.to_string().into_bytes()];
        let mut journey = Journey { goal, record, key: [state.key.clone()], form, stage, to, deadline, seen };
        if form == Form::String {
            self.stage_string(&mut journey, length).await?;
        } else {
            self.stage_elements(&mut journey).await?;
        }
        Ok(KeyState { form: Form::Staged, elements, ..state })
    }

    /// The whole of a large key, in this process.
    pub(super) async fn gather(
        &self,
        goal: &Goal,
        record: &[u8],
        state: &KeyState,
        deadline: Instant,
    ) -> Result<KeyState, Stopped> {
        let (form, _) = form_and_length(state)?;
        let to = goal.source;
        let key = [state.key.clone()];
        let (stage, seen) = (Vec::new(), &mut Vec::new());
        let mut journey = Journey { goal, record, key, form, stage, to, deadline, seen };
        let count = if form == Form::String { STRING_BYTES } else { MOST_ELEMENTS };
        let (mut elements, mut position) = (Vec::new(), Some("0".to_owned()));
        while let Some(from) = position {
            let slice = self.slice(&mut journey, &from, count).await?;
            elements.extend(slice.elements);
            position = slice.next;
        }
        if form == Form::String {
            elements = vec![elements.concat()];
        }
        Ok(KeyState { form, elements, ..state.clone() })
    }

    /// The end first: the node makes room for all of it once, and not again with every slice.
    async fn stage_string(&self, journey: &mut Journey<'_>, length: usize) -> Result<(), Stopped> {
        for (number, place) in (0..length).step_by(STRING_BYTES).rev().enumerate() {
            let slice = self.slice(journey, &place.to_string(), STRING_BYTES).await?;
            self.put_aside(journey, number == 0, Some(place), &slice).await?;
        }
        Ok(())
    }

    async fn stage_elements(&self, journey: &mut Journey<'_>) -> Result<(), Stopped> {
        let mut position = Some("0".to_owned());
        let (mut first, mut count) = (true, FIRST_ELEMENTS);
        while let Some(from) = position {
            let slice = self.slice(journey, &from, count).await?;
            if !slice.elements.is_empty() {
                self.put_aside(journey, first, None, &slice).await?;
                first = false;
                count = next_count(count, &slice);
            }
            position = slice.next;
        }
        Ok(())
    }

    async fn slice(&self, journey: &mut Journey<'_>, from: &str, count: usize) -> Result<Slice, Stopped> {
        let encode = |ticket: &Ticket<'_>| {
            snapshot_call(ticket, journey.record, &Want::Slice(&journey.key, from, count), SNAPSHOT_BYTES)
        };
        let reply = self.call(&journey.goal.view, journey.goal.source, &encode, journey.deadline).await?;
        let slice = Slice::parse(reply)?.ok_or(Stopped::Moved)?;
        let bytes: usize = slice.elements.iter().map(Vec::len).sum();
        self.telemetry.moved.inc_by(bytes as u64);
        if journey.seen.last() != Some(&slice.digest) {
            journey.seen.push(slice.digest);
        }
        // One of another history must not be mixed in.
        if journey.goal.loose || slice.digest == journey.goal.position.digest {
            Ok(slice)
        } else {
            Err(Stopped::Moved)
        }
    }

    async fn put_aside(
        &self,
        journey: &Journey<'_>,
        first: bool,
        place: Option<usize>,
        slice: &Slice,
    ) -> Result<(), Stopped> {
        let Journey { record, stage, form, .. } = journey;
        let encode = |ticket: &Ticket<'_>| {
            stage_call(ticket, record, stage, *form, first, place, STAGE_TTL_MS, &slice.elements)
        };
        // A slice that was refused would be a hole.
        let reply = self.call(&journey.goal.view, journey.to, &encode, journey.deadline).await?;
        if is_staged(reply)? { Ok(()) } else { Err(Stopped::Failed) }
    }
}

/// As many elements as would have had the usual number of bytes.
fn next_count(count: usize, slice: &Slice) -> usize {
    let bytes: usize = slice.elements.iter().map(|element| element.len() + 16).sum();
    let fitting = count.saturating_mul(USUAL_BYTES) / bytes.max(1);
    fitting.clamp(1, count * 8).min(MOST_ELEMENTS)
}

fn form_and_length(large: &KeyState) -> Result<(Form, usize), Stopped> {
    let [form, length] = large.elements.as_slice() else {
        return Err(Stopped::Failed);
    };
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    Ok((large_form(form).ok_or(Stopped::Failed)?, length.ok_or(Stopped::Failed)?))
}

fn large_form(word: &[u8]) -> Option<Form> {
    [Form::String, Form::List, Form::Hash, Form::Set, Form::Zset]
        .into_iter()
        .find(|form| form.as_str().as_bytes() == word)
}
