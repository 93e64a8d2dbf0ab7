//! What an operation costs the client: allocations, bytes, calls to a node, and processor time; instructions by valgrind.
//!
//! ```text
//!   cargo bench --bench client -- set 20000 64 2                  operations, tasks, threads
//!   valgrind --tool=callgrind --toggle-collect='client::measured*' target/release/deps/client-... set 3000 64 1
//! ```
//!
//! With one thread callgrind's count is the client's and the runtime's own, and hardly changes from run to run. `set-bare` and `get-bare` are the same commands by
//! a script that only runs them, sent to the same servers over the same kind of connections: what redis-rs costs by itself.

#[path = "../tests/harness/mod.rs"]
mod harness;

use anarchoredis::Client;
use futures_util::future::join_all;
use harness::{Nodes, Server, Version};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, RedisResult, Value};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const KEYS: usize = 1_000;
const VALUE: [u8; 100] = [b'x'; 100];
const BARE: &str = "return redis.call(unpack(ARGV))";

#[global_allocator]
static COUNTED: Counted = Counted;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, and how often it was asked.
struct Counted;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

/// What has been used so far.
struct Used {
    allocations: u64,
    bytes: u64,
    processor: Duration,
    at: Instant,
}

impl Used {
    fn now() -> Used {
        let (allocations, bytes) = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        // SAFETY: the structure is plain data, and the call fills it.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        let time = |time: libc::timeval| {
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_usec * 1_000).unwrap_or_default())
        };
        Used {
            allocations,
            bytes,
            processor: time(usage.ru_utime) + time(usage.ru_stime),
            at: Instant::now(),
        }
    }
}

/// Who does the operations of one task.
#[derive(Clone)]
enum Way {
    Ours(Client),
    Bare(Vec<MultiplexedConnection>, String),
}

impl Way {
    async fn run(&mut self, words: &[&[u8]]) -> RedisResult<()> {
        match self {
            Way::Ours(client) => command(words).query_async(client).await,
            Way::Bare(connections, sha) => {
                let mut call = redis::cmd("EVALSHA");
                call.arg(sha.as_str()).arg(1).arg(words[1]);
                words.iter().for_each(|word| {
                    call.arg(*word);
                });
                let calls = connections.iter_mut().map(|connection| connection.req_packed_command(&call));
                join_all(calls).await.into_iter().try_for_each(|reply: RedisResult<Value>| reply.map(drop))
            }
        }
    }
}

fn command(words: &[&[u8]]) -> Cmd {
    let mut cmd = Cmd::new();
    words.iter().for_each(|word| {
        cmd.arg(*word);
    });
    cmd
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let word = |place: usize, other: &str| arguments.get(place).cloned().unwrap_or_else(|| other.to_owned());
    let (what, ops, tasks) = (word(0, "set"), word(1, "20000"), word(2, "64"));
    let (ops, tasks): (usize, usize) = (ops.parse().expect("a number"), tasks.parse().expect("a number"));
    let runtime = match word(3, "1").parse().expect("a number") {
        0 | 1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let runtime = runtime.expect("a runtime");
    let (nodes, way) = runtime.block_on(start(what.ends_with("-bare")));
    let writes = what.starts_with("set");
    runtime.block_on(all(&way, true, KEYS, tasks));
    runtime.block_on(nodes.reset_calls());
    let before = Used::now();
    measured(&runtime, &way, writes, ops, tasks);
    let after = Used::now();
    let calls = runtime.block_on(nodes.round_trips());
    let each = |total: f64| total / ops as f64;
    println!(
        "{what}, {ops} operations by {tasks} tasks, of each: {:.1} allocations, {:.0} bytes, {:.2} µs of processor time, {:.2} µs in all; calls to each node: {calls:?}",
        each((after.allocations - before.allocations) as f64),
        each((after.bytes - before.bytes) as f64),
        each((after.processor - before.processor).as_secs_f64() * 1e6),
        each((after.at - before.at).as_secs_f64() * 1e6),
    );
}

async fn start(bare: bool) -> (Nodes, Way) {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0))).await;
    if !bare {
        let client = Client::builder().nodes(nodes.urls()).connect().await;
        return (nodes, Way::Ours(client.expect("three fresh nodes make a store")));
    }
    let (mut connections, mut sha) = (Vec::new(), String::new());
    for node in nodes.iter() {
        let mut connection = node.connection().await;
        sha =
            redis::cmd("SCRIPT").arg("LOAD").arg(BARE).query_async(&mut connection).await.expect("it loads");
        connections.push(connection);
    }
    (nodes, Way::Bare(connections, sha))
}

/// Its name is what callgrind is told to count.
#[inline(never)]
fn measured(runtime: &Runtime, way: &Way, writes: bool, ops: usize, tasks: usize) {
    runtime.block_on(all(way, writes, ops, tasks));
}

async fn all(way: &Way, writes: bool, ops: usize, tasks: usize) {
    let workers = (0..tasks).map(|first| {
        let mut way = way.clone();
        tokio::spawn(async move {
            for number in (first..ops).step_by(tasks) {
                let key = format!("key:{:06}", number % KEYS);
                let set: [&[u8]; 3] = [b"SET", key.as_bytes(), &VALUE];
                let words: &[&[u8]] = if writes { &set } else { &[b"GET", key.as_bytes()] };
                way.run(words).await.expect("an operation of a healthy store");
            }
        })
    });
    join_all(workers).await.into_iter().for_each(|ended| ended.expect("no worker panics"));
}
