//! `make run`: three local nodes, a healer and a proxy before them to play with, until Ctrl-C.
//!
//! They are plain redis-servers. Each writes every change to its disk before it answers, so after a restart it still knows
//! all that it has promised, and votes again at once.

use anarchoredis::heal;
use anarchoredis::proxy::{Proxy, Settings};
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::Process;

#[allow(dead_code)]
#[path = "../tests/harness/process.rs"]
mod process;

const NODES: u16 = 3;
const FIRST_PORT: u16 = 7101;
const LAST_PORT: u16 = 7999;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a node that was killed stays away.
const AWAY: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);

/// One running server.
struct Node {
    port: u16,
    folder: PathBuf,
    process: Process,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ports = free_ports().ok_or("no three free ports between 7101 and 7999")?;
    let mut nodes = Vec::new();
    for port in ports {
        nodes.push(Node::start(port)?);
    }
    for node in &mut nodes {
        node.wait_until_it_answers().await?;
    }
    let proxy = start_proxy(&nodes).await?;
    let healer = proxy.shared().client.healer().run(heal::Settings::default());
    greet(&nodes, &proxy);
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked?,
        failed = keep_running(&mut nodes) => failed?,
    }
    println!("\nstopping the nodes");
    healer.stop().await;
    proxy.close().await;
    stop(&mut nodes).await;
    Ok(())
}

/// The first three neighbouring ports that nobody listens on, and with them the data that lies in folders of their names.
fn free_ports() -> Option<std::ops::Range<u16>> {
    let mut starts = (FIRST_PORT..=LAST_PORT - NODES).step_by(usize::from(NODES));
    let is_free = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let start = starts.find(|start| (*start..start + NODES).all(is_free))?;
    Some(start..start + NODES)
}

fn data_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).join("nodes")
}

impl Node {
    fn start(port: u16) -> Result<Node, Box<dyn Error>> {
        let folder = data_folder().join(port.to_string());
        fs::create_dir_all(&folder)?;
        let program = std::env::var_os("ANARCHO_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let log = File::create(folder.join("redis.log"))?;
        let mut command = Command::new(&program);
        command.current_dir(&folder).stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        // Out of the terminal's reach: Ctrl-C is for this program, which then ends them in good order.
        command.process_group(0);
        let process = Process::spawn(command).map_err(|error| {
            format!("cannot start {}: {error}; use `make run`", program.to_string_lossy())
        })?;
        Ok(Node { port, folder, process })
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        while !self.answers() {
            if self.process.has_exited() || started.elapsed() > PATIENCE {
                let log = self.folder.join("redis.log");
                return Err(
                    format!("the node on port {} did not start; see {}", self.port, log.display()).into()
                );
            }
            tokio::time::sleep(POLL / 10).await;
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let ping = || -> io::Result<[u8; 5]> {
            use io::{Read, Write};
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect_timeout(&address, POLL)?;
            stream.set_read_timeout(Some(POLL))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ping().is_ok_and(|answer| &answer == b"+PONG")
    }
}

fn urls(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| format!("redis://127.0.0.1:{}", node.port)).collect()
}

/// On port 6380, where that is free.
async fn start_proxy(nodes: &[Node]) -> Result<Proxy, Box<dyn Error>> {
    let client = anarchoredis::Client::builder().nodes(urls(nodes)).connect().await?;
    let on = |address: &str| Settings { listen: vec![address.to_owned()], ..Settings::default() };
    match Proxy::start(client.clone(), on("127.0.0.1:6380")).await {
        Ok(proxy) => Ok(proxy),
        Err(_) => Ok(Proxy::start(client, on("127.0.0.1:0")).await?),
    }
}

fn greet(nodes: &[Node], proxy: &Proxy) {
    let urls = urls(nodes);
    let first = &nodes[0];
    // The example knows the usual ports by itself.
    let list = if first.port == FIRST_PORT { String::new() } else { format!(" -- {}", urls.join(" ")) };
    println!("three nodes are running, with a healer that keeps them identical:\n");
    for (node, url) in nodes.iter().zip(&urls) {
        println!("  {url}   process {}", node.process.id());
    }
    println!("\nuse them as one store, with any Redis client:");
    if let Some(address) = proxy.addresses().first() {
        println!("  redis-cli -p {}", address.port());
    }
    println!("or from Rust:");
    println!("  cargo run --example quickstart{list}");
    println!("\nlook at one node, behind the store's back (its values are plain Redis values):");
    println!("  redis-cli -p {} GET greeting", first.port);
    println!("  redis-cli -p {} HGETALL 'anrcho_version:{{greeting}}'", first.port);
    println!(
        "\nkill -9 one of them and go on: it is started again after {} s, and votes again",
        AWAY.as_secs()
    );
    println!("or empty one, with redis-cli -p {} FLUSHALL: the healer fills it", first.port);
    println!("Ctrl-C ends them; their data stays in {} for the next time", data_folder().display());
}

/// Starts again whatever ends, after a while in which one can watch the store go on without it.
async fn keep_running(nodes: &mut [Node]) -> Result<(), Box<dyn Error>> {
    loop {
        tokio::time::sleep(POLL).await;
        for node in nodes.iter_mut() {
            if node.process.has_exited() {
                let port = node.port;
                println!("the node on port {port} ended; it is started again in {} s", AWAY.as_secs());
                tokio::time::sleep(AWAY).await;
                *node = Node::start(port)?;
                println!("the node on port {port} is back, as process {}", node.process.id());
            }
        }
    }
}

async fn stop(nodes: &mut [Node]) {
    nodes.iter_mut().for_each(|node| node.process.terminate());
    let asked = Instant::now();
    while nodes.iter_mut().any(|node| !node.process.has_exited()) && asked.elapsed() < PATIENCE {
        tokio::time::sleep(POLL / 10).await;
    }
    // Whoever is still there is killed when it is dropped.
}
