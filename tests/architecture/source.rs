//! Just enough of Rust's grammar to read who uses whom: code without comments, strings and tests, as tokens, as paths.

use std::fs;
use std::path::Path;

/// A file of the crate.
pub struct Source {
    /// From the crate's root: `src/node/mod.rs`.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// Every file under `folder` whose name ends in `extension`, sorted.
    pub fn all_under(folder: &str, extension: &str) -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            {
                let path = entry.expect("an entry of a folder").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    let name = path.strip_prefix(root).expect("a path under the root").display().to_string();
                    found.push(Source::new(&name, &fs::read_to_string(&path).expect("a readable file")));
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// Files of tests inside `src` are held to the layers, not to the rules about errors.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The module path: `src/node/mod.rs` is `[node]`, `src/bin/x.rs` is `[bin, x]`, `src/lib.rs` is `[]`.
    pub fn module(&self) -> Vec<String> {
        let name = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        name.split('/').filter(|part| !matches!(*part, "mod" | "lib")).map(str::to_owned).collect()
    }

    /// The code's tokens, without those of `#[cfg(test)]` items.
    pub fn tokens(&self) -> Vec<Token> {
        without_tests(tokens_of(&self.text))
    }
}

/// An identifier, a number, or one character of punctuation (`::` is one token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

fn tokens_of(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, is_token) = measure(rest);
        if is_token {
            tokens.push(Token { line, text: rest[..length].iter().collect() });
        }
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        at += length;
    }
    tokens
}

/// The length of what `rest` starts with, and whether it is a token: not a space, a comment or a literal.
fn measure(rest: &[char]) -> (usize, bool) {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let until = |end: &[char], from: usize| {
        let found = (from..rest.len()).find(|at| rest[*at..].starts_with(end));
        found.map_or(rest.len(), |at| at + end.len())
    };
    match rest {
        ['/', '/', ..] => (until(&['\n'], 2), false),
        ['/', '*', ..] => (block_comment(rest), false),
        ['r' | 'b' | 'c', '"' | '#' | 'r', ..] if raw_string(rest).is_some() => {
            (raw_string(rest).unwrap_or(1), false)
        }
        ['"', ..] => (string(rest), false),
        ['\'', '\\', _, ..] => (until(&['\''], 3), false),
        ['\'', _, '\'', ..] => (3, false),
        [':', ':', ..] => (2, true),
        [c, ..] if is_word(c) => (rest.iter().take_while(|c| is_word(c)).count(), true),
        [c, ..] => (1, !c.is_whitespace()),
        [] => (0, false),
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"…"`, `br#"…"#`, `b"…"` and the like.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let quote = prefix + hashes;
    if prefix > 2 || rest.get(quote) != Some(&'"') {
        return None;
    }
    if !rest[..prefix].contains(&'r') {
        return (hashes == 0).then(|| quote + string(&rest[quote..]));
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let found = (quote + 1..rest.len()).find(|at| rest[*at..].starts_with(&end));
    Some(found.map_or(rest.len(), |at| at + end.len()))
}

fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let mut kept = vec![true; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        let is_test = texts[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"])
            || texts[at..].starts_with(&["#", "[", "cfg", "(", "all", "(", "test"]);
        let end = if is_test { end_of_item(&texts, at) } else { at + 1 };
        kept[at..end].fill(!is_test);
        at = end;
    }
    tokens.into_iter().zip(kept).filter_map(|(token, kept)| kept.then_some(token)).collect()
}

/// Behind the `;` or the closing brace of the item that starts, with its attributes, at `at`.
fn end_of_item(texts: &[&str], mut at: usize) -> usize {
    let mut depth = 0;
    while at < texts.len() {
        match texts[at] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    texts.len()
}

/// A path that the code names, from the crate's root if it is one of ours: `crate::node::Node` and, inside of `node`,
/// `super::Node` are both `[crate, node, Node]`; others start with their own first name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
}

/// All paths of two or more names.
pub fn paths(source: &Source) -> Vec<Named> {
    let tokens = source.tokens();
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let mut found = Vec::new();
    // Inline modules around the current token, with the brace depth inside of each.
    let (mut module, mut inline, mut depth) = (source.module(), Vec::new(), 0);
    for at in 0..texts.len() {
        match texts[at] {
            "{" => {
                depth += 1;
                if at >= 2 && texts[at - 2] == "mod" {
                    inline.push(depth);
                    module.push(texts[at - 1].to_owned());
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                    module.pop();
                }
                depth -= 1;
            }
            name if is_name(name)
                && texts.get(at + 1) == Some(&"::")
                && (at == 0 || texts[at - 1] != "::") =>
            {
                for path in tree(&texts, at).0 {
                    found.push(Named { line: tokens[at].line, path: absolute(path, &module) });
                }
            }
            _ => {}
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The paths of a tree such as `a::{b, c::d}` that starts at `at`, and where it ends.
fn tree(texts: &[&str], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    loop {
        match texts.get(at) {
            Some(&"{") => {
                let (mut all, mut next) = (Vec::new(), at + 1);
                while texts.get(next).is_some_and(|text| *text != "}") {
                    let (branches, end) = tree(texts, next);
                    all.extend(branches.into_iter().map(|branch| [path.clone(), branch].concat()));
                    // Over a comma, an `as name`, or whatever this reader does not know.
                    next =
                        (end..texts.len()).find(|at| matches!(texts[*at], "," | "}")).unwrap_or(texts.len());
                    next += usize::from(texts.get(next) == Some(&","));
                }
                return (all, next + 1);
            }
            Some(name) if is_name(name) || *name == "*" => path.push((*name).to_owned()),
            _ => return (vec![path], at),
        }
        if texts.get(at + 1) != Some(&"::") {
            return (vec![path], at + 1);
        }
        at += 2;
    }
}

fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let from = match path[0].as_str() {
        "super" => &module[..module.len().saturating_sub(supers)],
        "self" => module,
        _ => return path,
    };
    let rest = path.iter().filter(|name| !matches!(name.as_str(), "super" | "self"));
    std::iter::once("crate").map(str::to_owned).chain(from.iter().cloned()).chain(rest.cloned()).collect()
}
