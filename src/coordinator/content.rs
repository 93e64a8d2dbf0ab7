//! What a node's values are, in one text that can be compared.

use super::Coordinator;
use super::transfer::Goal;
use crate::command::Register;
use crate::protocol::{NodeIndex, Position};
use crate::script::{Form, KeyState};
use std::time::Instant;

impl Coordinator {
    /// A canonical text of the values that a node holds at this position: equal texts, equal values. None where it cannot be had.
    pub(super) async fn content(
        &self,
        register: &Register,
        node: NodeIndex,
        position: Position,
    ) -> Option<Vec<u8>> {
        let ballot = self.next_ballot();
        let goal =
            Goal { register: register.clone(), ballot, position, source: node, dirty: false, whole: true };
        let deadline = Instant::now() + self.config.operation_timeout;
        let snapshot = self.fetch(&goal, &register.record_key(), None, deadline).await.ok()?;
        let mut lines: Vec<Vec<u8>> = snapshot.states.into_iter().map(canonical).collect();
        lines.sort();
        Some(lines.concat())
    }
}

/// Order means something in a list; in sets and hashes it is the node's own (P27).
fn canonical(state: KeyState) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = match state.form {
        Form::Hash | Form::Zset => state.elements.chunks(2).map(<[Vec<u8>]>::concat).collect(),
        _ => state.elements,
    };
    if matches!(state.form, Form::Hash | Form::Zset | Form::Set) {
        parts.sort();
    }
    let head =
        format!("{}:{}:{}:", state.key.escape_ascii(), state.form.as_str(), state.expiry_ms).into_bytes();
    let parts = parts.into_iter().flat_map(|part| [format!("{}:", part.len()).into_bytes(), part]);
    std::iter::once(head).chain(parts).flatten().collect()
}
