//! What a command answers, on its way to a client or into a script.

use std::borrow::Cow;

use redis::Value;

/// The text of an error, its code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Cow<'static, str>);

pub const WRONG_TYPE: Error =
    Error(Cow::Borrowed("WRONGTYPE Operation against a key holding the wrong kind of value"));
pub const NOT_AN_INTEGER: Error = Error(Cow::Borrowed("ERR value is not an integer or out of range"));
pub const OVERFLOW: Error = Error(Cow::Borrowed("ERR increment or decrement would overflow"));
pub const NO_SUCH_KEY: Error = Error(Cow::Borrowed("ERR no such key"));
pub const SYNTAX: Error = Error(Cow::Borrowed("ERR syntax error"));

impl Error {
    pub fn new(text: impl Into<Cow<'static, str>>) -> Error {
        Error(text.into())
    }
}

/// An answer. In a script `Nil` is false, `Status` is `{ok = ...}`, and an integer is a double.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Int(i64),
    Bulk(Vec<u8>),
    Status(Cow<'static, str>),
    Error(Cow<'static, str>),
    Array(Vec<Reply>),
}

pub type Outcome = Result<Reply, Error>;

impl Reply {
    pub const OK: Reply = Reply::Status(Cow::Borrowed("OK"));

    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(bytes.as_ref().to_vec())
    }

    /// A number as the scripts write it: text.
    pub fn text(number: impl ToString) -> Reply {
        Reply::Bulk(number.to_string().into_bytes())
    }

    pub fn optional(bytes: Option<impl AsRef<[u8]>>) -> Reply {
        bytes.map_or(Reply::Nil, Reply::bulk)
    }

    pub fn count(number: usize) -> Reply {
        Reply::Int(i64::try_from(number).expect("a length"))
    }

    pub fn strings(all: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Reply {
        Reply::Array(all.into_iter().map(Reply::bulk).collect())
    }

    /// As the client reads it off the wire.
    pub fn into_value(self) -> Value {
        match self {
            Reply::Nil => Value::Nil,
            Reply::Int(number) => Value::Int(number),
            Reply::Bulk(bytes) => Value::BulkString(bytes),
            Reply::Status(text) if text == "OK" => Value::Okay,
            Reply::Status(text) => Value::SimpleString(text.into_owned()),
            Reply::Error(text) => {
                redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error in RESP")
            }
            Reply::Array(items) => Value::Array(items.into_iter().map(Reply::into_value).collect()),
        }
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Reply {
        outcome.unwrap_or_else(|error| Reply::Error(error.0))
    }
}

/// A reply of the scripts' form: a word and what belongs to it.
macro_rules! words {
    ($($item:expr),+ $(,)?) => { Reply::Array(vec![$(Reply::from($item)),+]) };
}
pub(crate) use words;

impl From<&str> for Reply {
    fn from(text: &str) -> Reply {
        Reply::bulk(text)
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Reply {
        Reply::Bulk(text.into_bytes())
    }
}

impl From<&[u8]> for Reply {
    fn from(bytes: &[u8]) -> Reply {
        Reply::bulk(bytes)
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Reply {
        Reply::Bulk(bytes)
    }
}

impl From<Vec<Reply>> for Reply {
    fn from(items: Vec<Reply>) -> Reply {
        Reply::Array(items)
    }
}
