//! A reply, shown in one line: `[ACK '' 0 1 …]`.

use std::fmt;

use redis::Value;

/// What a server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(pub Value);

impl Reply {
    /// The items of an array; of anything else, itself.
    pub fn items(&self) -> Vec<Reply> {
        match &self.0 {
            Value::Array(items) => items.iter().cloned().map(Reply).collect(),
            other => vec![Reply(other.clone())],
        }
    }

    pub fn item(&self, index: usize) -> Reply {
        let found = match &self.0 {
            Value::Array(items) => items.get(index),
            other => (index == 0).then_some(other),
        };
        Reply(found.unwrap_or_else(|| panic!("no item {index} in {self}")).clone())
    }

    pub fn text(&self, index: usize) -> String {
        match self.item(index).0 {
            Value::BulkString(bytes) => String::from_utf8(bytes).expect("text"),
            other => Reply(other).to_string(),
        }
    }

    pub fn bytes(&self, index: usize) -> Vec<u8> {
        match self.item(index).0 {
            Value::BulkString(bytes) => bytes,
            other => Reply(other).to_string().into_bytes(),
        }
    }

    pub fn number(&self, index: usize) -> u64 {
        self.text(index).parse().unwrap_or_else(|_| panic!("no number at {index} in {self}"))
    }

    /// The status word.
    pub fn word(&self) -> String {
        self.text(0)
    }

    pub fn is(&self, word: &str) -> bool {
        self.word() == word
    }

    /// Of an ACK: accepted, settled, version.
    pub fn standing(&self) -> String {
        assert!(self.is("ACK"), "{self}");
        format!("{} {} {}", self.item(1), self.text(2), self.text(3))
    }

    /// Of an ACK.
    pub fn digest(&self) -> String {
        assert!(self.is("ACK"), "{self}");
        self.text(4)
    }

    /// Of an ACK.
    pub fn ran(&self) -> String {
        self.item(5).to_string()
    }

    /// Of an ACK.
    pub fn base(&self) -> String {
        self.text(6)
    }

    /// Of an ACK, READ or ABSENT.
    pub fn replies(&self) -> String {
        let place = match self.word().as_str() {
            "ACK" => 7,
            "READ" => 6,
            "ABSENT" => 1,
            _ => panic!("no replies in {self}"),
        };
        self.item(place).to_string()
    }

    /// Of an ACK.
    pub fn states(&self) -> String {
        self.item(8).to_string()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, f)
    }
}

fn show(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Nil => f.write_str("nil"),
        Value::Okay => f.write_str("OK"),
        Value::Int(number) => write!(f, "{number}"),
        Value::SimpleString(text) => f.write_str(text),
        Value::BulkString(bytes) if bytes.is_empty() => f.write_str("''"),
        Value::BulkString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "{}", bytes.escape_ascii()),
        },
        Value::ServerError(error) => write!(f, "!{} {}", error.code(), error.details().unwrap_or_default()),
        Value::Array(items) => {
            f.write_str("[")?;
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    f.write_str(" ")?;
                }
                show(item, f)?;
            }
            f.write_str("]")
        }
        other => write!(f, "{other:?}"),
    }
}
