//! What a register costs on a node above the plain key, in memory and in the append-only file: `cargo bench --bench memory`.

#[path = "../tests/harness/mod.rs"]
mod harness;

use anarchoredis::Client;
use futures_util::future::join_all;
use harness::{Nodes, Server, Version};
use redis::aio::ConnectionLike;

const REGISTERS: usize = 100_000;
const VALUE: [u8; 32] = [b'x'; 32];
const WRITERS: usize = 64;

#[tokio::main]
async fn main() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::Any))).await;
    let plain = Server::with(Version::Any).start().await;
    let client =
        Client::builder().nodes(nodes.urls()).connect().await.expect("three fresh nodes make a store");

    let empty = (used_memory(&plain).await, used_memory(&nodes[0]).await);
    write_all(&plain.connection().await, 1, WRITERS).await;
    write_all(&client, 1, WRITERS).await;
    let plain_bytes = per_register(used_memory(&plain).await - empty.0);
    let once = per_register(used_memory(&nodes[0]).await - empty.1);
    write_all(&client, 4, WRITERS).await;
    let often = per_register(used_memory(&nodes[0]).await - empty.1);

    println!("{REGISTERS} values of {} bytes, keys of 12 bytes; bytes of memory for each\n", VALUE.len());
    println!("  plain key                        {plain_bytes:>7.0}");
    println!(
        "  register, written once           {once:>7.0}   {:.0} above the plain key",
        once - plain_bytes
    );
    println!(
        "  register, written five times     {often:>7.0}   {:.0} above the plain key",
        often - plain_bytes
    );
    let record = "anrcho_version:{key:00000001}";
    let bytes: u64 = nodes[0].run(&["MEMORY", "USAGE", record]).await.expect("MEMORY USAGE");
    let encoding: String = nodes[0].run(&["OBJECT", "ENCODING", record]).await.expect("OBJECT ENCODING");
    println!("\none record by MEMORY USAGE: {bytes} bytes, encoded as {encoding}\n");
    append_only().await;
}

/// What a write adds to the append-only file.
async fn append_only() {
    let appending = || Server::with(Version::Any).appendonly("no");
    let nodes = Nodes::with((0..3).map(|_| appending())).await;
    let plain = appending().start().await;
    let client =
        Client::builder().nodes(nodes.urls()).connect().await.expect("three fresh nodes make a store");
    println!("bytes in the append-only file for each SET of such a value\n");
    write_all(&plain.connection().await, 1, WRITERS).await;
    println!("  plain key                        {:>7.0}", per_register(appended(&plain).await));
    let mut before = appended(&nodes[0]).await;
    for (writers, what) in [(1, "register, one task"), (WRITERS, "register, 64 tasks")] {
        write_all(&client, 1, writers).await;
        let now = appended(&nodes[0]).await;
        println!("  {what:<32} {:>7.0}", per_register(now - before));
        before = now;
    }
}

async fn appended(server: &Server) -> f64 {
    let info: String = server.run(&["INFO", "persistence"]).await.expect("INFO persistence");
    let line = info.lines().find_map(|line| line.strip_prefix("aof_current_size:"));
    line.and_then(|bytes| bytes.parse().ok()).expect("aof_current_size")
}

/// Sets every key, `times` times, with so many tasks.
async fn write_all(connection: &(impl ConnectionLike + Clone), times: usize, writers: usize) {
    let all = (0..writers).map(async |first| {
        let mut connection = connection.clone();
        for number in (first..REGISTERS * times).step_by(writers) {
            let mut cmd = redis::cmd("SET");
            cmd.arg(format!("key:{:08}", number % REGISTERS)).arg(&VALUE);
            cmd.exec_async(&mut connection).await.expect("SET");
        }
    });
    join_all(all).await;
}

async fn used_memory(server: &Server) -> f64 {
    let info: String = server.run(&["INFO", "memory"]).await.expect("INFO memory");
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|bytes| bytes.parse().ok()).expect("used_memory")
}

fn per_register(bytes: f64) -> f64 {
    bytes / REGISTERS as f64
}
