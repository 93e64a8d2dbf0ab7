//! The ten lines to copy. `make run` starts three nodes with these addresses.

use redis::AsyncCommands;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nodes = std::env::args().skip(1).collect::<Vec<_>>();
    let nodes = if nodes.is_empty() {
        ["redis://127.0.0.1:7101", "redis://127.0.0.1:7102", "redis://127.0.0.1:7103"]
            .map(String::from)
            .to_vec()
    } else {
        nodes
    };
    let mut store = anarchoredis::Client::builder().nodes(nodes).connect().await?;

    let _: () = store.set("greeting", "hello").await?;
    let visits: u64 = store.incr("visits", 1).await?;
    let greeting: String = store.get("greeting").await?;
    println!("{greeting}, visit number {visits}");
    Ok(())
}
