//! What healing takes, and what clients notice of it: `ANARCHO_REGISTERS=1000000 cargo bench --bench heal`.
//!
//! Three servers, all on this machine. One is emptied and filled again while a client reads and writes at a steady rate; then all are
//! compared, first alike, then with a thousandth of the registers diverged.

#[path = "../tests/harness/mod.rs"]
mod harness;

use anarchoredis::heal::{Healer, Progress, Settings, Silent, Summary};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use harness::{Nodes, eventually};
use redis::AsyncCommands;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One operation in so long: a load that leaves the servers time.
const EVERY: Duration = Duration::from_millis(2);

/// As ops would have left them, written behind the protocol's back.
const FILL: &str = "
    local ballot = '1700000000000000-0000000000000001'
    for i = ARGV[1], ARGV[2] do
      local key = 'key:' .. i
      redis.call('SET', key, string.rep('v', 32))
      redis.call('HSET', 'anrcho_version:{' .. key .. '}', 'h', ballot .. '1 0', 'a', ballot .. '1',
        'd', string.sub(redis.sha1hex(key), 1, 32))
    end";

#[tokio::main]
async fn main() {
    let registers: u64 =
        std::env::var("ANARCHO_REGISTERS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let nodes = Nodes::start(3).await;
    let client =
        Client::builder().nodes(nodes.urls()).connect().await.expect("three fresh nodes make a store");
    for node in nodes.iter() {
        for from in (1..=registers).step_by(10_000) {
            let call = ["EVAL", FILL, "0", &from.to_string(), &(from + 9_999).min(registers).to_string()];
            let _: redis::Value = node.run(&call).await.expect("registers");
        }
    }
    println!("{registers} registers of 32 bytes on each of three servers\n");
    println!(
        "foreground alone                   {}",
        foreground(&client, registers, tokio::time::sleep(Duration::from_secs(5))).await
    );
    for (name, settings) in [("default limits", Settings::default()), ("no limits", Settings::unlimited())] {
        nodes[1].restart_empty().await;
        let votes = || client.nodes().iter().filter(|node| matches!(node.seat, Seat::Voter(_))).count();
        eventually("the loss is found out", Duration::from_secs(10), || async { votes() == 2 }).await;
        let healer = healer(&nodes, settings).await;
        let began = Instant::now();
        let told = foreground(&client, registers, async {
            let summary = healer.once(&Said(began)).await.expect("a pass");
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "filled, {name:<20} {seconds:>8.1} s, {:.0} registers/s, {summary:?}",
                registers as f64 / seconds
            );
        })
        .await;
        println!("  foreground meanwhile             {told}");
    }
    let healer = healer(&nodes, Settings::unlimited()).await;
    sweep(&healer, &nodes, "alike").await;
    for number in (1..=registers).step_by(1_000) {
        let record = format!("anrcho_version:{{key:{number}}}");
        let head = "1700000000000000-00000000000000012 0";
        let _: u64 = nodes[1]
            .run(&["HSET", &record, "d", &format!("{number:032x}"), "h", head])
            .await
            .expect("a record");
    }
    sweep(&healer, &nodes, "a thousandth differs").await;
}

/// Says what the healer says, and when.
struct Said(Instant);

impl Progress for Said {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}
    fn note(&self, line: &str) {
        println!("  after {:>5.1} s: {line}", self.0.elapsed().as_secs_f64());
    }
}

async fn healer(nodes: &Nodes, settings: Settings) -> Healer {
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    healer.with_settings(settings)
}

async fn sweep(healer: &Healer, nodes: &Nodes, what: &str) {
    let (before, began) = (moved(nodes).await, Instant::now());
    let Summary { seen, differing, .. } = healer.look(&Silent).await.expect("a sweep");
    let (bytes, took) = (moved(nodes).await - before, began.elapsed().as_secs_f64());
    println!(
        "compared, {what:<22} {took:>8.1} s, {bytes} bytes, {:.1} a register, {differing} of {seen} differ",
        bytes as f64 / seen as f64
    );
}

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

/// Reads and writes at a steady rate while the other goes on; its latencies.
async fn foreground(client: &Client, registers: u64, other: impl Future<Output = ()>) -> String {
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(client.clone(), registers, Arc::clone(&stop)));
    other.await;
    stop.store(true, Ordering::Relaxed);
    let mut all = load.await.expect("the load");
    all.sort();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    format!("{} operations, half {:?}, 99 % {:?}, longest {:?}", all.len(), at(0.5), at(0.99), at(1.0))
}

async fn load(mut client: Client, registers: u64, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let (mut all, mut tick, mut number) = (Vec::new(), tokio::time::interval(EVERY), 0);
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        number = (number + 7_919) % registers;
        let (key, began) = (format!("key:{}", number + 1), Instant::now());
        if number % 2 == 0 {
            let _: Option<String> = client.get(&key).await.expect("a read");
        } else {
            let _: () = client.set(&key, "w").await.expect("a write");
        }
        all.push(began.elapsed());
    }
    all
}
