//! Pieces of a reply. A reply that does not have the contract's shape is an answer that tells nothing: `Malformed`.

use redis::Value;

/// A reply that is not in the contract: another version of the scripts, or something that is not Redis.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the node answered outside of the scripts' contract: {0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// Of a value, shortened so that it fits a log line.
    pub fn of(value: &Value) -> Malformed {
        let mut shown = format!("{value:?}");
        if shown.len() > 200 {
            shown = shown.chars().take(200).collect();
        }
        Malformed(shown)
    }
}

/// The bytes of a bulk or simple string.
pub fn bytes(value: Value) -> Result<Vec<u8>, Malformed> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        other => Err(Malformed::of(&other)),
    }
}

/// A string that must be UTF-8.
pub fn text(value: Value) -> Result<String, Malformed> {
    String::from_utf8(bytes(value)?).map_err(|error| Malformed(error.to_string()))
}

/// A number that crossed the Lua border as text.
pub fn integer(value: Value) -> Result<u64, Malformed> {
    let text = text(value)?;
    text.parse().map_err(|_| Malformed(text))
}

/// An array, whose items are taken one after the other.
pub fn fields(value: Value) -> Result<std::vec::IntoIter<Value>, Malformed> {
    match value {
        Value::Array(items) => Ok(items.into_iter()),
        other => Err(Malformed::of(&other)),
    }
}

/// The next item of an array; an array that Lua cut at a nil has too few.
pub fn next(items: &mut std::vec::IntoIter<Value>) -> Result<Value, Malformed> {
    items.next().ok_or_else(|| Malformed("a reply that ends too early".into()))
}

/// The next item, as text in the form that `T` reads.
pub fn parsed<T: std::str::FromStr>(items: &mut std::vec::IntoIter<Value>) -> Result<T, Malformed> {
    let text = text(next(items)?)?;
    text.parse().map_err(|_| Malformed(text))
}

/// The next item, where an empty text stands for "none".
pub fn optional<T: std::str::FromStr>(items: &mut std::vec::IntoIter<Value>) -> Result<Option<T>, Malformed> {
    let text = text(next(items)?)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Malformed(text))
}
