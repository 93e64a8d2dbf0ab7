//! What large values and large scopes cost: a push next to a push on a small value, a repair, and how long the repair blocks a node.
//!
//! ```text
//!   cargo bench --bench large -- [--elements 1000000] [--mebibytes 256] [--only list,set,hash,zset,stream,string,scope]
//! ```
//!
//! The repair is that of a node that lost everything; a call that takes a node longer than 1 ms is in its SLOWLOG.

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod subject;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version};
use redis::Value;
use std::time::{Duration, Instant};
use subject::Subject;

/// Ops whose median is told.
const PUSHES: usize = 300;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut elements, mut mebibytes, mut only) = (1_000_000, 256, None);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--elements" => elements = value.parse().expect("a number of elements"),
            "--mebibytes" => mebibytes = value.parse().expect("a number of MiB"),
            "--only" => only = Some(value),
            _ => panic!("unknown option {name}: there are --elements, --mebibytes, --only"),
        }
    }
    println!("{elements} elements; a string of {mebibytes} MiB; times in ms\n");
    println!(
        "  value     write, small   write, large   repair   moved MiB   longest call that gives   that takes"
    );
    for subject in Subject::ALL {
        if only.as_ref().is_none_or(|only| only.split(',').any(|word| word == subject.word())) {
            let size = if subject == Subject::String { mebibytes } else { elements };
            measure(subject, size).await;
        }
    }
}

async fn measure(subject: Subject, size: usize) {
    let setups = (0..3).map(|_| Server::with(Version::Any).config("slowlog-log-slower-than", "1000"));
    let nodes = Nodes::with(setups).await;
    let patient = Duration::from_secs(20);
    let config = Config { operation_timeout: patient, ..Config::default() };
    let connecting = Client::builder().nodes(nodes.urls()).config(config.clone()).scope("scope:").connect();
    let client = connecting.await.expect("three fresh nodes make a store");
    subject.fill(&client, "small", 1).await;
    subject.fill(&client, "large", size).await;
    let small = median(&client, subject, "small").await;
    let large = median(&client, subject, "large").await;
    nodes[2].restart_empty().await;
    for node in &nodes[..2] {
        let _: Value = node.run(&["SLOWLOG", "RESET"]).await.expect("SLOWLOG RESET");
    }
    let sent = received(&nodes[2]).await;
    let healer = Healer::connect(nodes.urls(), config).await.expect("a healer");
    let began = Instant::now();
    healer.once(&Silent).await.expect("a heal pass");
    let took = began.elapsed();
    let moved = (received(&nodes[2]).await - sent) / 1024.0 / 1024.0;
    let gives = longest(&nodes[0]).await.max(longest(&nodes[1]).await);
    println!(
        "  {:8} {:>13.2} {:>14.2} {:>8.0} {:>11.1} {:>25.1} {:>12.1}",
        subject.word(),
        in_ms(small),
        in_ms(large),
        in_ms(took),
        moved,
        gives,
        longest(&nodes[2]).await,
    );
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

async fn median(client: &Client, subject: Subject, key: &str) -> Duration {
    let mut times = Vec::new();
    for number in 0..PUSHES {
        let began = Instant::now();
        subject.write(client, key, number).await;
        times.push(began.elapsed());
    }
    times.sort();
    times[PUSHES / 2]
}

/// The longest script call since the last reset, in ms.
async fn longest(server: &Server) -> f64 {
    let log: Vec<Vec<Value>> = server.run(&["SLOWLOG", "GET", "100000"]).await.expect("SLOWLOG");
    let mut longest = (0, String::new());
    for entry in log {
        let (Some(Value::Int(micros)), Some(Value::Array(words))) = (entry.get(2), entry.get(3)) else {
            continue;
        };
        let text = format!("{words:?}");
        if text.contains("69, 86, 65, 76") || text.to_uppercase().contains("EVALSHA") {
            longest = longest.max((*micros, text));
        }
    }
    if std::env::var_os("ANARCHO_SLOWEST").is_some() {
        println!("    {:.500}", longest.1);
    }
    longest.0 as f64 / 1_000.0
}

async fn received(server: &Server) -> f64 {
    let info: String = server.run(&["INFO", "stats"]).await.expect("INFO stats");
    let line = info.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    line.and_then(|bytes| bytes.parse().ok()).expect("total_net_input_bytes")
}
