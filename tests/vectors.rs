//! The test vectors in `lua/vectors`: calls of the scripts with exact replies, and what a node holds after each. Every language replays them.
//!
//! They are written from `tests/vectors/cases` by what a real server answers (`make vectors`), and replayed here on every version.

#[path = "vectors/branches.rs"]
mod branches;
#[path = "vectors/file.rs"]
mod file;
mod harness;
#[path = "vectors/line.rs"]
mod line;
#[path = "vectors/node.rs"]
mod node;
#[path = "vectors/replay.rs"]
mod replay;
#[path = "vectors/write.rs"]
mod write;

use std::collections::BTreeSet;

use harness::Version;
use node::Node;

/// The lists of cases in `tests/vectors/cases`, each of which becomes a file.
pub const CASES: [&str; 12] = [
    "admit", "adopt", "apply", "bunch", "commands", "copy", "read", "repair", "scripts", "settle", "streams",
    "sweep",
];

#[tokio::test]
async fn the_files_are_what_the_cases_come_to() {
    for name in CASES {
        let node = Node::start(Version::V7_0, &node::pasted()).await;
        let written = write::file(&node, name, &file::cases(name)).await;
        let path = file::path(name);
        if std::env::var_os("ANARCHO_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &written).expect("writing the vectors");
            continue;
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = there.lines().zip(written.lines()).find(|(there, written)| there != written);
        assert!(there == written, "{name}.json is not what its cases come to: `make vectors`; {differs:#?}");
    }
}

#[tokio::test]
async fn every_version_answers_as_the_vectors_say() {
    for version in Version::ALL {
        let node = Node::start(version, &node::pasted()).await;
        let told = replay::all(&node).await;
        assert!(told.failures.is_empty(), "on {version}:\n{}", told.failures.join("\n"));
        assert!(told.steps > 300, "{} steps", told.steps);
    }
}

/// A replay that cannot fail proves nothing.
#[tokio::test]
async fn a_script_that_does_something_else_is_noticed() {
    let mutants = [
        ("apply", "if ballot <= promised then", "if ballot < promised then"),
        (
            "settle",
            "if mode ~= 'fill' and ballot < promised then",
            "if mode ~= 'fill' and ballot <= promised then",
        ),
        ("read", "if is_due and redis.call('EXISTS', key) == 1", "if false"),
        ("apply", "(read_only or not wrote and not succeeded)", "(not wrote and not succeeded)"),
        (
            "purge",
            "elseif held.promised ~= held.accepted or held.settled ~= held.version then",
            "elseif false then",
        ),
        ("bunch", "or ballot <= promised then return nil", "then return nil"),
        ("bunch", "sub(d, 33, 48) >= sequence", "false"),
        ("bunch", "if sub(ran, 1, 13) >= since then", "if false then"),
        ("bunch", "if #packed > reply_limit then packed = '-' end", ""),
        ("admit", "if role ~= 'joining' then return {'OTHER', 'role', role} end", ""),
    ];
    for (script, right, wrong) in mutants {
        let mut scripts = node::pasted();
        let source = scripts.get_mut(script).expect("a script");
        assert!(source.contains(right), "{script} has no longer: {right}");
        *source = source.replace(right, wrong);
        let node = Node::start(Version::V7_0, &scripts).await;
        assert!(!replay::all(&node).await.failures.is_empty(), "nobody notices: {script}: {wrong}");
    }
}

#[tokio::test]
async fn every_return_of_every_script_is_reached_by_some_vector() {
    let instrumented = branches::instrumented(&node::pasted());
    let mut reached = BTreeSet::new();
    for version in Version::ALL {
        let node = Node::start(version, &instrumented.scripts).await;
        let told = replay::all(&node).await;
        assert!(told.failures.is_empty(), "instrumented, on {version}:\n{}", told.failures.join("\n"));
        reached.extend(branches::reached(&node.server.log()));
    }
    let missed = instrumented.branches.iter().filter(|(number, _)| !reached.contains(number));
    let missed: Vec<String> =
        missed.map(|(_, place)| place.clone()).filter(|place| !branches::is_excused(place)).collect();
    println!("{} of {} branches are reached", reached.len(), instrumented.branches.len());
    assert!(missed.is_empty(), "no vector reaches:\n{}", missed.join("\n"));
    assert!(reached.len() > 300, "{} branches", reached.len());
}
