//! What a sweep moves follows what differs, not what is stored. `ANARCHO_SWEEP_REGISTERS=1000000` for a store of that size.

mod harness;

use anarchoredis::heal::{Healer, Settings, Silent, Summary};
use anarchoredis::{Client, Config};
use harness::Nodes;
use std::time::Instant;

/// Fills a node behind the protocol's back with registers that are settled, as ops would have left them.
const FILL: &str = "
    local ballot = '1700000000000000-0000000000000001'
    for i = ARGV[1], ARGV[2] do
      local key = 'key:' .. i
      redis.call('SET', key, string.rep('v', 32))
      redis.call('HSET', 'anrcho_version:{' .. key .. '}', 'h', ballot .. '1 0', 'a', ballot .. '1',
        'd', string.sub(redis.sha1hex(key), 1, 32))
    end";
/// Key, value and record of one of them.
const REGISTER_BYTES: u64 = 10 + 32 + 2 * 34 + 2 + 32 + 30;

fn size() -> u64 {
    std::env::var("ANARCHO_SWEEP_REGISTERS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

async fn filled(nodes: &Nodes, registers: u64) {
    for node in nodes.iter() {
        for from in (1..=registers).step_by(10_000) {
            let to = (from + 9_999).min(registers);
            let call = ["EVAL", FILL, "0", &from.to_string(), &to.to_string()];
            let _: redis::Value = node.run(&call).await.expect("registers");
        }
    }
}

/// Bytes in and out of all nodes.
async fn moved(nodes: &Nodes) -> u64 {
    let mut sum = 0;
    for node in nodes.iter() {
        let info: String = node.run(&["INFO", "stats"]).await.expect("INFO");
        for name in ["total_net_input_bytes:", "total_net_output_bytes:"] {
            let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a counter");
            sum += line.trim().parse::<u64>().expect("a number");
        }
    }
    sum
}

async fn pass(healer: &Healer, nodes: &Nodes, what: &str) -> (Summary, u64) {
    let (before, began) = (moved(nodes).await, Instant::now());
    let summary = healer.look(&Silent).await.expect("a sweep");
    let bytes = moved(nodes).await - before;
    println!("{what}: {bytes} bytes in {:?}, {} differing", began.elapsed(), summary.differing);
    (summary, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_equal_nodes_moves_less_than_a_hundredth_and_one_of_few_differences_little_more() {
    let (nodes, registers) = (Nodes::start(3).await, size());
    let _client = Client::builder().nodes(nodes.urls()).connect().await.expect("a new cluster");
    filled(&nodes, registers).await;
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let data = 3 * registers * REGISTER_BYTES;

    let (summary, equal) = pass(&healer, &nodes, "equal").await;
    assert!(summary.complete && summary.seen == registers, "{summary:?}");
    assert!(equal * 100 < data, "{equal} bytes are more than a hundredth of {data}");

    for number in 1..=registers / 1_000 {
        let record = format!("anrcho_version:{{key:{}}}", number * 1_000);
        let digest = format!("{number:032x}");
        let head = "1700000000000000-00000000000000012 0";
        let _: u64 = nodes[1].run(&["HSET", &record, "d", &digest, "h", head]).await.expect("a record");
    }
    let (summary, few) = pass(&healer, &nodes, "a thousandth differs").await;
    assert_eq!((summary.differing, summary.seen), (registers / 1_000, registers));
    assert_eq!(summary.repaired[0].registers, registers / 1_000, "it says who would be given what");
    assert!(few * 10 < data, "{few} bytes are more than a tenth of {data}");

    let began = Instant::now();
    let summary = healer.clone().with_settings(Settings::default()).once(&Silent).await.expect("a pass");
    println!("healed in {:?} with the default limits", began.elapsed());
    assert!(summary.complete, "{summary:?}");
    let (summary, again) = pass(&healer, &nodes, "healed").await;
    assert!(summary.complete && again < equal + equal / 2, "{again} bytes, {equal} before");
}
