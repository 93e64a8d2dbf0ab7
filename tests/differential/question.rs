//! What the plain server is asked, once the store has answered.

use redis::Value;

use crate::generate::Words;
use crate::same::{Circumstances, Known, is_same, items};
use crate::stated::{Manner, is_refused_on_purpose, manner};
use anarchoredis::command::Refusal;

/// What stands for one command.
pub struct Question {
    /// Nothing where the store refuses on purpose.
    pub commands: Vec<Words>,
    refusal: Option<Refusal>,
}

impl Question {
    /// For a command, what planning it says, and the store's reply.
    pub fn of(words: &Words, refusal: Option<Refusal>, ours: &Value) -> Question {
        let refusal = refusal.filter(is_refused_on_purpose);
        let commands = match (&refusal, manner(words), words.get(1)) {
            (Some(_), ..) => Vec::new(),
            (None, Manner::Chosen(look, _), Some(key)) => vec![look_at(key, look), stand_in(words, ours)],
            _ => vec![words.clone()],
        };
        Question { commands, refusal }
    }

    /// What is wrong with the store's reply, given the plain server's replies to `commands`.
    pub fn complaint(
        &self,
        words: &Words,
        ours: &Value,
        plain: &[Value],
        circumstances: Circumstances,
    ) -> Option<String> {
        let Some(answer) = plain.last() else {
            let refusal = self.refusal.as_ref().map(Refusal::to_string).unwrap_or_default();
            let is_told = error_text(ours) == refusal.replace(['\r', '\n'], " ");
            return (!is_told).then(|| format!("the store answers {ours:?}, and should refuse: {refusal}"));
        };
        let held = plain.first().filter(|_| plain.len() > 1);
        let expected = expected(words, answer, held);
        if is_same(words, ours, &expected, &Known { held, circumstances }) {
            return None;
        }
        let of = held.map_or(String::new(), |held| format!(", where the key holds {held:?}"));
        Some(format!("the store answers {ours:?}, plain Redis {answer:?}{of}"))
    }
}

fn look_at(key: &[u8], look: &[&str]) -> Words {
    let mut words: Words = look.iter().map(|word| word.as_bytes().to_vec()).collect();
    words.insert(1, key.to_vec());
    words
}

/// The store has chosen what SPOP takes: the plain server must take the same, so that both go on alike.
fn stand_in(words: &Words, ours: &Value) -> Words {
    let taken = match ours {
        _ if !words[0].eq_ignore_ascii_case(b"spop") => Vec::new(),
        Value::Array(members) => members.iter().filter_map(bytes).collect(),
        member => bytes(member).into_iter().collect(),
    };
    if taken.is_empty() {
        return words.clone();
    }
    [vec![b"SREM".to_vec(), words[1].clone()], taken].concat()
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// The answer itself; where SREM stood in for SPOP, the shape that SPOP's would have had.
fn expected(words: &Words, answer: &Value, held: Option<&Value>) -> Value {
    let (Value::Int(_), Some(held), true) = (answer, held, words[0].eq_ignore_ascii_case(b"spop")) else {
        return answer.clone();
    };
    let count = words.get(2).and_then(|count| std::str::from_utf8(count).ok()?.parse::<usize>().ok());
    match count {
        None => Value::BulkString(Vec::new()),
        Some(count) => Value::Array(vec![Value::Nil; count.min(items(held).len())]),
    }
}

fn error_text(value: &Value) -> String {
    match value {
        Value::ServerError(error) => format!("{} {}", error.code(), error.details().unwrap_or_default()),
        other => format!("{other:?}"),
    }
}
