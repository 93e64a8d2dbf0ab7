//! The lines of a case: short for what every call repeats.
//!
//! ```text
//! # name: what is shown [since 7.0]
//! vote                                    the node becomes a voter under the fence `token`
//! ! WORDS                                 a plain command
//! call SCRIPT KEYS | ARGV                 a call, word for word
//! admit ARGV
//! x = apply b=1 o=1 ... | COMMANDS        `;` between them; b: ballot, o: op, c: coordinator, reg, keys; the others as in `OPTIONS`
//! read at=... | COMMANDS
//! settle reg=cart b=1 v=1 d=... mode=...  | NAME FORM EXPIRY ELEMENTS ; ...     or `from=x`, a snapshot
//! snapshot REGISTER KEYS | ARGV           also stage, and of registers digest, purge, copy
//! ~ 10.0.3.0 keep dump                    what of the last reply is not to be compared byte by byte
//! ```
//!
//! A word `$x.4` is item 4 of the reply that was called x; `''` is empty; `\s` a space, `\xNN` a byte; `each:k:1:9` is k1 to k9.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::file::text_of;

/// Replies by the names that a case gave them.
pub type Saved = BTreeMap<String, Json>;

/// A call before its reply is known.
#[derive(Debug, Default)]
pub struct Call {
    pub script: Option<String>,
    pub keys: Vec<Json>,
    pub args: Vec<Json>,
}

const FENCE: &str = "token";
const NEVER: &str = "99999999999999";

/// Of `apply`: name and usual value, in the order of ARGV from the fifth on.
const OPTIONS: [(&str, &str); 7] =
    [("fl", ""), ("x", "*"), ("st", "0"), ("rl", "4096"), ("rw", "60000"), ("off", "500"), ("low", "0")];
const NAMED: [&str; 17] = [
    "b", "o", "c", "reg", "keys", "fence", "dead", "at", "v", "d", "mode", "base", "ops", "dirty", "multi",
    "from", "log",
];

fn word(word: &str, saved: &Saved) -> Json {
    if word == "''" {
        return json!("");
    }
    if word.starts_with('$') && word.contains(',') {
        let all: Vec<Json> = word.split(',').map(|part| self::word(part, saved)).collect();
        return json!(all.iter().map(|part| part.as_str().expect("a text")).collect::<Vec<_>>().join(","));
    }
    if let Some(path) = word.strip_prefix('$') {
        let (name, path) = path.split_once('.').expect("$name.item");
        let found =
            path.split('.').fold(&saved[name], |at, item| &at[item.parse::<usize>().expect("a number")]);
        return kept(found);
    }
    if let Some(each) = word.strip_prefix("each:") {
        let parts: Vec<&str> = each.split(':').collect();
        let number = |at: usize| parts[at].parse::<u64>().expect("a number");
        return json!({ "each": [parts[0], number(1), number(2)] });
    }
    json!(text_of(&unescaped(word)))
}

/// What was kept of a reply is sent as it was kept.
fn kept(found: &Json) -> Json {
    match found.get("keep") {
        Some(name) => json!({ "kept": name }),
        None => found.clone(),
    }
}

/// A list whose order is the server's own, in the order in which it came.
fn in_order(found: &Json) -> &Json {
    found.get("unordered").unwrap_or(found)
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match (first, behind) {
            (b'\\', [b's', behind @ ..]) => (b' ', behind),
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let hex = String::from_utf8(vec![*high, *low]).expect("hex digits");
                (u8::from_str_radix(&hex, 16).expect("hex digits"), behind)
            }
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    bytes
}

struct Head<'a> {
    options: BTreeMap<&'a str, &'a str>,
    names: Vec<&'a str>,
    behind: Vec<&'a str>,
}

fn head<'a>(words: &[&'a str]) -> Head<'a> {
    let bar = words.iter().position(|word| *word == "|").unwrap_or(words.len());
    let mut head = Head {
        options: BTreeMap::new(),
        names: Vec::new(),
        behind: words[(bar + 1).min(words.len())..].to_vec(),
    };
    for word in &words[..bar] {
        let known = word
            .split_once('=')
            .filter(|(name, _)| NAMED.contains(name) || OPTIONS.iter().any(|(known, _)| known == name));
        match known {
            Some((name, value)) => {
                head.options.insert(name, value);
            }
            None => head.names.push(word),
        }
    }
    head
}

impl Head<'_> {
    fn get<'a>(&'a self, name: &str, usual: &'a str) -> &'a str {
        self.options.get(name).copied().unwrap_or(usual)
    }

    fn texts(&self, all: &[&str], saved: &Saved) -> Vec<Json> {
        all.iter().map(|text| word(if text.is_empty() { "''" } else { text }, saved)).collect()
    }

    fn start(&self, saved: &Saved) -> Vec<Json> {
        self.texts(&[self.get("fence", FENCE), self.get("dead", NEVER)], saved)
    }

    fn coordinator(&self) -> String {
        format!("{:0>16}", self.get("c", "a"))
    }

    fn ballot(&self) -> String {
        let b = self.get("b", "1");
        match b.parse::<u64>() {
            Ok(number) => format!("{:016}-{}", 1_700_000_000_000_000 + number * 1_000, self.coordinator()),
            Err(_) => b.to_owned(),
        }
    }

    /// Commands with `;` between them.
    fn commands(&self) -> Vec<Vec<&str>> {
        let all = self.behind.split(|word| *word == ";").map(<[&str]>::to_vec);
        all.filter(|command| !command.is_empty()).collect()
    }

    fn command_args(&self, saved: &Saved) -> Vec<Json> {
        let commands = self.commands();
        let mut args = vec![json!(commands.len().to_string())];
        for command in commands {
            let all: Vec<Json> = command.iter().map(|text| word(text, saved)).collect();
            let count = |arg: &Json| {
                arg.get("each").map_or(1, |each| {
                    each[2].as_u64().zip(each[1].as_u64()).map_or(0, |(to, from)| to - from + 1)
                })
            };
            args.push(json!(all.iter().map(count).sum::<u64>().to_string()));
            args.extend(all);
        }
        args
    }

    fn keys(&self, saved: &Saved) -> Vec<Json> {
        let commands = self.commands();
        let first: Vec<&str> = commands.iter().filter_map(|command| command.get(1).copied()).collect();
        let mut keys: Vec<&str> = match self.options.get("keys") {
            Some(keys) => keys.split(',').filter(|key| !key.is_empty()).collect(),
            None => first,
        };
        let mut seen = Vec::new();
        keys.retain(|key| {
            !seen.contains(key) && {
                seen.push(key);
                true
            }
        });
        let register = self.options.get("reg").copied().or(keys.first().copied()).expect("a register");
        [&[format!("anrcho_version:{{{register}}}").as_str()], &keys[..]]
            .concat()
            .iter()
            .map(|key| word(key, saved))
            .collect()
    }
}

fn call(script: &str, keys: Vec<Json>, args: Vec<Json>) -> Call {
    Call { script: Some(script.to_owned()), keys, args }
}

/// What a line calls.
pub fn parse(line: &str, saved: &Saved) -> Call {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (what, rest) = words.split_first().expect("a line with words");
    let of = head(rest);
    let behind: Vec<Json> = of.behind.iter().map(|text| word(text, saved)).collect();
    let all: Vec<Json> = rest.iter().map(|text| word(text, saved)).collect();
    match *what {
        "!" => Call { args: all, ..Call::default() },
        "admit" => call("admit", Vec::new(), all),
        "call" => {
            let bar = rest.iter().position(|word| *word == "|").expect("KEYS | ARGV");
            call(rest[0], all[1..bar].to_vec(), all[bar + 1..].to_vec())
        }
        "apply" => {
            let op =
                format!("{}-{:016x}", of.coordinator(), of.get("o", "1").parse::<u64>().expect("a number"));
            let mut args = of.start(saved);
            args.extend(of.texts(&[&of.ballot(), &op], saved));
            args.extend(OPTIONS.iter().flat_map(|(name, usual)| of.texts(&[of.get(name, usual)], saved)));
            args.extend(of.command_args(saved));
            call("apply", of.keys(saved), args)
        }
        "read" => {
            let mut args = of.start(saved);
            args.extend(of.texts(&[of.get("at", "1700000005000")], saved));
            args.extend(of.command_args(saved));
            call("read", of.keys(saved), args)
        }
        "settle" => call("settle", of.keys(saved).into_iter().take(1).collect(), settle(&of, saved)),
        "snapshot" | "stage" => {
            let record = word(&format!("anrcho_version:{{{}}}", of.names[0]), saved);
            let keys = of.names[1..].iter().map(|key| word(key, saved));
            call(what, std::iter::once(record).chain(keys).collect(), [of.start(saved), behind].concat())
        }
        "digest" | "purge" | "copy" => {
            let records = of.names.iter().map(|id| word(&format!("anrcho_version:{{{id}}}"), saved));
            call(what, records.collect(), [of.start(saved), behind].concat())
        }
        other => panic!("no line begins with {other}: {line}"),
    }
}

fn settle(of: &Head<'_>, saved: &Saved) -> Vec<Json> {
    let snapshot = of.options.get("from").map(|name| &saved[*name]);
    let item = |at: usize| snapshot.map(|of| kept(&of[at]));
    let text = |name: &str, at: usize, usual: &str| match of.options.get(name) {
        Some(value) => of.texts(&[value], saved).remove(0),
        None => item(at).unwrap_or_else(|| json!(usual)),
    };
    let mode = text("mode", 8, "confirm");
    let mut args = of.start(saved);
    args.extend([json!(of.ballot()), text("v", 4, "0"), text("d", 5, ""), mode.clone()]);
    args.extend(of.texts(&[of.get("base", "")], saved));
    args.push(text("ops", 6, ""));
    args.extend(of.texts(&[of.get("dirty", "0")], saved));
    if mode == "confirm" || mode == "reset" {
        return args;
    }
    let states = match snapshot {
        Some(snapshot) if of.behind.is_empty() => in_order(&snapshot[10]).as_array().expect("states").clone(),
        _ => of.commands().into_iter().map(|state| state_of(&state, saved)).collect(),
    };
    let log = item(9).map(|log| in_order(&log).clone()).filter(Json::is_array).unwrap_or_else(|| json!([]));
    let log = log.as_array().expect("a log");
    args.extend([text("multi", 7, "0"), json!(log.len().to_string())]);
    args.extend(log.iter().cloned());
    args.push(json!(states.len().to_string()));
    for state in states {
        args.extend([state[0].clone(), state[1].clone(), state[2].clone()]);
        let elements = state[3].as_array().expect("elements");
        args.push(json!(elements.len().to_string()));
        args.extend(elements.iter().map(kept));
    }
    args
}

fn state_of(words: &[&str], saved: &Saved) -> Json {
    let all: Vec<Json> = words.iter().map(|text| word(text, saved)).collect();
    json!([all[0], all[1], all[2], all[3..]])
}
