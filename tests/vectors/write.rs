//! Makes a file of vectors from cases, by what a server answers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use super::line::{Saved, parse};
use super::node::{Node, State};
use super::replay::take;

struct Case {
    name: String,
    since: Option<String>,
    steps: Vec<Json>,
}

/// The text of the file.
pub async fn file(node: &Node, name: &str, cases: &str) -> String {
    let mut done: Vec<Case> = Vec::new();
    for text in cases.split("\n# ").skip(1) {
        let (title, lines) = text.split_once('\n').unwrap_or((text, ""));
        let (title, since) = match title.split_once(" [since ") {
            Some((title, since)) => (title, Some(since.trim_end_matches(']').to_owned())),
            None => (title, None),
        };
        let steps = steps(node, title, lines).await;
        done.push(Case { name: title.trim().to_owned(), since, steps });
    }
    let mut out = String::new();
    let contract = anarchoredis::script::contract();
    writeln!(out, "{{\"contract\": {}, \"file\": {}, \"cases\": [", json!(contract), json!(name))
        .expect("text");
    for (place, case) in done.iter().enumerate() {
        let since =
            case.since.as_ref().map(|since| format!(", \"since\": {}", json!(since))).unwrap_or_default();
        writeln!(out, "{{\"name\": {}{since}, \"steps\": [", json!(case.name)).expect("text");
        let steps: Vec<String> = case.steps.iter().map(|step| format!("  {step}")).collect();
        let comma = if place + 1 < done.len() { "," } else { "" };
        writeln!(out, "{}\n]}}{comma}", steps.join(",\n")).expect("text");
    }
    out.push_str("]}\n");
    out
}

async fn steps(node: &Node, title: &str, lines: &str) -> Vec<Json> {
    node.empty().await;
    let (mut saved, mut kept, mut before) = (Saved::new(), BTreeMap::new(), State::new());
    let mut steps: Vec<Json> = Vec::new();
    let mut name = None;
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(mark) = line.strip_prefix("~ ") {
            let step = steps.last_mut().unwrap_or_else(|| panic!("{title}: a mark before any step"));
            mark_reply(&mut step["reply"], mark, &mut kept);
            if let Some(name) = &name {
                saved.insert(String::clone(name), step["reply"].clone());
            }
            continue;
        }
        let lines =
            if line == "vote" { vec!["admit claim c n n run", "admit start c token"] } else { vec![line] };
        for line in lines {
            let (named, call) = match line.split_once(" = ") {
                Some((name, call)) if !name.contains(' ') => (Some(name.to_owned()), call),
                _ => (None, line),
            };
            let step = run(node, call, &saved, &kept, &mut before).await;
            if let Some(name) = &named {
                saved.insert(name.clone(), step["reply"].clone());
            }
            name = named;
            steps.push(step);
        }
    }
    steps
}

async fn run(
    node: &Node,
    line: &str,
    saved: &Saved,
    kept: &BTreeMap<String, Json>,
    before: &mut State,
) -> Json {
    let call = parse(line, saved);
    let mut step = Map::new();
    match &call.script {
        Some(script) => {
            step.insert("call".into(), json!(script));
            step.insert("keys".into(), json!(call.keys));
            step.insert("args".into(), json!(call.args));
        }
        None => {
            step.insert("command".into(), json!(call.args));
        }
    }
    let mut step = Json::Object(step);
    let reply = take(node, &step, kept).await;
    if call.script.is_some() {
        step["reply"] = reply;
    }
    let after = node.state().await;
    let mut changes = Map::new();
    for key in before.keys().chain(after.keys()) {
        if before.get(key) != after.get(key) {
            changes.insert(key.clone(), after.get(key).cloned().unwrap_or(Json::Null));
        }
    }
    if !changes.is_empty() {
        step["changes"] = Json::Object(changes);
    }
    *before = after;
    step
}

/// `PATH KIND [WHAT]`
fn mark_reply(reply: &mut Json, mark: &str, kept: &mut BTreeMap<String, Json>) {
    let words: Vec<&str> = mark.split_whitespace().collect();
    let place = words[0]
        .split('.')
        .filter(|item| !item.is_empty())
        .fold(reply, |at, item| &mut at[item.parse::<usize>().unwrap_or_else(|_| panic!("no path: {mark}"))]);
    let text = words[2..].join(" ");
    *place = match words[1] {
        "number" => json!({ "number": true }),
        "starts" => json!({ "starts": text }),
        "error" => json!({ "error": { "starts": text } }),
        "unordered" => {
            let mut all = place.as_array().expect("a list").clone();
            all.sort_by_key(Json::to_string);
            json!({ "unordered": all })
        }
        "keep" => {
            kept.insert(text.clone(), place.clone());
            json!({ "keep": text })
        }
        other => panic!("no kind of pattern: {other}"),
    };
}
