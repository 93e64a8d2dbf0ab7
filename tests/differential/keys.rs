//! The keys of one run.

use crate::pools::RUN;
use crate::rng::Rng;

/// Keys of one register: its name is the run's. `\0` stands between a key's own name and what else it may be called.
const TOGETHER: &[(&str, &[&str])] = &[
    ("string", &["s", "s2", "n", "\0\u{7f}\r\n"]),
    ("bitmap", &["b", "b2", "s"]),
    ("hyperloglog", &["p", "p2"]),
    ("hash", &["h", "h2"]),
    ("list", &["l", "l2"]),
    ("set", &["t", "t2", "t3"]),
    ("sorted-set", &["z", "z2", "t"]),
    ("geo", &["g", "g2"]),
];

/// What keys that are registers of their own begin with.
const ALONE: &[(&str, &str)] = &[
    ("string", "s"),
    ("bitmap", "b"),
    ("hyperloglog", "p"),
    ("hash", "h"),
    ("list", "l"),
    ("set", "t"),
    ("sorted-set", "z"),
    ("geo", "g"),
];

/// The keys that one command names, so that most are of the type that it wants, and most share a register.
pub struct Choice {
    group: String,
    alone: bool,
    spread: bool,
}

impl Choice {
    pub fn of(rng: &mut Rng, group: &str) -> Choice {
        Choice { group: group.to_owned(), alone: rng.percent(25), spread: rng.percent(8) }
    }

    pub fn key(&mut self, rng: &mut Rng) -> Vec<u8> {
        if self.spread {
            self.alone = rng.percent(50);
        }
        let group = match TOGETHER.iter().any(|(group, _)| *group == self.group) {
            true if rng.percent(88) => self.group.clone(),
            _ => rng.pick(TOGETHER).0.to_owned(),
        };
        if self.alone { alone(rng, &group, self.spread) } else { together(rng, &group) }
    }
}

fn together(rng: &mut Rng, group: &str) -> Vec<u8> {
    if rng.percent(2) {
        return RUN.as_bytes().to_vec();
    }
    let names = TOGETHER.iter().find(|(name, _)| *name == group).map_or(&[][..], |(_, names)| names);
    format!("{{{RUN}}}{}", rng.pick(names)).into_bytes()
}

/// A key that is all of its register: two of them never share one.
fn alone(rng: &mut Rng, group: &str, spread: bool) -> Vec<u8> {
    let start = ALONE.iter().find(|(name, _)| *name == group).map_or("s", |(_, start)| start);
    let end = if spread && rng.percent(20) { "{" } else { "" };
    format!("{start}{RUN}{end}").into_bytes()
}

/// Every key that a run may use.
pub fn all() -> Vec<Vec<u8>> {
    let mut all = vec![RUN.to_owned()];
    for name in TOGETHER.iter().flat_map(|(_, names)| names.iter()) {
        all.push(format!("{{{RUN}}}{name}"));
    }
    for (_, start) in ALONE {
        all.extend([format!("{start}{RUN}"), format!("{start}{RUN}{{")]);
    }
    all.sort();
    all.dedup();
    all.into_iter().map(String::into_bytes).collect()
}
