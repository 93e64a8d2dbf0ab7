//! What a node's values are, in one text that can be compared.

use super::Coordinator;
use super::transfer::{Goal, REPAIR_PATIENCE};
use super::view::View;
use crate::command::Register;
use crate::protocol::{NodeIndex, Position};
use crate::script::{Form, KeyState};
use std::sync::Arc;
use tokio::time::Instant;

impl Coordinator {
    /// The canonical text of what each node holds of a register at this position, in the order of the view; none where it is away,
    /// has gone on, or lacks a key that its record lists.
    pub async fn contents(&self, register: &Register, position: Position) -> Vec<Option<Vec<u8>>> {
        let view = self.view();
        let contents = view.indices().map(|index| self.content(&view, register, index, position));
        futures_util::future::join_all(contents).await
    }

    /// A canonical text of the values that a node holds at this position: equal texts, equal values. None where it cannot be had.
    pub(super) async fn content(
        &self,
        view: &Arc<View>,
        register: &Register,
        node: NodeIndex,
        position: Position,
    ) -> Option<Vec<u8>> {
        let ballot = self.next_ballot();
        let goal = Goal {
            register: register.clone(),
            ballot,
            position,
            source: node,
            dirty: false,
            whole: true,
            loose: false,
            taken_by_majority: false,
            brief: false,
            epoch: None,
            view: Arc::clone(view),
        };
        // Each call of it ends much earlier; a large value takes many.
        let deadline = Instant::now() + REPAIR_PATIENCE;
        let record = register.record_key();
        let mut snapshot = self.fetch(&goal, &record, &[], deadline).await.ok()?;
        self.complete(&goal, &record, &mut snapshot, deadline).await.ok()?;
        // In the DUMP of a stream each node has its own times at which it saw the consumers.
        self.spell_out(&goal, &record, &mut snapshot, deadline).await.ok()?;
        for state in snapshot.states.iter_mut().filter(|state| state.form == Form::Large) {
            *state = self.gather(&goal, &record, state, deadline).await.ok()?;
        }
        let mut lines: Vec<Vec<u8>> = snapshot.states.into_iter().map(canonical).collect();
        lines.sort();
        Some(lines.concat())
    }
}

/// Order means something in a list; in sets and hashes it is the node's own (P27). A score is the number, not its digits, which
/// differ between versions of the server.
fn canonical(mut state: KeyState) -> Vec<u8> {
    if state.form == Form::Stream {
        let _ = forget_counts(&mut state.elements);
    }
    let width = if matches!(state.form, Form::Hash | Form::Zset) { 2 } else { 1 };
    let mut parts: Vec<Vec<u8>> =
        state.elements.chunks(width).map(|part| delimited(part, state.form)).collect();
    if matches!(state.form, Form::Hash | Form::Zset | Form::Set) {
        parts.sort();
        parts.dedup(); // slices may give an element twice
    }
    let head =
        format!("{}:{}:{}:", state.key.escape_ascii(), state.form.as_str(), state.expiry_ms).into_bytes();
    std::iter::once(head).chain(parts).flatten().collect()
}

/// What servers before 7.0 do not count of a stream and its groups. See `lua/lib/entries.lua`.
fn forget_counts(elements: &mut [Vec<u8>]) -> Option<()> {
    elements.get_mut(1..3)?.fill(Vec::new());
    let mut at = 3;
    for _ in 0..take(elements, &mut at)? {
        at += 1;
        let texts = take(elements, &mut at)?;
        at += texts;
    }
    for _ in 0..take(elements, &mut at)? {
        elements.get_mut(at + 2)?.clear();
        at += 3;
        let consumers = take(elements, &mut at)?;
        at += consumers;
        let pending = take(elements, &mut at)?;
        at += 4 * pending;
    }
    Some(())
}

fn take(elements: &[Vec<u8>], at: &mut usize) -> Option<usize> {
    let number = std::str::from_utf8(elements.get(*at)?).ok()?.parse().ok();
    *at += 1;
    number
}

fn delimited(part: &[Vec<u8>], form: Form) -> Vec<u8> {
    let mut text = Vec::new();
    for (place, element) in part.iter().enumerate() {
        let score = (form == Form::Zset && place == 1).then(|| number(element)).flatten();
        let element = score.unwrap_or_else(|| element.clone());
        text.extend(format!("{}:", element.len()).into_bytes());
        text.extend(element);
    }
    text
}

fn number(score: &[u8]) -> Option<Vec<u8>> {
    let number: f64 = std::str::from_utf8(score).ok()?.parse().ok()?;
    // The two zeroes are one score.
    Some((number + 0.0).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(form: Form, elements: &[&str]) -> Vec<u8> {
        let elements = elements.iter().map(|element| element.as_bytes().to_vec()).collect();
        canonical(KeyState { key: b"k".to_vec(), form, expiry_ms: 0, elements })
    }

    #[test]
    fn equal_values_have_one_text_and_other_values_another() {
        assert_eq!(content(Form::Set, &["a", "b"]), content(Form::Set, &["b", "a"]));
        assert_ne!(content(Form::List, &["a", "b"]), content(Form::List, &["b", "a"]));
        assert_ne!(content(Form::Hash, &["a", "bc"]), content(Form::Hash, &["ab", "c"]));
        assert_eq!(content(Form::Zset, &["m", "0.10000000000000001"]), content(Form::Zset, &["m", "0.1"]));
        assert_eq!(content(Form::Zset, &["m", "-0"]), content(Form::Zset, &["m", "0"]));
    }

    #[test]
    fn a_stream_is_the_same_whether_its_entries_are_counted_or_not() {
        let stream = |added, deleted, read, deliveries| {
            let entry = ["1", "5-1", "2", "f", "v"];
            let groups =
                ["2", "g", "5-1", read, "2", "one", "two", "1", "5-1", "one", "1000", deliveries, "h"];
            let elements: Vec<&str> =
                [&["5-1", added, deleted], &entry[..], &groups, &["0-0", read, "0", "0"]].concat();
            content(Form::Stream, &elements)
        };
        assert_eq!(stream("7", "4-1", "3", "1"), stream("", "", "", "1"));
        assert_ne!(stream("7", "4-1", "3", "1"), stream("7", "4-1", "3", "2"));
    }
}
