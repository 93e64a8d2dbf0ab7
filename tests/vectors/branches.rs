//! Which branches of the scripts a replay takes: each `return`, `then` and `else` of an instrumented copy says so in the server's log.

use std::collections::{BTreeMap, BTreeSet};

use super::node::Scripts;

pub struct Instrumented {
    pub scripts: Scripts,
    /// By number: file, line and which.
    pub branches: BTreeMap<usize, String>,
}

/// No vector can take these; each with the reason.
const EXCUSED: [(&str, &str); 2] = [
    ("user", "then: if not ran and type(reply) ~= 'table' then"), // an error in the handling of an error: out of memory
    ("op", "then: if ran and later then"), // its digest has the node's own clock, on purpose
];

pub fn is_excused(place: &str) -> bool {
    EXCUSED.iter().any(|(file, what)| place.starts_with(file) && place.contains(what))
}

/// A branch of a fragment has one number, in whichever scripts it is pasted.
pub fn instrumented(scripts: &Scripts) -> Instrumented {
    let (mut numbers, mut copies) = (BTreeMap::<String, usize>::new(), Scripts::new());
    for (name, source) in scripts {
        let mut file = String::new();
        let mut copy = String::new();
        let mut line_number = 0;
        for line in source.lines() {
            line_number += 1;
            let starts =
                line.strip_prefix("-- ").and_then(|rest| rest.split_once(": ")).map(|(first, _)| first);
            if let Some(first) = starts.filter(|first| is_file(first)) {
                (file, line_number) = (first.to_owned(), 1);
            }
            let mut number = |what: &str, column: usize| {
                let next = numbers.len();
                *numbers
                    .entry(format!("{file}:{line_number}:{column} {what}: {}", line.trim()))
                    .or_insert(next)
            };
            copy.push_str(&instrument(line, &mut number));
            copy.push('\n');
        }
        copies.insert(name, copy);
    }
    Instrumented {
        scripts: copies,
        branches: numbers.into_iter().map(|(place, number)| (number, place)).collect(),
    }
}

fn is_file(name: &str) -> bool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/lua");
    [format!("{folder}/lib/{name}.lua"), format!("{folder}/{name}.lua")]
        .iter()
        .any(|path| std::path::Path::new(path).exists())
}

fn instrument(line: &str, number: &mut impl FnMut(&str, usize) -> usize) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        let c = rest.chars().next().expect("a character");
        if let Some(open) = quote {
            if c == '\\' {
                out.push_str(&rest[..2]);
                at += 2;
                continue;
            }
            quote = (c != open).then_some(open);
        } else if rest.starts_with("--") {
            out.push_str(rest);
            return out;
        } else if c == '\'' || c == '"' {
            quote = Some(c);
        } else if let Some(word) = ["return", "then", "else"].into_iter().find(|word| is_word(line, at, word))
        {
            let say = format!("redis.log(redis.LOG_WARNING, 'branch {}')", number(word, at));
            match word {
                "return" => out.push_str(&format!("{say} return")),
                _ => out.push_str(&format!("{word} {say}")),
            }
            at += word.len();
            continue;
        }
        out.push(c);
        at += c.len_utf8();
    }
    out
}

fn is_word(line: &str, at: usize, word: &str) -> bool {
    let is_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line[at..].starts_with(word)
        && !is_name(line[..at].chars().last())
        && !is_name(line[at + word.len()..].chars().next())
}

/// The numbers that a log names.
pub fn reached(log: &str) -> BTreeSet<usize> {
    log.lines().filter_map(|line| line.rsplit_once("branch ")?.1.trim().parse().ok()).collect()
}
