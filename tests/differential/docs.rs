//! What a server says of its commands' arguments (`COMMAND DOCS`, Redis 7.0 or newer).

use std::collections::BTreeMap;

use redis::Value;

/// A command, or a subcommand, and how it is written.
#[derive(Debug, Clone)]
pub struct Command {
    /// As `object|encoding`.
    pub name: String,
    /// `string`, `sorted-set`, `generic` ...
    pub group: String,
    /// What it does, in a sentence.
    pub summary: String,
    pub arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
pub struct Argument {
    pub name: String,
    pub kind: Kind,
    /// The word in front of it.
    pub token: Option<String>,
    pub is_optional: bool,
    pub is_multiple: bool,
    /// The token is repeated with it.
    pub has_multiple_tokens: bool,
    /// Of a block, its parts; of a choice, what there is to choose from.
    pub parts: Vec<Argument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    Text,
    Integer,
    Double,
    Time,
    Pattern,
    Token,
    OneOf,
    Block,
}

type Fields = BTreeMap<String, Value>;

/// All commands and subcommands of a reply.
pub fn commands(reply: &Value) -> Vec<Command> {
    fields(reply).iter().flat_map(|(name, docs)| command(name, docs)).collect()
}

fn command(name: &str, docs: &Value) -> Vec<Command> {
    let docs = fields(docs);
    let told = |field: &str| docs.get(field).map(text).unwrap_or_default();
    let (group, summary) = (told("group"), told("summary"));
    let mut all = vec![Command { name: name.to_owned(), group, summary, arguments: arguments(&docs) }];
    if let Some(subcommands) = docs.get("subcommands") {
        all.extend(fields(subcommands).iter().flat_map(|(name, docs)| command(name, docs)));
    }
    all
}

fn arguments(docs: &Fields) -> Vec<Argument> {
    docs.get("arguments").map(list).unwrap_or_default().iter().map(argument).collect()
}

fn argument(docs: &Value) -> Argument {
    let docs = fields(docs);
    let flags: Vec<String> = docs.get("flags").map(list).unwrap_or_default().iter().map(text).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    Argument {
        name: docs.get("name").map(text).unwrap_or_default(),
        kind: kind(&docs.get("type").map(text).unwrap_or_default()),
        token: docs.get("token").map(text),
        is_optional: has("optional"),
        is_multiple: has("multiple"),
        has_multiple_tokens: has("multiple_token"),
        parts: arguments(&docs),
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "key" => Kind::Key,
        "string" => Kind::Text,
        "integer" => Kind::Integer,
        "double" => Kind::Double,
        "unix-time" => Kind::Time,
        "pattern" => Kind::Pattern,
        "pure-token" => Kind::Token,
        "oneof" => Kind::OneOf,
        "block" => Kind::Block,
        other => panic!("COMMAND DOCS names a type of argument that this test does not know: {other}"),
    }
}

/// Names and values, which RESP2 lists in turn.
fn fields(value: &Value) -> Fields {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (text(name), value.clone())).collect(),
        _ => list(value).chunks_exact(2).map(|pair| (text(&pair[0]), pair[1].clone())).collect(),
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items.clone(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("COMMAND DOCS holds {other:?} where a word belongs"),
    }
}
