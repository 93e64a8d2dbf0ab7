//! Calls that no coordinator of ours makes: damaged states, wrong counts, texts where numbers belong. A node takes one whole or not at
//! all, is there afterwards, and works on.

use std::collections::BTreeMap;

use anarchoredis::script::Name;

use super::support::*;
use crate::workload::Rng;

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

/// What may stand where something else belongs.
const ODD: [&[u8]; 28] = [
    b"",
    b"0",
    b"-1",
    b"1",
    b"2",
    b"1.5",
    b"abc",
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"1e-400",
    b" 1",
    b"1 ",
    b"0x10",
    b"99999999",
    b"9223372036854775807",
    b"99999999999999999999",
    b"1e18",
    b"\xff\x00\r\n",
    b"string",
    b"zset",
    b"anrcho_node",
    b"anrcho_version:{t}",
    b"{t}a",
    b"{t}z",
    b"0123456789abcdef0123456789abcdef",
];
const FORMS: [&str; 10] =
    ["string", "list", "hash", "set", "zset", "gone", "dump", "stream", "staged", "nonsense"];

fn odd(rng: &mut Rng) -> Bytes {
    if rng.below(8) == 0 {
        (0..rng.below(40)).map(|_| rng.below(256) as u8).collect()
    } else {
        ODD[rng.place(ODD.len())].to_vec()
    }
}

fn odd_key(rng: &mut Rng) -> Key {
    let names: [&[u8]; 5] = [b"{t}a", b"{t}z", b"{t}new", b"t", b"anrcho_fence"];
    let known = if rng.below(10) == 0 { 5 } else { 4 };
    Key {
        name: names[rng.place(known)].to_vec(),
        form: FORMS[rng.place(FORMS.len())].to_owned(),
        expiry_ms: if rng.below(4) == 0 {
            String::from_utf8_lossy(&odd(rng)).into_owned()
        } else {
            "0".into()
        },
        elements: (0..rng.below(5)).map(|_| odd(rng)).collect(),
    }
}

/// A register with a value of each type, a log and remembered ops.
async fn register(node: &Node) -> u64 {
    let ops = [
        "SET {t}a 1",
        "ZADD {t}z 1.5 m",
        "RPUSH {t}l x y",
        "HSET {t}h f v",
        "SADD {t}s m",
        "XADD {t}x 1-1 f v",
    ];
    for (number, op) in ops.iter().enumerate() {
        node.op("t", number as u64 + 1, op).await;
    }
    ops.len() as u64
}

/// The user's keys, and what the record says of its history; without stages, which end by themselves.
async fn held(node: &Node) -> BTreeMap<Bytes, String> {
    let mut all = node.keyspace().await;
    all.retain(|key, _| !key.starts_with(b"anrcho_stage:"));
    all
}

/// A settle that is nearly right.
fn damaged(rng: &mut Rng, good: &Settle) -> Vec<Bytes> {
    let mut settle = good.clone();
    match rng.below(6) {
        0 => settle.keys = (0..1 + rng.below(3)).map(|_| odd_key(rng)).collect(),
        1 => {
            let place = rng.place(settle.keys.len());
            settle.keys[place] = odd_key(rng);
        }
        2 => settle.ops = odd(rng),
        3 => settle.log = (0..rng.below(3)).map(|_| odd(rng)).collect(),
        4 => settle.mode = ["full", "delta", "fill", "reset", "nonsense"][rng.place(5)],
        _ => {}
    }
    let mut args = settle.args();
    // From the ballot on: without fence and deadline a node looks at nothing.
    for _ in 0..rng.below(3) {
        let place = 2 + rng.place(args.len() - 2);
        match rng.below(4) {
            0 if args.len() > 3 => drop(args.remove(place)),
            1 => args.insert(place, odd(rng)),
            _ => args[place] = odd(rng),
        }
    }
    args
}

#[tokio::test]
async fn a_damaged_settle_is_taken_whole_or_changes_nothing_and_the_node_works_on() {
    let seed = std::env::var("ANARCHO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    on_each_version(async |node| {
        let mut rng = Rng::new(seed);
        let mut number = register(node).await;
        let good = node.snapshot("t", &[], "all 100000").await;
        let mut taken = 0;
        for turn in 0..250 {
            number += 2;
            let settle =
                Settle { digest: DIGEST.into(), ..Settle::from_snapshot("t", ballot(number), &good, "") };
            let args = damaged(&mut rng, &settle);
            let before = held(node).await;
            let reply = node.call(Name::Settle, &[record("t")], &args).await;
            let told = || {
                let words: Vec<String> =
                    args[2..].iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
                format!("seed {seed}, turn {turn}: {words:?} answered {reply}")
            };
            if !reply.is("SETTLED") {
                assert_eq!(held(node).await, before, "{}", told());
                continue;
            }
            taken += 1;
            // A good settle by a later ballot makes the node whole, whatever it took.
            let next = Settle { ballot: ballot(number + 1), ..settle };
            let whole = node.settle(&next).await;
            assert_eq!(whole.to_string(), "[SETTLED]", "{}", told());
            let snapshot = node.snapshot("t", &[], "all 100000").await;
            assert!(snapshot.is("SNAPSHOT") && snapshot.text(5) == DIGEST, "{}: then {snapshot}", told());
        }
        println!("  {taken} of 250 were taken");
        assert!(taken > 0, "a good one is taken");
        let apply = node.op("t", number + 2, "SET {t}a after").await;
        assert!(apply.is("ACK"), "{apply}");
        assert_eq!(node.line("GET {t}a").await, "after");
    })
    .await;
}

#[tokio::test]
async fn what_a_later_write_would_stumble_over_is_refused_before_the_first_write() {
    on_each_version(async |node| {
        let number = register(node).await + 1;
        let state = |keys: Vec<Key>| Settle::full("t", ballot(number), 9, DIGEST, keys);
        let zset = |score: &str| {
            state(vec![Key::new("{t}a", "string", &["2"]), Key::new("{t}z", "zset", &["m", score])])
        };
        let due = |ms: &str| state(vec![Key { expiry_ms: ms.into(), ..Key::new("{t}a", "string", &["2"]) }]);
        let key = || vec![Key::new("{t}a", "string", &["2"])];
        let stage = Key::new("{t}l", "staged", &["anrcho_stage:1", "list", "1"]);
        node.line("RPUSH anrcho_stage:1 x").await;
        let refused = [
            zset("abc"),
            zset("nan"),
            zset(" 1"),
            zset("1e400"),
            zset("1e-400"),
            zset(""),
            due("1.5"),
            due("nan"),
            due("1e18"),
            due("-1"),
            due(""),
            Settle { log: vec![b"junk".to_vec()], ..state(key()) },
            Settle { ops: b"junk".to_vec(), ..state(key()) },
            Settle { version: "many".into(), ..state(key()) },
            Settle { digest: "none".into(), ..state(key()) },
            Settle { mode: "other", ..state(key()) },
            Settle { mode: "fill", base: "short".into(), ..state(key()) },
            Settle { mode: "reset", base: "short".into(), ..state(vec![]) },
            state(vec![stage.clone(), Key { name: b"{t}m".to_vec(), ..stage.clone() }]),
            state(vec![Key::new("{t}l", "staged", &["{t}a", "string", "1"])]),
            state(vec![Key::new("anrcho_fence", "string", &["mine"])]),
        ];
        for settle in &refused {
            let reply = node.unchanged(node.settle(settle)).await;
            assert!(reply.is("REFUSED"), "{settle:?} answered {reply}");
        }
        for score in ["inf", "-inf", "+inf", "-0", "0.0", "1e300", "3.0000000000000000001", "4.9e-324"] {
            let settled = node.settle(&Settle { ballot: ballot(number + 1), ..zset(score) }).await;
            assert_eq!(settled.to_string(), "[SETTLED]", "{score}");
        }
    })
    .await;
}

#[tokio::test]
async fn any_script_with_any_arguments_leaves_keys_and_records_whole() {
    let seed = std::env::var("ANARCHO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    on_each_version(async |node| {
        let mut rng = Rng::new(seed);
        register(node).await;
        let names = [Name::Read, Name::Snapshot, Name::Digest, Name::Purge, Name::Stage, Name::Apply];
        for turn in 0..400 {
            let name = names[rng.place(names.len())];
            let mut args = words(&format!("{FENCE} {NEVER}"));
            args.extend((0..rng.below(14)).map(|_| odd(&mut rng)));
            let keys = if name == Name::Stage {
                vec![record("t"), b"anrcho_stage:2".to_vec()]
            } else {
                vec![record("t"), b"{t}a".to_vec()]
            };
            let before = held(node).await;
            let reply = node.call(name, &keys, &args).await;
            assert_eq!(
                held(node).await,
                before,
                "seed {seed}, turn {turn}: {name:?} {args:?} answered {reply}"
            );
        }
        assert!(node.op("t", 100, "SET {t}a after").await.is("ACK"));
    })
    .await;
}
