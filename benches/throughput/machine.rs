//! Where it runs.

use crate::etcd_servers::EtcdServers;
use crate::harness::Version;
use crate::record::Machine;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

/// How many times a write is brought to the disk to see how long that takes.
const SYNCS: usize = 50;

pub fn look() -> Machine {
    let line = |path: &str, start: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(start))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let memory = line("/proc/meminfo", "MemTotal").and_then(|text| {
        let kib: f64 = text.split_whitespace().next()?.parse().ok()?;
        Some(format!("{:.1} GiB", kib / 1024.0 / 1024.0))
    });
    let busy = fs::read_to_string("/proc/loadavg").ok();
    let busy = busy.and_then(|text| text.split_whitespace().next()?.parse().ok());
    let server = said(Command::new(Version::Any.program()).arg("--version"));
    Machine {
        processor: line("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory: memory.unwrap_or_else(unknown),
        kernel: said(Command::new("uname").arg("-sr")).unwrap_or_else(unknown),
        versions: server.into_iter().chain(EtcdServers::version()).collect(),
        commit: commit().unwrap_or_else(unknown),
        busy: busy.unwrap_or_default(),
        sync: (sync() * 10.0).round() / 10.0,
    }
}

/// Today, as `date` writes it.
pub fn day() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default()
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        said(Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments))
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // What the run itself writes does not count.
    let changed = git(&["status", "--porcelain", "--", "src", "lua", "benches", "Cargo.lock"]);
    Some(if changed.is_some_and(|files| !files.is_empty()) { format!("{commit}+") } else { commit })
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How long a small write takes to be on the disk that the servers use, in µs: the floor of all that is durable.
fn sync() -> f64 {
    let Ok(mut file) = tempfile::tempfile() else { return 0.0 };
    let times = (0..SYNCS).map(|_| {
        let began = Instant::now();
        let done = file.write_all(&[b'x'; 200]).and_then(|()| file.sync_data());
        done.map_or(0.0, |()| began.elapsed().as_secs_f64() * 1e6)
    });
    crate::record::median(times)
}
