//! What can happen to one node, from its beginning to its end.

use std::fs;
use std::time::Duration;

use super::site::{Node, Persistence, Site};
use crate::harness::{Link, Server};
pub use crate::workload::CUTS;
use crate::workload::Rng;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Kill,
    Hang,
    Cut,
    Slow,
    Empty,
    Old,
    Torn,
    Memory,
    Disk,
    Flush,
    ScriptFlush,
    ClockWithin,
    ClockBeyond,
    Close,
}

/// What happens how often.
const WEIGHTS: [(Kind, u64); 14] = [
    (Kind::Kill, 3),
    (Kind::Hang, 3),
    (Kind::Cut, 5),
    (Kind::Slow, 2),
    (Kind::Empty, 2),
    (Kind::Old, 2),
    (Kind::Torn, 2),
    (Kind::Memory, 2),
    (Kind::Disk, 2),
    (Kind::Flush, 2),
    (Kind::ScriptFlush, 1),
    (Kind::ClockWithin, 2),
    (Kind::ClockBeyond, 1),
    (Kind::Close, 1),
];

impl Kind {
    /// One that servers of this persistence can suffer.
    pub fn any(rng: &mut Rng, persistence: Persistence) -> Kind {
        loop {
            let mut place = rng.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
            let chosen = WEIGHTS.iter().find(|(_, weight)| {
                let found = place < *weight;
                place = place.saturating_sub(*weight);
                found
            });
            let (kind, _) = chosen.expect("below the sum");
            if kind.suits(persistence) {
                return *kind;
            }
        }
    }

    fn suits(self, persistence: Persistence) -> bool {
        match self {
            // A backup under a server that says it never forgets is the operator's lie: see GUARANTEES.md.
            Kind::Old => persistence != Persistence::Always,
            Kind::Torn => persistence == Persistence::Everysec,
            Kind::Disk => persistence != Persistence::None,
            _ => true,
        }
    }

    /// Does it to the node, waits, and ends it. What it was, in words.
    pub async fn inflict(self, site: &Site, node: &Node, lasts: Duration, rng: &mut Rng) -> String {
        let wait = || tokio::time::sleep(lasts);
        let server = &node.server;
        match self {
            Kind::Kill => {
                server.kill();
                wait().await;
                server.restart().await;
                "kill -9".into()
            }
            Kind::Hang => {
                server.pause();
                wait().await;
                server.resume();
                "SIGSTOP".into()
            }
            Kind::Cut => {
                let (name, cut) = CUTS[rng.place(CUTS.len())];
                let reach = 1 + rng.place(node.links.len());
                let first = rng.place(node.links.len());
                node.links.iter().cycle().skip(first).take(reach).for_each(cut);
                wait().await;
                node.links.iter().cycle().skip(first).take(reach).for_each(Link::heal);
                format!("{name}, {reach} of {} clients", node.links.len())
            }
            Kind::Slow => {
                let delay = Duration::from_millis(5 + rng.below(300));
                node.links.iter().for_each(|link| link.delay(delay));
                wait().await;
                node.links.iter().for_each(Link::heal);
                format!("slow, {} ms each way", delay.as_millis())
            }
            Kind::Empty => {
                server.kill();
                wait().await;
                server.restart_empty().await;
                "kill -9, back empty".into()
            }
            Kind::Old => {
                let old = server.snapshot_rdb().await;
                wait().await;
                server.restart_from_rdb(&old).await;
                "back from an old RDB".into()
            }
            Kind::Torn => {
                server.kill();
                let torn = tear(server, rng);
                wait().await;
                server.restart().await;
                format!("power cut: AOF less {torn} bytes")
            }
            Kind::Memory => {
                set(server, "maxmemory", "1").await;
                wait().await;
                set(server, "maxmemory", "0").await;
                "maxmemory reached".into()
            }
            Kind::Disk => disk_full(site.persistence, server, lasts).await,
            Kind::Flush => {
                let flushed = server.run::<()>(&["FLUSHALL"]).await;
                flushed.err().map_or("FLUSHALL".into(), |error| format!("FLUSHALL failed: {error}"))
            }
            Kind::ScriptFlush => {
                let _ = server.run::<()>(&["SCRIPT", "FLUSH"]).await;
                "SCRIPT FLUSH".into()
            }
            Kind::ClockWithin => clock(node, rng.below(700) as i64 - 350, lasts).await,
            Kind::ClockBeyond => {
                let ahead = rng.below(20_000) as i64 + 1_000;
                clock(node, if rng.below(2) == 0 { ahead } else { -ahead }, lasts).await
            }
            Kind::Close => {
                node.links.iter().for_each(Link::close_all);
                "connections closed".into()
            }
        }
    }
}

async fn clock(node: &Node, ahead_ms: i64, lasts: Duration) -> String {
    node.clock.set(ahead_ms);
    tokio::time::sleep(lasts).await;
    node.clock.set(0);
    format!("clock {ahead_ms:+} ms")
}

async fn set(server: &Server, name: &str, value: &str) {
    server.run::<()>(&["CONFIG", "SET", name, value]).await.expect("CONFIG SET");
}

/// The append-only file that is written to.
fn growing_file(server: &Server) -> Option<std::path::PathBuf> {
    let files = fs::read_dir(server.folder().join("appendonlydir")).ok()?;
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    paths.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max()
}

/// Takes the end off, as a power cut does that comes before the next fsync.
fn tear(server: &Server, rng: &mut Rng) -> u64 {
    let Some(path) = growing_file(server) else { return 0 };
    let file = fs::File::options().write(true).open(path).expect("the append-only file");
    let length = file.metadata().expect("its length").len();
    let torn = rng.below(64 * 1024).min(length);
    file.set_len(length - torn).expect("truncating it");
    torn
}

/// Its append-only file cannot be written any more: ENOSPC where the server has a file system of its own, else EFBIG, since no file of it
/// may grow. With `appendfsync always` the server ends itself then.
async fn disk_full(persistence: Persistence, server: &Server, lasts: Duration) -> String {
    match server.disk() {
        Some(disk) => disk.fill(),
        None => {
            let length =
                growing_file(server).and_then(|path| path.metadata().ok()).map_or(0, |data| data.len());
            limit_files(server, length);
        }
    }
    tokio::time::sleep(lasts).await;
    let refused = is_refused(server).await;
    match server.disk() {
        Some(disk) => disk.empty(),
        None => limit_files(server, libc::RLIM_INFINITY),
    }
    if persistence == Persistence::Always {
        server.kill();
        server.restart().await;
    }
    let error = if server.disk().is_some() { "ENOSPC" } else { "EFBIG" };
    if refused { format!("disk full: {error}") } else { format!("disk full: {error}: nothing was written") }
}

/// Whether the server has noticed: it says so, or has ended itself.
async fn is_refused(server: &Server) -> bool {
    let info = tokio::time::timeout(Duration::from_secs(1), server.run::<String>(&["INFO", "persistence"]));
    !info.await.is_ok_and(|info| info.is_ok_and(|info| info.contains("aof_last_write_status:ok")))
}

fn limit_files(server: &Server, bytes: u64) {
    let Some(pid) = server.pid() else { return };
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: plain system call; the process is our child, whose number nobody else has while it is not waited for.
    unsafe { libc::prlimit(pid as i32, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
}
