//! What there is to know of a command that we run, told by what becomes of it.

use anarchoredis::command::{Call, Plan, Refusal, Table, Walk};

use crate::command_support::live::script;
use crate::command_support::{plan_of, words};

const NOW_MS: u64 = 1_000_000;

/// Forms that are refused though the command is not: the command, the form, a call of it.
const FORMS: &[(&str, &str, &str)] = &[
    ("bitfield", "a type of more than 53 bits", "BITFIELD k GET i64 0"),
    ("bitfield_ro", "a type of more than 53 bits", "BITFIELD_RO k GET i64 0"),
    ("copy", "`DB`", "COPY a {a}b DB 1"),
    ("select", "another database", "SELECT 1"),
    ("set", "`IFEQ`", "SET k v IFEQ x"),
    ("sort", "patterns of other keys", "SORT k BY w_*"),
    ("sort_ro", "patterns of other keys", "SORT_RO k BY w_*"),
];

/// Calls that have no place in a comparison with one server.
const MORE: [&str; 7] = ["DBSIZE", "FLUSHALL", "FLUSHDB", "TIME", "LOLWUT", "XINFO HELP", "XGROUP HELP"];

/// What plans of the same command have in common with none or all others.
#[derive(Default)]
struct Seen {
    is_local: bool,
    is_pick: bool,
    is_walk: bool,
    is_count: bool,
    is_asked: bool,
    is_flush: bool,
    is_block: bool,
    is_split: bool,
    has_several_keys: bool,
    has_expiry: bool,
    is_hashed: bool,
    is_unordered: bool,
}

pub fn remarks(table: &Table, name: &str) -> Vec<String> {
    let mut seen = Seen::default();
    let more = MORE.into_iter().map(words);
    for args in script().chain(more).filter(|args| is_call_of(args, name)) {
        match plan_of(table, &args, NOW_MS) {
            Ok(plan) => seen.plan(&plan),
            Err(refusal) => panic!("{name} is refused where it is used in an ordinary way: {refusal}"),
        }
    }
    let forms = FORMS.iter().filter(|(command, ..)| *command == name);
    seen.told().into_iter().map(str::to_owned).chain(forms.map(|form| refused_form(table, form))).collect()
}

fn is_call_of(args: &[Vec<u8>], name: &str) -> bool {
    let words: Vec<&[u8]> = name.split('|').map(str::as_bytes).collect();
    args.len() >= words.len() && args.iter().zip(words).all(|(arg, word)| arg.eq_ignore_ascii_case(word))
}

fn refused_form(table: &Table, (_, form, line): &(&str, &str, &str)) -> String {
    match plan_of(table, &words(line), NOW_MS) {
        Err(Refusal::Unsupported { reason, .. }) => format!("not with {form}: {reason}"),
        Err(other) => panic!("{line} is wrong, which says nothing of {form}: {other}"),
        Ok(_) => panic!("{line} is supported: take it off the list of forms that are not"),
    }
}

impl Seen {
    fn plan(&mut self, plan: &Plan) {
        match plan {
            Plan::Local(_) => self.is_local = true,
            Plan::Pick(_) => self.is_pick = true,
            Plan::Walk(Walk::Count) => self.is_count = true,
            Plan::Walk(_) => self.is_walk = true,
            Plan::Ask(_) => self.is_asked = true,
            Plan::Flush => self.is_flush = true,
            Plan::Block(_) => self.is_block = true,
            Plan::Publish(_) | Plan::Census(_) => {}
            Plan::Split(parts, _) => {
                self.is_split = true;
                parts.iter().for_each(|part| self.call(&part.call));
            }
            Plan::Read(call) | Plan::Write(call) => self.call(call),
        }
    }

    fn call(&mut self, call: &Call) {
        self.has_several_keys |= call.keys.len() > 1;
        self.has_expiry |= call.lowest_expiry_ms > 0;
        self.is_hashed |= call.hash_replies;
        self.is_unordered |= call.unordered;
    }

    fn told(&self) -> Vec<&'static str> {
        let all = [
            (self.is_local, "answered by the client, no node is asked"),
            (self.is_pick, "one node chooses, then all remove what it chose"),
            (
                self.is_walk,
                "nodes are asked one after the other until a majority has been seen; what stays is given at least once",
            ),
            (
                self.is_count,
                "every node counts its keys, which takes a walk through them; the middle one of the counts",
            ),
            (self.is_asked, "one node's own answer"),
            (
                self.is_flush,
                "a new generation of the cluster: each node empties itself, at once or when it is back; the nodes delete as `lazyfree-lazy-user-flush` says",
            ),
            (
                self.is_block,
                "tried when a node tells that there may be something; keys of several registers are tried one after the other",
            ),
            (self.is_split, "keys of several registers are one call each: the whole is not atomic"),
            (self.has_several_keys && !self.is_split, "its keys must share a hash tag"),
            (self.has_expiry, "a time to live becomes a moment, the same on every node"),
            (self.is_hashed, "nodes that compute another number are brought to one result"),
            (self.is_unordered, "what the reply leaves open (order, choice, digits, clock) is one node's"),
        ];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text).collect()
    }
}
