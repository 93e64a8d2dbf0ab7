//! Who may use whom.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, paths};

/// Lowest first; modules of one row do not know each other.
const LAYERS: [&[&str]; 8] = [
    &["protocol"],
    &["script"],
    &["command"],
    &["node"],
    &["coordinator"],
    &["client"],
    &["heal", "proxy"],
    &["bin"],
];
/// At the root, for everybody but the protocol; what they use themselves must only not lead back to them.
const FOR_ALL: [&str; 4] = ["config", "error", "surroundings", "telemetry"];
/// What the crate is called in its programs.
const CRATE: &str = "anarchoredis";

/// Words that the protocol cannot say: it neither waits nor looks at a clock, and does the same at every run.
const IMPURE_WORDS: [&str; 6] = ["async", "await", "Instant", "SystemTime", "HashMap", "HashSet"];
const IMPURE_STD: [&str; 7] = ["env", "fs", "io", "net", "os", "process", "thread"];

/// One module uses another.
struct Use {
    from: String,
    to: String,
    place: String,
}

/// Uses that go up or sideways, and files that belong to no layer.
pub fn broken(sources: &[Source]) -> Vec<String> {
    let strangers =
        sources.iter().filter(|source| source.path != "src/lib.rs" && level(&top(source)).is_none());
    let mut complaints: Vec<String> =
        strangers.map(|source| format!("{} is not in the plan of the house", source.path)).collect();
    for used in uses(sources) {
        let allowed = match (level(&used.from), level(&used.to)) {
            _ if FOR_ALL.contains(&used.from.as_str()) => true,
            _ if FOR_ALL.contains(&used.to.as_str()) => used.from != "protocol",
            (Some(from), Some(to)) => to < from,
            // Whoever is in no layer has been complained about; a name of lib.rs belongs to the top.
            (from, _) => from.is_none(),
        };
        if !allowed {
            complaints.push(format!("{}: {} uses {}", used.place, used.from, used.to));
        }
    }
    complaints
}

/// Modules that use each other in a circle: one complaint per circle of the shortest kind.
pub fn circles(sources: &[Source]) -> Vec<String> {
    let uses = uses(sources);
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for used in &uses {
        edges.entry(&used.from).or_default().insert(&used.to);
    }
    let mut seen = BTreeSet::new();
    let mut complaints = Vec::new();
    for start in edges.keys().filter(|module| **module != "bin") {
        let Some(circle) = way(&edges, start) else {
            continue;
        };
        if seen.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
            let places = circle.windows(2).filter_map(|pair| {
                let used = uses.iter().find(|used| used.from == pair[0] && used.to == pair[1])?;
                Some(used.place.as_str())
            });
            let places = places.collect::<Vec<_>>().join(", ");
            complaints.push(format!("{} (at {places})", circle.join(" -> ")));
        }
    }
    complaints
}

/// The shortest way from a module back to itself.
fn way<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = std::collections::VecDeque::from([vec![start]]);
    let mut reached = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in edges.get(way[way.len() - 1]).into_iter().flatten() {
            let longer = [way.clone(), vec![*next]].concat();
            if *next == start {
                return Some(longer);
            }
            if reached.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// What in the protocol is not a pure function of its input: crates, waiting, clocks, the world, unordered maps.
pub fn impure(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| top(source) == "protocol") {
        let mut complain = |line: usize, what: &str| {
            complaints.push(format!("{}:{line}: the protocol does not use {what}", source.path));
        };
        for token in source.tokens() {
            if IMPURE_WORDS.contains(&token.text.as_str()) {
                complain(token.line, &token.text);
            }
        }
        for named in paths(source) {
            match named.path[0].as_str() {
                "crate" if named.path.get(1).is_some_and(|module| module != "protocol") => {
                    complain(named.line, &named.path.join("::"));
                }
                "std" if IMPURE_STD.contains(&named.path[1].as_str()) => {
                    complain(named.line, &named.path.join("::"))
                }
                name if dependencies().contains(name) => complain(named.line, name),
                _ => {}
            }
        }
    }
    complaints
}

/// The crates of Cargo.toml, as code spells them.
fn dependencies() -> BTreeSet<String> {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let section =
        manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]")).unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    let names = names.filter(|name| !name.starts_with('#')).map(|name| name.replace('-', "_"));
    let names: BTreeSet<String> = names.collect();
    assert!(names.contains("tokio"), "Cargo.toml is read wrongly: {names:?}");
    names
}

fn uses(sources: &[Source]) -> Vec<Use> {
    let exports = exports(sources);
    let mut uses = Vec::new();
    // The root uses everything: it is the crate's face.
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        let from = top(source);
        for named in paths(source) {
            // In a program `crate` is the program itself.
            let ours = if from == "bin" { CRATE } else { "crate" };
            let Some(name) = named.path.get(1).filter(|_| named.path[0] == ours) else {
                continue;
            };
            let to = exports.get(name).unwrap_or(name).clone();
            if to != from {
                uses.push(Use { from: from.clone(), to, place: format!("{}:{}", source.path, named.line) });
            }
        }
    }
    uses
}

/// Names that lib.rs re-exports, and the modules that they come from: `crate::Client` is a use of `client`.
fn exports(sources: &[Source]) -> BTreeMap<String, String> {
    let Some(root) = sources.iter().find(|source| source.path == "src/lib.rs") else {
        return BTreeMap::new();
    };
    let mut exports = BTreeMap::new();
    for named in paths(root) {
        let path: Vec<&String> = named.path.iter().filter(|name| *name != "crate").collect();
        if let [module, .., name] = path[..] {
            exports.insert(name.clone(), module.clone());
        }
    }
    let tokens = root.tokens();
    for window in tokens.windows(3).filter(|window| window[1].text == "as") {
        if let Some(module) = exports.get(&window[0].text).cloned() {
            exports.insert(window[2].text.clone(), module);
        }
    }
    exports
}

fn top(source: &Source) -> String {
    source.module().first().cloned().unwrap_or_default()
}

fn level(module: &str) -> Option<usize> {
    let at_root = FOR_ALL.contains(&module).then_some(0);
    at_root.or_else(|| LAYERS.iter().position(|row| row.contains(&module)))
}
