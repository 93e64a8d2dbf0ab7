//! What a server says of one command in its reply to `COMMAND`.

use super::refusal::TableError;
use super::request::Request;
use redis::Value;

/// One entry of the `COMMAND` table, or what several nodes' entries have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    pub name: String,
    least: usize,
    most: Option<usize>,
    positions: Positions,
    /// How many nodes know the command.
    pub nodes: usize,
}

/// Where the keys are: first, last (from the end if negative), step; no keys if first is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Positions {
    first: i64,
    last: i64,
    step: i64,
}

impl Spec {
    /// The entry and its subcommands.
    pub fn from_entry(entry: &Value) -> Option<Vec<Self>> {
        let fields = list(entry)?;
        let [name, arity, _flags, first, last, step, rest @ ..] = fields else {
            return None;
        };
        let positions = Positions { first: int(first)?, last: int(last)?, step: int(step)? };
        let mut specs = vec![Self::new(&text(name)?, int(arity)?, positions)];
        // Since 7.0: ACL categories, hints, key specifications, subcommands.
        if let Some(subcommands) = rest.get(3).and_then(list) {
            for subcommand in subcommands {
                specs.extend(Self::from_entry(subcommand)?);
            }
        }
        Some(specs)
    }

    /// A subcommand of which the server does not speak (before 7.0 it did not list them).
    pub fn subcommand_of(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    fn new(name: &str, arity: i64, positions: Positions) -> Self {
        let count = usize::try_from(arity.unsigned_abs()).unwrap_or(usize::MAX);
        let most = (arity >= 0).then_some(count);
        Self { name: name.to_ascii_lowercase(), least: count, most, positions, nodes: 1 }
    }

    /// What holds on the nodes of both.
    pub fn merge(&mut self, other: &Self) {
        self.least = self.least.max(other.least);
        self.most = [self.most, other.most].into_iter().flatten().min();
        self.nodes += other.nodes;
        if self.positions.first == 0 {
            self.positions = other.positions;
        }
    }

    /// Whether a command of so many arguments, its name included, passes on every node.
    pub fn takes(&self, count: usize) -> bool {
        count >= self.least && self.most.is_none_or(|most| count <= most)
    }

    /// The indices of the keys of a request.
    pub fn key_indices(&self, request: &Request<'_>) -> Vec<usize> {
        let Positions { first, last, step } = self.positions;
        let count = i64::try_from(request.len()).unwrap_or(i64::MAX);
        let last = if last < 0 { count + last } else { last };
        let step = usize::try_from(step).unwrap_or(1).max(1);
        match (usize::try_from(first), usize::try_from(last.min(count - 1))) {
            (Ok(first @ 1..), Ok(last)) => (first..=last).step_by(step).collect(),
            _ => Vec::new(),
        }
    }
}

/// The entries of a whole reply.
pub(super) fn specs(reply: &Value) -> Result<Vec<Spec>, TableError> {
    let entries = list(reply).ok_or(TableError::NotAList)?;
    let mut specs = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        // COMMAND INFO answers nil for what it does not know.
        if *entry != Value::Nil {
            specs.extend(Spec::from_entry(entry).ok_or(TableError::BadEntry { index })?);
        }
    }
    Ok(specs)
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(elements) | Value::Set(elements) => Some(elements),
        _ => None,
    }
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
