//! Where the store does not have to answer as plain Redis does, and why. All else must be equal to the last byte.

use anarchoredis::command::Refusal;

use crate::generate::Words;

/// How the replies to a command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Equal,
    /// Redis promises no order: groups of so many items.
    AnyOrder(usize),
    /// The server's own choice from what the key holds: the question that lists it, and how many items an element has.
    Chosen(&'static [&'static str], usize),
    /// The same number of elements: which ones are cut off follows the server's own order.
    Length,
    /// A time, or what is left until then: apart by no more than the sequence took. The unit in ms.
    Time(u64),
    /// The server's own knowledge: there is something, or there is nothing.
    Presence,
}

/// Commands and subcommands whose replies Redis leaves to the server.
const MANNERS: &[(&str, Manner)] = &[
    ("smembers", Manner::AnyOrder(1)),
    ("sinter", Manner::AnyOrder(1)),
    ("sunion", Manner::AnyOrder(1)),
    ("sdiff", Manner::AnyOrder(1)),
    ("hkeys", Manner::AnyOrder(1)),
    ("hvals", Manner::AnyOrder(1)),
    ("hgetall", Manner::AnyOrder(2)),
    ("srandmember", Manner::Chosen(&["SMEMBERS"], 1)),
    ("spop", Manner::Chosen(&["SMEMBERS"], 1)),
    ("hrandfield", Manner::Chosen(&["HGETALL"], 2)),
    ("zrandmember", Manner::Chosen(&["ZRANGE", "0", "-1", "WITHSCORES"], 2)),
    ("ttl", Manner::Time(1_000)),
    ("expiretime", Manner::Time(1_000)),
    ("pttl", Manner::Time(1)),
    ("pexpiretime", Manner::Time(1)),
    // The bytes tell the order of insertion, and of the buckets.
    ("dump", Manner::Presence),
    ("memory|usage", Manner::Presence),
    // Shared numbers are counted, and some numbers are kept as text, only inside of scripts, or only outside.
    ("object|refcount", Manner::Presence),
    ("object|encoding", Manner::Presence),
];

pub fn manner(words: &Words) -> Manner {
    let lower = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_lowercase();
    let has = |option: &str| words.iter().any(|word| word.eq_ignore_ascii_case(option.as_bytes()));
    let name = lower(&words[0]);
    let full = format!("{name}|{}", words.get(1).map(lower).unwrap_or_default());
    match name.as_str() {
        // BY nosort leaves a set in the order of its buckets.
        "sort" | "sort_ro" if has("BY") && has("LIMIT") => Manner::Length,
        "sort" | "sort_ro" if has("BY") => Manner::AnyOrder(1),
        _ => MANNERS
            .iter()
            .find(|(of, _)| *of == name || *of == full)
            .map_or(Manner::Equal, |(_, manner)| *manner),
    }
}

/// What the store refuses in words of its own and plain Redis runs: it is not told to the plain server, and the reply must
/// be the refusal.
pub fn is_refused_on_purpose(refusal: &Refusal) -> bool {
    match refusal {
        // Another database, BITFIELD of more than 53 bits, SORT by other keys, options of newer servers: see COMMANDS.md.
        Refusal::Unsupported { .. } => true,
        // Keys of two registers.
        Refusal::CrossRegister { .. } => true,
        Refusal::Invalid(text) => {
            // A record tells an expiry exactly only so far.
            text.ends_with("later than 9007199254740992 ms after 1970")
                // The sum of a huge TTL and the clock wraps around in Redis: it says OK and keeps nothing.
                || text == "invalid expire time in 'restore' command"
        }
        _ => false,
    }
}
