//! The session in `lua/README.md` is what happens.

use anarchoredis::script::{NAMES, Name, script};

use super::support::*;

const README: &str = include_str!("../../lua/README.md");

/// The lines of the fenced block that holds calls.
fn session() -> Vec<&'static str> {
    let blocks = README.split("```text\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let session = blocks.map(|(block, _)| block).find(|block| block.starts_with("> "));
    session.expect("a block of calls").lines().collect()
}

fn arguments(line: &str) -> Vec<Bytes> {
    line.split_whitespace().map(|word| if word == "''" { Vec::new() } else { word.into() }).collect()
}

fn call(line: &str) -> (Name, Vec<Bytes>, Vec<Bytes>) {
    let (call, args) = line.trim_start_matches("> ").split_once('|').expect("KEYS | ARGV");
    let mut keys = arguments(call);
    let name = String::from_utf8(keys.remove(0)).expect("a name");
    let name = NAMES.into_iter().find(|known| known.as_str() == name).expect("the name of a script");
    (name, keys, arguments(args))
}

#[tokio::test]
async fn the_session_of_the_readme_runs_as_written() {
    on_each_version(async |node| {
        let node = Node::unclaimed(node.version()).await;
        let mut reply = String::new();
        let mut compared = 0;
        for line in session() {
            if line.starts_with("> ") {
                let (name, keys, args) = call(line);
                reply = node.call(name, &keys, &args).await.to_string();
            } else {
                assert_eq!(reply, line);
                compared += 1;
            }
        }
        assert!(compared >= 14, "{compared} replies were compared");
    })
    .await;
}

#[test]
fn the_readme_repeats_every_header() {
    for name in NAMES {
        let source = &script(name).source;
        let own = source.find(&format!("-- {}: ", name.as_str())).expect("a header");
        let header: Vec<&str> = source[own..].lines().take_while(|line| line.starts_with("--")).collect();
        assert!(README.contains(&header.join("\n")), "{name:?}");
    }
}

#[test]
fn the_readme_names_every_script_and_every_status_word() {
    for name in NAMES {
        assert!(README.contains(&format!("| `{}` |", name.as_str())), "{name:?}");
        for word in super::contract::promised(name) {
            assert!(README.contains(&word), "{name:?}: {word}");
        }
    }
}
