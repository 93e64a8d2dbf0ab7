//! A proxy answers as a Redis does, byte by byte: the same pipelines of random commands go to a plain Redis 7.0 and to a proxy.

mod harness;
mod proxy_support;
mod workload;

use proxy_support::{compare, proxy};
use workload::Cluster;

fn from_outside(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn seed(otherwise: u64) -> u64 {
    from_outside("ANARCHO_SEED", otherwise)
}

fn pipelines() -> u64 {
    from_outside("ANARCHO_PIPELINES", 150)
}

async fn run(hellos: [&str; 2], seed: u64, pipelines: u64) {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    compare(&proxy, hellos, seed, pipelines).await;
}

#[tokio::test]
async fn pipelines_of_random_commands_are_answered_as_redis_does_in_resp2() {
    run(["HELLO 2"; 2], seed(1), pipelines()).await;
}

#[tokio::test]
async fn pipelines_of_random_commands_are_answered_as_redis_does_in_resp3() {
    run(["HELLO 3"; 2], seed(2), pipelines()).await;
}

#[tokio::test]
#[should_panic(expected = "pipeline")]
async fn replies_in_another_version_of_the_protocol_are_told_apart() {
    run(["HELLO 2", "HELLO 3"], 3, 20).await;
}
