//! Replays the files on a node.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::CASES;
use super::file::{expand, path};
use super::node::{Node, State};

#[derive(Debug, Default)]
pub struct Told {
    pub steps: usize,
    pub failures: Vec<String>,
}

pub async fn all(node: &Node) -> Told {
    let mut told = Told::default();
    for name in CASES {
        let text = std::fs::read_to_string(path(name)).expect("the vectors: `make vectors`");
        let file: Json = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["contract"], anarchoredis::script::contract());
        for case in file["cases"].as_array().expect("cases") {
            let since = case.get("since").and_then(Json::as_str);
            if let Some(since) = since
                && !node.is_since(since).await
            {
                continue;
            }
            if let Err(why) = replay(node, case, &mut told.steps).await {
                told.failures.push(format!("{name}: {}: {why}", case["name"]));
            }
        }
    }
    told
}

async fn replay(node: &Node, case: &Json, steps: &mut usize) -> Result<(), String> {
    node.empty().await;
    let (mut state, mut kept) = (State::new(), BTreeMap::new());
    for (number, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
        let reply = take(node, step, &kept).await;
        *steps += 1;
        let at = |what: String| format!("step {}: {what}\n    {}", number + 1, brief(step));
        if let Some(expected) = step.get("reply")
            && !fits(expected, &reply, &mut kept)
        {
            return Err(at(format!("answered {reply}")));
        }
        change(&mut state, step);
        let found = node.state().await;
        if found != state {
            return Err(at(format!("holds {}", difference(&state, &found))));
        }
    }
    Ok(())
}

/// One step as the file says it.
pub async fn take(node: &Node, step: &Json, kept: &BTreeMap<String, Json>) -> Json {
    let list = |name: &str| -> Vec<Vec<u8>> {
        let all = step.get(name).and_then(Json::as_array);
        all.into_iter().flatten().flat_map(|arg| expand(arg, kept)).collect()
    };
    match step.get("call") {
        Some(script) => node.call(script.as_str().expect("a name"), &list("keys"), &list("args")).await,
        None => node.run(list("command")).await,
    }
}

fn change(state: &mut State, step: &Json) {
    for (key, value) in step.get("changes").and_then(Json::as_object).into_iter().flatten() {
        if value.is_null() {
            state.remove(key);
        } else {
            state.insert(key.clone(), value.clone());
        }
    }
}

/// Whether a reply is the expected one; what is to be kept is.
fn fits(expected: &Json, reply: &Json, kept: &mut BTreeMap<String, Json>) -> bool {
    match expected {
        Json::Array(items) => reply.as_array().is_some_and(|replies| {
            items.len() == replies.len()
                && items.iter().zip(replies).all(|(item, reply)| fits(item, reply, kept))
        }),
        Json::Object(pattern) => {
            let (kind, what) = pattern.iter().next().expect("a pattern");
            match kind.as_str() {
                "number" => reply.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
                "starts" => {
                    reply.as_str().is_some_and(|text| text.starts_with(what.as_str().expect("a text")))
                }
                "error" => match (what, reply.get("error")) {
                    (Json::Object(starts), Some(Json::String(text))) => {
                        text.starts_with(starts["starts"].as_str().expect("a text"))
                    }
                    (what, error) => error == Some(what),
                },
                "unordered" => {
                    let sorted = |of: &Json| {
                        let mut all: Vec<String> =
                            of.as_array().into_iter().flatten().map(Json::to_string).collect();
                        all.sort();
                        all
                    };
                    sorted(what) == sorted(reply)
                }
                "keep" => {
                    kept.insert(what.as_str().expect("a name").to_owned(), reply.clone()).is_none()
                        && reply.is_string()
                }
                other => panic!("the pattern {other}"),
            }
        }
        _ => expected == reply,
    }
}

fn brief(step: &Json) -> String {
    let text = step.to_string();
    text.chars().take(1_500).collect()
}

pub fn difference(expected: &State, found: &State) -> String {
    let keys = expected.keys().chain(found.keys());
    let differs = keys.filter(|key| expected.get(*key) != found.get(*key));
    let tell = |key: &String| format!("{key}: {:?} and not {:?}", found.get(key), expected.get(key));
    let all: std::collections::BTreeSet<String> = differs.map(tell).collect();
    all.into_iter().collect::<Vec<_>>().join("\n    ")
}
