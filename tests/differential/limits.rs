//! What is not tried: what would fill the memory of the machine, take minutes, or depend on when it runs.

use crate::generate::Words;

/// Numbers that mean a size or a number of repetitions.
const LARGE: std::ops::RangeInclusive<i128> = 5_000..=5_000_000_000;

/// What has a comparison of its own, because its arguments are a language, its ids come from the clock, it sees or takes all keys, or
/// it waits for somebody else: scripts, streams, walks, FLUSHALL, blocking commands, publishing.
pub fn is_compared(name: &str) -> bool {
    let walks = ["dbsize", "flushall", "flushdb", "hscan", "keys", "randomkey", "scan", "sscan", "zscan"];
    let asked = ["lolwut", "time"];
    let blocks = ["blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin"];
    !(asked.contains(&name)
        || name.ends_with("|help")
        || walks.contains(&name)
        || blocks.contains(&name)
        || ["publish", "spublish"].contains(&name)
        || name.starts_with("pubsub")
        || name.starts_with('x')
        || name.starts_with("eval")
        || name.starts_with("script"))
}

pub fn is_allowed(words: &Words, now_ms: u64) -> bool {
    match words[0].to_ascii_lowercase().as_slice() {
        b"setbit" | b"setrange" | b"bitfield" => {
            words.iter().skip(2).all(|word| !LARGE.contains(&size(word)))
        }
        b"srandmember" | b"hrandfield" | b"zrandmember" => {
            words.iter().skip(2).all(|word| !(-i128::from(i64::MAX)..-200).contains(&size(word)))
        }
        b"expire" | b"expireat" | b"setex" | b"pexpire" | b"pexpireat" | b"psetex" | b"restore" => {
            words.get(2).is_none_or(|word| is_far(size(word), now_ms))
        }
        b"getex" | b"set" => {
            words.windows(2).all(|pair| !is_unit(&pair[0]) || is_far(size(&pair[1]), now_ms))
        }
        _ => true,
    }
}

fn is_unit(word: &[u8]) -> bool {
    [b"EX".as_slice(), b"PX", b"EXAT", b"PXAT"].iter().any(|unit| word.eq_ignore_ascii_case(unit))
}

/// Whether it asks for a range by lex. Among members of different scores Redis leaves it open what is in the range: a skip
/// list begins to search at random heights, a listpack does not.
pub fn is_by_lex(words: &Words) -> bool {
    words.iter().take(1).chain(words.iter().skip(4)).any(|word| word.to_ascii_lowercase().ends_with(b"lex"))
        || words[0].eq_ignore_ascii_case(b"zlexcount")
}

/// Whether it could make a sorted set too long for a listpack.
pub fn is_long(words: &Words) -> bool {
    words.iter().any(|word| word.len() > 64)
}

/// Whether it can be told to a server of any version: not what 6.2 stumbles over, and no time that is wrong, since newer
/// servers look at it before they look whether the key is there at all, and 6.2 lets sums wrap around.
pub fn is_alike_on_all_versions(words: &Words) -> bool {
    let name = words[0].to_ascii_lowercase();
    let number = |at: usize| words.get(at).map_or(1, |word| size(word));
    let is_time = |number: i128| (1..1 << 52).contains(&number);
    match name.as_slice() {
        // 6.2 dies of so large an offset, and of a count that has no positive twin.
        b"setrange" => number(2) <= 1 << 40,
        b"srandmember" | b"hrandfield" | b"zrandmember" => number(2) >= -i128::from(i64::MAX),
        // 6.2 leaves an empty hash behind.
        b"hincrbyfloat" => !words.iter().any(|word| word.ends_with(b"inf")),
        b"getex" => is_time(number(3)),
        b"expire" | b"expireat" | b"pexpire" | b"pexpireat" => is_time(number(2)),
        _ => true,
    }
}

/// As Redis reads a number, or a BITFIELD offset; 0 for what is none.
fn size(word: &[u8]) -> i128 {
    let text = std::str::from_utf8(word).unwrap_or_default();
    text.trim_start_matches('#').parse().unwrap_or(0)
}

/// Whatever it counts, and from whenever: no time that comes while the test runs, nor one that has just been.
fn is_far(number: i128, now_ms: u64) -> bool {
    let now = i128::from(now_ms);
    let minutes_ms = 10_000_000;
    let near = |unit_ms: i128| {
        let ms = number * unit_ms;
        (1..minutes_ms).contains(&ms) || (now - minutes_ms..now + minutes_ms).contains(&ms)
    };
    !near(1) && !near(1_000)
}
