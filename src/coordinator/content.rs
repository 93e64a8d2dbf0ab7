//! What a node's values are, in one text that can be compared.

use super::Coordinator;
use super::transfer::Goal;
use crate::command::Register;
use crate::protocol::{NodeIndex, Position};
use crate::script::{Form, KeyState};
use tokio::time::Instant;

impl Coordinator {
    /// A canonical text of the values that a node holds at this position: equal texts, equal values. None where it cannot be had.
    pub(super) async fn content(
        &self,
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
            epoch: None,
        };
        let deadline = Instant::now() + self.config.operation_timeout;
        let snapshot = self.fetch(&goal, &register.record_key(), None, deadline).await.ok()?;
        let mut lines: Vec<Vec<u8>> = snapshot.states.into_iter().map(canonical).collect();
        lines.sort();
        Some(lines.concat())
    }
}

/// Order means something in a list; in sets and hashes it is the node's own (P27). A score is the number, not its digits, which
/// differ between versions of the server.
fn canonical(state: KeyState) -> Vec<u8> {
    let width = if matches!(state.form, Form::Hash | Form::Zset) { 2 } else { 1 };
    let mut parts: Vec<Vec<u8>> =
        state.elements.chunks(width).map(|part| delimited(part, state.form)).collect();
    if matches!(state.form, Form::Hash | Form::Zset | Form::Set) {
        parts.sort();
    }
    let head =
        format!("{}:{}:{}:", state.key.escape_ascii(), state.form.as_str(), state.expiry_ms).into_bytes();
    std::iter::once(head).chain(parts).flatten().collect()
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
}
