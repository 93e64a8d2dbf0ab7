//! What the proxy costs: next to one plain server, to the Rust client on the same nodes, with a node down, and with many idle clients.
//!
//! ```text
//!   cargo bench --bench proxy -- [SECONDS of each measure, 2 if not given]
//! ```
//!
//! 50 clients send P commands each (`redis-benchmark -c 50 -P P`), read their replies, and send the next P. The proxy is the program
//! itself, in a process of its own, so its processor time and memory are its own too.

#[path = "../tests/harness/mod.rs"]
mod harness;

use anarchoredis::Client;
use futures_util::future::join_all;
use harness::{Nodes, Port, Server, Version};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLIENTS: usize = 50;
const KEYS: usize = 10_000;
const IDLE: usize = 10_000;
const VALUE: [u8; 100] = [b'x'; 100];

struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    async fn start(nodes: &Nodes, port: &Port) -> Proxy {
        let address = local(port.number());
        let mut command = Command::new(env!("CARGO_BIN_EXE_anarcho-proxy"));
        command.args(["--listen", &address.to_string(), "--node", &nodes.urls().join(",")]);
        command.args(["--max-clients", "20000"]);
        let child = command.stderr(Stdio::null()).spawn().expect("the proxy starts");
        let proxy = Proxy { child, address };
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy
    }

    /// Seconds of processor time, in the system's ticks of a hundredth.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |place: usize| fields[place].parse::<f64>().expect("ticks");
        (ticks(11) + ticks(12)) / 100.0
    }

    fn resident_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Operations a second, and how long a batch of P took at most in 50 and 99 of 100 cases.
struct Measured {
    rate: f64,
    half: Duration,
    most: Duration,
}

impl Measured {
    fn of(mut times: Vec<Duration>, operations: usize, took: Duration) -> Measured {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Measured { rate: operations as f64 / took.as_secs_f64(), half: at(0.5), most: at(0.99) }
    }

    fn print(&self, title: &str, rest: &str) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "  {title:<38} {:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   {rest}",
            self.rate,
            ms(self.half),
            ms(self.most)
        );
    }
}

fn request(name: &str, key: usize) -> Vec<u8> {
    let key = format!("key:{:05}", key % KEYS);
    let head = format!("${}\r\n{name}\r\n${}\r\n{key}\r\n", name.len(), key.len());
    match name {
        "SET" => [b"*3\r\n", head.as_bytes(), b"$100\r\n", &VALUE, b"\r\n"].concat(),
        _ => [b"*2\r\n", head.as_bytes()].concat(),
    }
}

/// The bytes of one reply: `+OK`, or 100 bytes.
fn reply_bytes(name: &str) -> usize {
    if name == "SET" { 5 } else { 6 + 100 + 2 }
}

/// Sends the same to all these servers, and goes on when all have answered.
async fn client(
    addresses: Vec<SocketAddr>,
    name: &str,
    pipeline: usize,
    number: usize,
    until: Instant,
) -> Vec<Duration> {
    let mut streams = Vec::new();
    for address in addresses {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        streams.push(stream);
    }
    let mut reply = vec![0; reply_bytes(name) * pipeline];
    let (mut times, mut key) = (Vec::new(), number * 7919);
    while Instant::now() < until {
        let requests: Vec<u8> = (0..pipeline)
            .flat_map(|_| {
                key += 1;
                request(name, key)
            })
            .collect();
        let began = Instant::now();
        for stream in &mut streams {
            stream.write_all(&requests).await.expect("sending");
        }
        for stream in &mut streams {
            stream.read_exact(&mut reply).await.expect("replies");
            assert!(reply[0] != b'-', "{}", String::from_utf8_lossy(&reply));
        }
        times.push(began.elapsed());
    }
    times
}

async fn over_sockets(
    addresses: &[SocketAddr],
    name: &'static str,
    pipeline: usize,
    length: Duration,
) -> Measured {
    let began = Instant::now();
    let tasks = (0..CLIENTS)
        .map(|number| tokio::spawn(client(addresses.to_vec(), name, pipeline, number, began + length)));
    let times: Vec<Duration> =
        join_all(tasks).await.into_iter().flat_map(|times| times.expect("a client")).collect();
    let operations = times.len() * pipeline;
    Measured::of(times, operations, began.elapsed())
}

/// The same number of operations at a time on the client itself.
async fn in_rust(store: &Client, name: &'static str, pipeline: usize, length: Duration) -> Measured {
    let began = Instant::now();
    let tasks = (0..CLIENTS * pipeline).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut times, mut key) = (Vec::new(), number * 7919);
            while began.elapsed() < length {
                key += 1;
                let text = format!("key:{:05}", key % KEYS);
                let words = [name.as_bytes(), text.as_bytes(), &VALUE];
                let began = Instant::now();
                store.run(&words[..if name == "SET" { 3 } else { 2 }]).await.expect(name);
                times.push(began.elapsed());
            }
            times
        })
    });
    let times: Vec<Duration> =
        join_all(tasks).await.into_iter().flat_map(|times| times.expect("a task")).collect();
    let operations = times.len();
    Measured::of(times, operations, began.elapsed())
}

async fn idle_clients(proxy: &Proxy) {
    let before = proxy.resident_kib();
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut stream =
            TcpStream::connect(proxy.address).await.expect("a connection; is `ulimit -n` high enough?");
        stream.write_all(b"PING\r\n").await.expect("sending");
        stream.read_exact(&mut [0; 7]).await.expect("PONG");
        idle.push(stream);
    }
    let each = (proxy.resident_kib() - before) / IDLE as f64;
    println!("  {IDLE} idle clients: {each:.1} KiB each");
}

/// The program of that name says the same of itself, where it is installed.
fn redis_benchmark(address: SocketAddr, pipeline: &str, title: &str) {
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &address.port().to_string(), "-c", "50", "-P", pipeline, "-d", "100", "-r", "10000"]);
    let Ok(done) = command.args(["-t", "set,get", "-n", "50000", "--csv"]).stderr(Stdio::null()).output()
    else {
        return println!("  redis-benchmark is not installed");
    };
    let told = String::from_utf8_lossy(&done.stdout).replace('"', "");
    for line in told.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        println!(
            "  redis-benchmark -c 50 -P {pipeline}: {title}, {}: {}/s, p50 {} ms, p99 {} ms",
            fields[0], fields[1], fields[4], fields[6]
        );
    }
}

fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls on a struct of ours; the child inherits the limit.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

fn main() {
    raise_file_limit();
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok()).unwrap_or(2.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(Duration::from_secs_f64(seconds)));
}

async fn run(length: Duration) {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::Any))).await;
    let plain = Nodes::with((0..3).map(|_| Server::with(Version::Any))).await;
    let three: Vec<SocketAddr> = plain.iter().map(|server| local(server.port())).collect();
    let one = &three[..1];
    let store = Client::builder().nodes(nodes.urls()).connect().await.expect("a store");
    let port = Port::any();
    let proxy = Proxy::start(&nodes, &port).await;
    for address in three.iter().copied().chain([proxy.address]) {
        // Every key is there before it is read.
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        for key in 0..KEYS {
            stream.write_all(&request("SET", key)).await.expect("sending");
            stream.read_exact(&mut [0; 5]).await.expect("OK");
        }
    }
    for pipeline in [1, 16] {
        for name in ["SET", "GET"] {
            println!("{name}, {CLIENTS} clients, -P {pipeline}");
            let bare = over_sockets(one, name, pipeline, length).await;
            bare.print("one plain server", "");
            let fan_out = over_sockets(&three, name, pipeline, length).await;
            fan_out.print("three plain servers, waiting for all", "");
            let rust = in_rust(&store, name, pipeline, length).await;
            rust.print("the Rust client, as many at a time", "");
            let before = proxy.processor();
            let through = over_sockets(&[proxy.address], name, pipeline, length).await;
            let each = (proxy.processor() - before) / (through.rate * length.as_secs_f64()) * 1e6;
            let [of_rust, of_fan_out, of_bare] =
                [&rust, &fan_out, &bare].map(|other| through.rate / other.rate);
            through.print(
                "the proxy",
                &format!(
                    "{of_rust:.2} of the Rust client, {of_fan_out:.2} of the fan-out, {of_bare:.2} of one server; {each:.0} µs of the proxy's processor each"
                ),
            );
        }
    }
    for pipeline in ["1", "16"] {
        redis_benchmark(one[0], pipeline, "one plain server");
        redis_benchmark(proxy.address, pipeline, "the proxy");
    }
    idle_clients(&proxy).await;
    nodes[2].kill();
    for name in ["SET", "GET"] {
        over_sockets(&[proxy.address], name, 1, length)
            .await
            .print(&format!("{name} with one node down"), "");
    }
}
