//! The store answers as one plain Redis server does, whatever it is asked, and its nodes hold what that server holds.
//!
//! ```text
//!   COMMAND DOCS ── random sequences, wrong and odd ones among them ──┬── our client ── three nodes
//!                                                                     └── one plain server of the same version
//! ```
//!
//! Every reply is compared, then all data, expiries and histories. Where two replies need not be equal is listed, with the
//! reason, in `differential/stated.rs`. `ANARCHO_DIFFERENTIAL` sets the number of commands, `ANARCHO_SEED` the first seed;
//! every sequence has a seed of its own. What shows a difference is shrunk before it is shown.

#[path = "differential/campaign.rs"]
mod campaign;
#[path = "differential/data.rs"]
mod data;
#[allow(dead_code, reason = "shared with the list of commands")]
#[path = "differential/docs.rs"]
mod docs;
#[path = "differential/generate.rs"]
mod generate;
mod harness;
#[path = "differential/keys.rs"]
mod keys;
#[path = "differential/limits.rs"]
mod limits;
#[path = "differential/pools.rs"]
mod pools;
#[path = "differential/question.rs"]
mod question;
#[path = "model/rng.rs"]
mod rng;
#[path = "differential/same.rs"]
mod same;
#[path = "differential/sequence.rs"]
mod sequence;
#[path = "differential/shrink.rs"]
mod shrink;
#[path = "differential/stated.rs"]
mod stated;
#[path = "differential/stores.rs"]
mod stores;
#[path = "differential/trial.rs"]
mod trial;

use std::env;

use anarchoredis::Consistency;
use campaign::Campaign;
use generate::Words;
use harness::Version;
use stores::{Store, Stores};

/// Over all versions.
const COMMANDS: u64 = 200_000;
/// So many commands name every command that we run often enough to succeed.
const ENOUGH_FOR_ALL: u64 = 30_000;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A version's share of all commands, in percent.
async fn compare(version: Version, nodes: &[Version], share: u64) {
    compare_with(&Stores::of(version, nodes).await, share).await;
}

async fn compare_with(stores: &Stores, share: u64) {
    let commands = (from_env("ANARCHO_DIFFERENTIAL", COMMANDS) * share).div_ceil(100);
    let campaign = Campaign { first_seed: from_env("ANARCHO_SEED", 1), commands };
    let counts = campaign.run(stores).await;
    let never: Vec<&str> = stores
        .commands
        .iter()
        .map(|command| command.name.as_str())
        .filter(|name| counts.get(*name).is_none_or(|(_, succeeded)| *succeeded == 0))
        .collect();
    assert!(never.is_empty() || commands < ENOUGH_FOR_ALL, "never succeeded: {never:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_redis_6_2_does() {
    compare(Version::V6_2, &[Version::V6_2; 3], 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_redis_7_0_does() {
    compare(Version::V7_0, &[Version::V7_0; 3], 35).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_redis_7_4_does() {
    compare(Version::V7_4, &[Version::V7_4; 3], 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_valkey_9_does() {
    compare(Version::Valkey9, &[Version::Valkey9; 3], 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_over_nodes_of_three_versions_answers_as_redis_7_0_does() {
    compare(Version::V7_0, &[Version::V7_0, Version::V7_4, Version::Valkey9], 15).await;
}

/// Then nothing is refused for its keys, and nothing split.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_redis_7_0_does_where_all_keys_are_one_register() {
    compare_with(&Stores::of_one_register(Version::V7_0).await, 5).await;
}

/// Where no node is away and nobody else writes, a weaker level is no other store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_answers_as_redis_7_0_does_at_level_quorum() {
    let mut stores = Stores::start(Version::V7_0).await;
    stores.store = Store::Ours(stores.client.with_consistency(Consistency::Quorum));
    compare_with(&stores, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wrong_reply_and_one_node_that_was_written_to_are_found_out_with_a_short_sequence() {
    let mut stores = Stores::start(Version::V7_0).await;
    let client = stores.client.clone();
    for (store, says) in [(Store::Lying(client.clone()), "STRLEN"), (Store::Meddled(client), "node 2 holds")]
    {
        stores.store = store;
        let found = Campaign { first_seed: 1, commands: 6_000 }.first_found(&stores).await;
        let found = found.unwrap_or_else(|| panic!("nobody noticed: {says}"));
        let report = found.report(&stores);
        println!("{report}");
        assert!(report.to_uppercase().contains(&says.to_uppercase()), "{report}");
        assert!(found.sequence.len() <= 4, "{} commands are not short: {report}", found.sequence.len());
    }
}

fn line(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

#[tokio::test]
async fn spop_fanned_out_naively_is_found_out_and_ours_is_not() {
    let mut stores = Stores::start(Version::V7_0).await;
    let members: Vec<String> = (0..40).map(|member| member.to_string()).collect();
    let sequence = [
        line(&format!("SADD {{<RUN>}}t {}", members.join(" "))),
        line("SPOP {<RUN>}t 20"),
        line("SPOP {<RUN>}t"),
    ];
    stores.try_out(&sequence).await.expect("ours takes the same everywhere");
    stores.store = Store::Naive;
    let difference = stores.try_out(&sequence).await.expect_err("nodes choose for themselves");
    assert!(difference.0.contains("holds"), "{}", difference.0);
}

#[tokio::test]
async fn numbers_at_the_ends_of_what_a_double_holds_are_read_as_redis_reads_them() {
    let stores = Stores::start(Version::V7_0).await;
    let numbers =
        ["5e-324", "1e-400", "-1e400", "1e400", "1e-5000", "1e5000", "0x1p-1074", "infinity", "nan"];
    for number in numbers {
        let sequence = [
            "ZADD {<RUN>}z N m",
            "ZADD {<RUN>}z INCR N m",
            "ZINCRBY {<RUN>}z N m",
            "ZRANGE {<RUN>}z N inf BYSCORE",
            "ZUNIONSTORE {<RUN>}z2 1 {<RUN>}z WEIGHTS N",
            "INCRBYFLOAT {<RUN>}n N",
            "INCRBYFLOAT {<RUN>}n 1",
            "HINCRBYFLOAT {<RUN>}h f N",
            "GEOADD {<RUN>}g N N m",
            "GEOADD {<RUN>}g 1 2 m",
            "GEOSEARCH {<RUN>}g FROMMEMBER m BYRADIUS N km",
        ];
        let sequence: Vec<Words> = sequence.iter().map(|text| line(&text.replace('N', number))).collect();
        stores.try_out(&sequence).await.unwrap_or_else(|difference| panic!("{number}: {}", difference.0));
    }
}

/// Scripts take 7,000 arguments: longer commands are divided.
#[tokio::test]
async fn very_long_commands_answer_as_redis_does() {
    let stores = Stores::start(Version::V7_0).await;
    let numbers: Vec<String> = (0..9_000).map(|number| (number % 8_000).to_string()).collect();
    let with = |head: &str, each: &dyn Fn(&String) -> String, tail: &str| {
        let middle: Vec<String> = numbers.iter().map(each).collect();
        line(format!("{head} {} {tail}", middle.join(" ")).trim_end())
    };
    let once = |number: &String| number.clone();
    let twice = |number: &String| format!("{number} {number}");
    let sequence = [
        with("SADD {<RUN>}t", &once, ""),
        with("SMISMEMBER {<RUN>}t 9999", &once, "x"),
        with("SREM {<RUN>}t", &once, "x"),
        with("RPUSH {<RUN>}l", &once, ""),
        with("LPUSHX {<RUN>}l2", &once, ""),
        with("ZADD {<RUN>}z CH", &twice, ""),
        with("ZADD {<RUN>}z GT CH", &|number| format!("1{number} {number}"), ""),
        with("ZADD {<RUN>}z", &twice, "x m"),
        with("ZADD {<RUN>}z", &twice, "1"),
        with("ZMSCORE {<RUN>}z", &once, ""),
        with("HSET {<RUN>}h", &twice, ""),
        with("HSET {<RUN>}h2", &twice, "odd"),
        with("HMGET {<RUN>}h", &once, "x"),
        with("HDEL {<RUN>}h", &once, ""),
        with("PFADD {<RUN>}p", &once, ""),
        with("PFADD {<RUN>}p", &once, ""),
        with("GEOADD {<RUN>}g", &|number| format!("{} 1.5 {number}", number.len()), ""),
        with("MSET", &|number| format!("{{<RUN>}}k{number} {number}"), ""),
        with("MGET", &|number| format!("{{<RUN>}}k{number}"), "{<RUN>}z"),
        with("EXISTS", &|number| format!("{{<RUN>}}k{number}"), ""),
        with("DEL", &|number| format!("{{<RUN>}}k{number}"), ""),
    ];
    stores.try_out(&sequence).await.unwrap_or_else(|difference| panic!("{:.600}", difference.0));
}

/// Whether all nodes hold the same after a range by lex among members of many scores was stored, and after one was removed:
/// Redis leaves it open what is in them, and the heights of skip lists are random. Each is a register of its own, so that
/// neither covers up for the other.
async fn nodes_are_the_same_after_ranges_by_lex(stores: &Stores) -> [bool; 2] {
    let run = stores.next_run();
    let scored: Vec<String> =
        (0..300).map(|at| format!("{} {}", at * 7919 % 300, at * 104_729 % 1_000)).collect();
    let sequence = [
        format!("ZADD {{{run}}}z {}", scored.join(" ")),
        format!("ZRANGESTORE {{{run}}}stored {{{run}}}z [2 [6 BYLEX"),
        format!("ZADD z{run} {}", scored.join(" ")),
        format!("ZREMRANGEBYLEX z{run} [3 [5"),
    ];
    stores.store.run(&sequence.map(|text| line(&text)), &stores.nodes).await;
    let keys = [format!("{{{run}}}stored"), format!("z{run}")].map(String::into_bytes);
    stores.same_histories(&keys).await.expect("one history");
    let mut all = Vec::new();
    for node in &stores.nodes {
        all.push(data::held(node, &keys).await);
    }
    [0, 1].map(|at| all.iter().all(|held| held[at] == all[0][at]))
}

#[tokio::test]
async fn a_range_by_lex_that_redis_leaves_open_is_the_same_on_all_nodes() {
    let mut stores = Stores::start(Version::V7_0).await;
    for turn in 0..30 {
        assert_eq!(nodes_are_the_same_after_ranges_by_lex(&stores).await, [true; 2], "turn {turn}");
    }
    stores.store = Store::Naive;
    let mut differed = [false; 2];
    for _ in 0..30 {
        let same = nodes_are_the_same_after_ranges_by_lex(&stores).await;
        differed = [0, 1].map(|at| differed[at] || !same[at]);
    }
    assert_eq!(differed, [true; 2], "nodes that look for themselves never differed");
}
