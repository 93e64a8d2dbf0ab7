//! The house is built as its plan says: layers, sizes, words, and no way to crash.
//!
//! Each check is a function from sources to complaints, used twice: on the crate, where it must find nothing, and on a
//! made-up source that breaks the rule, where it must find that.

#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/source.rs"]
mod source;

use source::Source;

const LONGEST_FILE: usize = 300;
/// Files that may be longer, and why.
const LONG_FILES: [(&str, &str); 0] = [];
const FORBIDDEN_NAMES: [&str; 4] = ["utils", "helpers", "common", "manager"];

fn crate_sources() -> Vec<Source> {
    Source::all_under("src", "rs")
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The rule must find exactly one fault in the source made up for it.
fn assert_caught(complaints: Vec<String>, about: &str) {
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(about), "{complaints:?} does not say {about}");
}

#[test]
fn a_module_uses_only_those_below_it() {
    assert_none(layers::broken(&crate_sources()));
}

#[test]
fn a_module_that_uses_one_above_it_is_caught() {
    for code in [
        "use crate::client::Client;",
        "use crate::{protocol::Ballot, client};",
        "fn f() -> crate::client::Client { todo() }",
        "use super::super::client::Client;",
        "mod inner { use super::super::super::client::Client; }",
    ] {
        assert_caught(layers::broken(&[Source::new("src/node/session.rs", code)]), "node uses client");
    }
    let hidden = [
        Source::new("src/lib.rs", "mod client; mod node; pub use client::{Builder, Client as Door};"),
        Source::new("src/node/mod.rs", "use crate::Door;"),
    ];
    assert_caught(layers::broken(&hidden), "node uses client");
    let sibling = Source::new("src/heal/mod.rs", "use crate::proxy::Proxy;");
    assert_caught(layers::broken(&[sibling]), "heal uses proxy");
    let stranger = Source::new("src/extra/mod.rs", "");
    assert_caught(layers::broken(&[stranger]), "src/extra/mod.rs is not in the plan");
}

#[test]
fn what_only_looks_like_a_use_is_not_one() {
    let innocent = [
        "// use crate::client::Client;",
        "/* /* */ use crate::client; */",
        "/// [`crate::client::Client`]\nstruct S;",
        "const C: &str = \"crate::client::Client\";",
        "const C: &str = r#\"\"crate::client::Client\"#;",
        "const C: char = '\"'; use crate::protocol::Ballot; const D: char = '\"';",
        "#[cfg(test)] mod tests { use crate::client::Client; } use crate::script::Name;",
        "#[cfg(test)] use crate::client::{Client};",
        "mod inner { use super::super::Node; fn f<'a>(x: &'a str) {} }",
        "use crate::config::Config; use crate::error::Error;",
    ];
    for code in innocent {
        assert_none(layers::broken(&[Source::new("src/node/session.rs", code)]));
    }
}

#[test]
fn modules_do_not_use_each_other_in_circles() {
    assert_none(layers::circles(&crate_sources()));
}

#[test]
fn a_circle_is_caught_even_through_the_modules_that_all_may_use() {
    let circle = [
        Source::new("src/error.rs", "use crate::node::Refusal;"),
        Source::new("src/node/mod.rs", "use crate::error::Failure;"),
    ];
    assert_caught(layers::circles(&circle), "error -> node -> error");
}

#[test]
fn the_protocol_uses_std_only_and_cannot_wait() {
    assert_none(layers::impure(&crate_sources()));
}

#[test]
fn a_protocol_that_waits_reads_a_clock_or_uses_a_crate_is_caught() {
    for (code, about) in [
        ("use tokio::sync::Mutex;", "tokio"),
        ("#[derive(thiserror::Error)] struct E;", "thiserror"),
        ("async fn f() {}", "async"),
        ("fn f() { std::time::Instant::now(); }", "Instant"),
        ("use std::collections::HashMap;", "HashMap"),
        ("use std::{io, fmt};", "std::io"),
        ("use crate::error::Error;", "crate::error"),
    ] {
        assert_caught(layers::impure(&[Source::new("src/protocol/write.rs", code)]), about);
    }
}

fn too_long(sources: &[Source]) -> Vec<String> {
    let excused = |path: &str| LONG_FILES.iter().any(|(long, _)| *long == path);
    let lines = sources.iter().map(|source| (&source.path, source.text.lines().count()));
    let long = lines.filter(|(path, lines)| *lines > LONGEST_FILE && !excused(path));
    long.map(|(path, lines)| format!("{path} has {lines} lines, more than {LONGEST_FILE}: split it"))
        .collect()
}

#[test]
fn no_file_is_longer_than_300_lines() {
    assert_none(too_long(&crate_sources()));
    assert_caught(too_long(&[Source::new("src/node/mod.rs", &"\n".repeat(301))]), "301");
}

#[test]
fn a_file_that_may_be_long_exists_and_is() {
    let sources = crate_sources();
    for (path, reason) in LONG_FILES {
        let source = sources.iter().find(|source| source.path == path);
        let lines = source.map_or(0, |source| source.text.lines().count());
        assert!(lines > LONGEST_FILE, "{path} has {lines} lines and needs no excuse ({reason})");
    }
}

fn can_crash(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let tokens = source.tokens();
        for window in tokens.windows(3) {
            let [before, word, after] = window else { continue };
            let crashes = match word.text.as_str() {
                "unwrap" | "expect" => before.text == "." && after.text == "(",
                "panic" | "todo" | "unimplemented" => after.text == "!",
                _ => false,
            };
            if crashes {
                complaints
                    .push(format!("{}:{}: {} in code that users run", source.path, word.line, word.text));
            }
        }
    }
    complaints
}

#[test]
fn no_code_that_users_run_unwraps_expects_or_panics() {
    assert_none(can_crash(&crate_sources()));
    for code in [
        "fn f() { g().unwrap() }",
        "fn f() { g()\n.expect(\"\") }",
        "fn f() { panic!() }",
        "fn f() { todo!() }",
    ] {
        assert_caught(can_crash(&[Source::new("src/node/mod.rs", code)]), "src/node/mod.rs:");
    }
    let innocent =
        "// a.unwrap()\nfn f() { a.unwrap_or(1) } #[cfg(test)] mod tests { fn f() { a.unwrap() } }";
    assert_none(can_crash(&[Source::new("src/node/mod.rs", innocent)]));
}

fn meaningless_names(sources: &[Source]) -> Vec<String> {
    let parts = |path: &str| path.split(['/', '.']).map(str::to_owned).collect::<Vec<_>>();
    let bad = |part: &String| FORBIDDEN_NAMES.contains(&part.as_str());
    let found = sources.iter().filter(|source| parts(&source.path).iter().any(bad));
    found.map(|source| format!("{}: the name does not say what it is about", source.path)).collect()
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    assert_none(meaningless_names(&crate_sources()));
    assert_caught(meaningless_names(&[Source::new("src/node/utils.rs", "")]), "utils");
    assert_caught(meaningless_names(&[Source::new("src/helpers/mod.rs", "")]), "helpers");
}

/// The first lines of a script are its contract: what it is for, then KEYS, ARGV, REPLY and ERRORS.
fn without_contract(scripts: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for script in scripts {
        let name = script.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".lua");
        let header: Vec<&str> = script.text.lines().take_while(|line| line.starts_with("--")).collect();
        let words = [format!("{name}:"), "KEYS".into(), "ARGV".into(), "REPLY".into(), "ERRORS".into()];
        for word in words {
            let said = header.iter().any(|line| {
                let text = line.trim_start_matches('-').trim_start().strip_prefix(&word);
                text.is_some_and(|text| !text.trim().is_empty())
            });
            if !said {
                complaints.push(format!("{}: its header lacks the line of {word}", script.path));
            }
        }
    }
    complaints
}

#[test]
fn every_script_starts_with_its_contract() {
    let mut scripts = Source::all_under("lua", "lua");
    scripts.retain(|script| !script.path.starts_with("lua/lib/"));
    assert!(!scripts.is_empty(), "lua/ holds the scripts");
    assert_none(without_contract(&scripts));
    let script = "-- apply: runs an op.\n-- KEYS  none\n-- ARGV  none\n-- REPLY\n-- ERRORS  none\nreturn 1";
    assert_caught(without_contract(&[Source::new("lua/apply.lua", script)]), "REPLY");
}
