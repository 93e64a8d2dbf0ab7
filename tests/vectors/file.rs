//! How the vectors are written down. Bytes are JSON strings whose characters are the bytes (ISO 8859-1), in every language alike.

use std::path::PathBuf;

use redis::Value;
use serde_json::{Value as Json, json};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("lua/vectors/{name}.json"))
}

/// The cases as written by hand.
pub fn cases(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/cases/{name}.txt"));
    std::fs::read_to_string(path).expect("the cases")
}

pub fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub fn bytes_of_text(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// The bytes of a JSON string.
pub fn bytes_of(json: &Json) -> Vec<u8> {
    bytes_of_text(json.as_str().unwrap_or_else(|| panic!("no text: {json}")))
}

/// A reply. Status replies are texts, as some clients do not tell them apart.
pub fn json_of(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::Okay => json!("OK"),
        Value::SimpleString(text) => json!(text),
        Value::BulkString(bytes) => json!(text_of(bytes)),
        Value::Array(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::ServerError(error) => {
            let text = match error.details() {
                Some(details) => format!("{} {details}", error.code()),
                None => error.code().to_owned(),
            };
            json!({ "error": text })
        }
        other => panic!("no reply of RESP2: {other:?}"),
    }
}

/// The arguments that one of the file stands for.
pub fn expand(arg: &Json, kept: &std::collections::BTreeMap<String, Json>) -> Vec<Vec<u8>> {
    if let Some(name) = arg.get("kept") {
        return vec![bytes_of(&kept[name.as_str().expect("a name")])];
    }
    let Some(each) = arg.get("each") else { return vec![bytes_of(arg)] };
    let number = |at: usize| each[at].as_u64().expect("a number");
    (number(1)..=number(2))
        .map(|n| format!("{}{n}", each[0].as_str().expect("a prefix")).into_bytes())
        .collect()
}
