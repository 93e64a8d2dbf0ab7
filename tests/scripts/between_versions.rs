//! The same ops on every version, and values that move between the oldest and the newest.

use anarchoredis::script::Name;

use super::support::*;
use crate::harness::Version;

async fn one_of_each() -> Vec<Node> {
    let mut nodes = Vec::new();
    for version in Version::ALL {
        nodes.push(Node::start(version).await);
    }
    nodes
}

#[tokio::test]
async fn the_same_ops_give_the_same_histories_and_values_on_every_version() {
    let nodes = one_of_each().await;
    let at = ballot(0).time_ms() + 3_600_000;
    let ops = [
        format!("SET {{t}}s v PXAT {at}"),
        "APPEND {t}s w;GETRANGE {t}s 0 -1".into(),
        "RPUSH {t}l a b c;LSET {t}l 1 x;LRANGE {t}l 0 -1".into(),
        "HSET {t}h f 1;HINCRBY {t}h f 9007199254740993;HGET {t}h f".into(),
        "SADD {t}m 1 2 3;SREM {t}m 2;SCARD {t}m".into(),
        "ZADD {t}z 1.5 a inf b -inf c;ZRANGE {t}z 0 -1".into(),
        "INCRBYFLOAT {t}f 0.1;INCRBYFLOAT {t}f 1e17".into(),
        "PFADD {t}p a b c;SETBIT {t}b 7 1".into(),
        format!("PEXPIREAT {{t}}l {at};DEL {{t}}m"),
        "INCR {t}l;GET {t}none;GEOADD {t}g 13.361389 38.115556 Palermo".into(),
    ];
    for (number, commands) in (1..).zip(&ops) {
        let mut answers = Vec::new();
        for node in &nodes {
            let apply = Apply { lowest_expiry_ms: at, ..Apply::new("t", number, commands).flags("h") };
            answers.push(node.apply(&apply).await.to_string());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{commands}: {answers:#?}");
    }
    let contents = [content(&nodes[0], "t").await, content(&nodes[1], "t").await];
    for node in &nodes {
        assert!(contents.contains(&content(node, "t").await), "{}", node.version());
    }
    assert_eq!(contents[0], contents[1]);
}

/// What a register holds, with sets, hashes and scores in one canonical form, whatever the server's own.
async fn content(node: &Node, register: &str) -> Vec<String> {
    let snapshot = node.snapshot(register, &[], "all 100000000").await;
    let settle = Settle::from_snapshot(register, ballot(0), &snapshot, "");
    let mut keys: Vec<String> = settle.keys.iter().map(canonical).collect();
    keys.sort();
    keys
}

async fn assert_same_content(from: &Node, to: &Node) {
    let (wanted, found) = (content(from, "t").await, content(to, "t").await);
    for (wanted, found) in wanted.iter().zip(&found) {
        let same = wanted.bytes().zip(found.bytes()).take_while(|(one, other)| one == other).count();
        let shown = |text: &str| {
            text.get(same.saturating_sub(20)..).unwrap_or_default().chars().take(60).collect::<String>()
        };
        assert_eq!(shown(wanted), shown(found), "{} to {}", from.version(), to.version());
    }
    assert_eq!(wanted.len(), found.len());
}

fn canonical(key: &Key) -> String {
    let shown = |bytes: &Bytes| bytes.escape_ascii().to_string();
    // Servers differ in how they write a score, and in whether they keep the sign of a zero: 0.1 and 0.10000000000000001.
    let score = |bytes: &Bytes| {
        (String::from_utf8_lossy(bytes).parse::<f64>().expect("a score") + 0.0).to_bits().to_string()
    };
    let elements = &key.elements;
    let mut parts: Vec<String> = match key.form.as_str() {
        "hash" => elements.chunks(2).map(|pair| format!("{}={}", shown(&pair[0]), shown(&pair[1]))).collect(),
        "zset" => elements.chunks(2).map(|pair| format!("{}={}", shown(&pair[0]), score(&pair[1]))).collect(),
        _ => elements.iter().map(shown).collect(),
    };
    if key.form != "list" {
        parts.sort();
    }
    format!("{} {} {} {}", shown(&key.name), key.form, key.expiry_ms, parts.join(" "))
}

/// Values that are hard to carry over: binary, empty, infinite, long, large, expiring.
async fn fill(node: &Node) {
    let all: Bytes = (0..=255).collect();
    let at = (ballot(0).time_ms() + 3_600_000).to_string().into_bytes();
    let mut long = words("HSET {t}long");
    let mut scores =
        words("ZADD {t}scores -inf low inf high 0.1 tenth 1e300 huge 5e-324 tiny -0 zero 3 three");
    let (mut set, mut list) = (words("SADD {t}set"), words("RPUSH {t}list"));
    for number in 0..900 {
        let text = format!("{number:04}").into_bytes();
        long.extend([text.clone(), [&all[..], &text].concat()]);
        scores.extend([format!("{}", f64::from(number) / 7.0).into_bytes(), text.clone()]);
        set.push([&text[..], &all].concat());
        list.push(text);
    }
    let named = |name: &str, rest: &[&[u8]]| {
        let head = words(name);
        head.into_iter().chain(rest.iter().map(|arg| arg.to_vec())).collect::<Vec<_>>()
    };
    let commands = vec![
        named("SET {t}string", &[&all, b"PXAT", &at]),
        named("SET {t}big", &[&all.repeat(4_000)]),
        named("SET {t}empty", &[b""]),
        named("RPUSH {t}short", &[&all, b"", b"a"]),
        named("HSET {t}small", &[b"", &all, &all, b""]),
        named("SADD {t}ints 1 2 3 -9223372036854775808", &[]),
        named("SADD {t}few", &[b"", &all]),
        named("ZADD {t}one 1.1", &[&all]),
        long,
        scores,
        set,
        list,
        named("PEXPIREAT {t}set", &[&at]),
        named("PFADD {t}hll a b c", &[]),
    ];
    let mut apply = Apply::of("t", 1, commands);
    apply.lowest_expiry_ms = ballot(0).time_ms() + 3_600_000;
    let filled = node.apply(&apply).await;
    assert!(filled.is("ACK") && !filled.replies().contains('!'), "{filled}");
}

const OLDEST_AND_NEWEST: [(Version, Version); 3] =
    [(Version::V6_2, Version::Valkey9), (Version::Valkey9, Version::V6_2), (Version::V7_4, Version::V7_0)];

#[tokio::test]
async fn a_value_of_each_core_type_settles_between_oldest_and_newest_both_ways() {
    for (from, to) in OLDEST_AND_NEWEST {
        let (from, to) = (Node::start(from).await, Node::start(to).await);
        fill(&from).await;
        let snapshot = from.snapshot("t", &[], "all 100000000").await;
        let settled = to.settle(&Settle::from_snapshot("t", ballot(2), &snapshot, "")).await;
        assert_eq!(settled.to_string(), "[SETTLED]", "{} to {}", from.version(), to.version());
        assert_same_content(&from, &to).await;
        let replies = async |node: &Node| {
            node.op("t", 3, "GETRANGE {t}big 0 3;ZRANK {t}scores three;PFCOUNT {t}hll").await
        };
        assert_eq!(replies(&to).await.digest(), replies(&from).await.digest());
    }
}

#[tokio::test]
async fn large_keys_move_between_oldest_and_newest_in_slices() {
    for (from, to) in OLDEST_AND_NEWEST {
        let (from, to) = (Node::start(from).await, Node::start(to).await);
        fill(&from).await;
        let snapshot = from.snapshot("t", &[], "all 1000").await;
        let mut settle = Settle::from_snapshot("t", ballot(2), &snapshot, "");
        for key in &mut settle.keys {
            if key.form == "later" {
                *key = one(&from, key).await;
            }
            if key.form == "large" {
                let stage = [b"anrcho_stage:", key.name.as_slice()].concat();
                *key = staged(&from, &to, key, stage).await;
            }
        }
        let staged: Vec<&Key> = settle.keys.iter().filter(|key| key.form == "staged").collect();
        assert_eq!(staged.len(), 5, "one large key of each type: {staged:?}");
        assert_eq!(to.settle(&settle).await.to_string(), "[SETTLED]");
        assert_same_content(&from, &to).await;
    }
}

/// What did not fit into the first answer, alone in one of its own.
async fn one(from: &Node, key: &Key) -> Key {
    let name = String::from_utf8(key.name.clone()).expect("a plain name");
    let answer = from.snapshot("t", &[&name], "keys 1000").await;
    Settle::from_snapshot("t", ballot(2), &answer, "").keys.remove(0)
}

async fn staged(from: &Node, to: &Node, key: &Key, stage: Bytes) -> Key {
    let name = String::from_utf8(key.name.clone()).expect("a plain name");
    let form = String::from_utf8(key.elements[0].clone()).expect("a form");
    let (mut position, mut first) = ("0".to_owned(), "1");
    loop {
        let slice = from.snapshot("t", &[&name], &format!("slice 0 {position} 300")).await;
        let mut args = words(&format!("{FENCE} {NEVER} {form} {first} 60000"));
        let elements = slice.item(4);
        args.extend((0..elements.items().len()).map(|index| elements.bytes(index)));
        let answer = to.call(Name::Stage, &[record("t"), stage.clone()], &args).await;
        assert!(answer.is("STAGED"), "{answer}");
        (position, first) = (slice.text(3), "0");
        if position == "0" {
            let elements = vec![stage, form.clone().into_bytes(), answer.bytes(1)];
            assert_eq!(answer.bytes(1), key.elements[1], "all of it arrived");
            return Key { form: "staged".into(), elements, ..key.clone() };
        }
    }
}

#[tokio::test]
async fn a_stream_moves_to_a_newer_server_and_an_older_one_refuses_it_and_keeps_what_it_has() {
    for (from, to, moves) in
        [(Version::V6_2, Version::Valkey9, true), (Version::Valkey9, Version::V6_2, false)]
    {
        let (from, to) = (Node::start(from).await, Node::start(to).await);
        from.op("s", 1, "XADD s 1-1 f v").await;
        let snapshot = from.snapshot("s", &[], "all 1000").await;
        let settled = to.settle(&Settle::from_snapshot("s", ballot(2), &snapshot, "")).await;
        if moves {
            assert_eq!(
                (settled.word(), to.line("XRANGE s - +").await),
                ("SETTLED".into(), "[[1-1 [f v]]]".into())
            );
        } else {
            assert_eq!(settled.to_string(), "[REFUSED ERR DUMP payload version or checksum are wrong]");
            assert_eq!(to.line("DBSIZE").await, OWN_KEYS);
        }
    }
}
