//! INFO: what tools and test suites read, with values that are true here.

use super::anarcho::seat_words;
use crate::proxy::dialogue::{Dialogue, Step};
use crate::proxy::request::Request;
use crate::proxy::shared::Shared;
use redis::Value;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The program.
    Server,
    /// Who is connected.
    Clients,
    /// What the proxy itself takes.
    Memory,
    /// Nothing is kept here.
    Persistence,
    /// Counters.
    Stats,
    /// Nobody replicates from here in Redis' way.
    Replication,
    /// Processor time.
    Cpu,
    /// None.
    Modules,
    /// By command.
    Commandstats,
    /// By error code.
    Errorstats,
    /// By command.
    Latencystats,
    /// Off.
    Cluster,
    /// How many keys.
    Keyspace,
    /// Nodes and repairs.
    Anarcho,
}

use Section::*;

const ALL: [(&str, Section); 14] = [
    ("server", Server),
    ("clients", Clients),
    ("memory", Memory),
    ("persistence", Persistence),
    ("stats", Stats),
    ("replication", Replication),
    ("cpu", Cpu),
    ("modules", Modules),
    ("commandstats", Commandstats),
    ("errorstats", Errorstats),
    ("latencystats", Latencystats),
    ("cluster", Cluster),
    ("keyspace", Keyspace),
    ("anarcho", Anarcho),
];

/// INFO is asked often, and must not keep nodes busy with counting.
const COUNTING: Duration = Duration::from_millis(200);

/// INFO [section ...]
pub fn answer(with: &mut Dialogue, request: &Request) -> Step {
    let words = request.words();
    let wanted: Vec<String> =
        words[1..].iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
    let has = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let whole = has("all") || has("everything");
    let usual = wanted.is_empty() || has("default");
    let sections: Vec<Section> = ALL
        .iter()
        .filter(|(name, section)| {
            whole || has(name) || (usual && !matches!(section, Commandstats | Latencystats))
        })
        .map(|(_, section)| *section)
        .collect();
    let shared = Arc::clone(&with.shared);
    Step::Alone(Box::pin(async move {
        let keys = if sections.contains(&Keyspace) { keys(&shared).await } else { None };
        Value::BulkString(text(&shared, &sections, keys).into_bytes())
    }))
}

/// How many keys there are, where the store can tell, and soon.
async fn keys(shared: &Shared) -> Option<i64> {
    if !shared.has_quorum() {
        return None;
    }
    match tokio::time::timeout(COUNTING, shared.client.run(&[b"DBSIZE"])).await {
        Ok(Ok(Value::Int(keys))) => Some(keys),
        _ => None,
    }
}

/// The text of these sections.
pub fn text(shared: &Shared, sections: &[Section], keys: Option<i64>) -> String {
    let mut text = String::new();
    for section in sections {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {section:?}\r\n");
        match section {
            Server => server(&mut text, shared),
            Clients => clients(&mut text, shared),
            Memory => memory(&mut text),
            Persistence => text.push_str("loading:0\r\nasync_loading:0\r\naof_enabled:0\r\nrdb_bgsave_in_progress:0\r\naof_rewrite_in_progress:0\r\n"),
            Stats => stats(&mut text, shared),
            Replication => {
                let _ = write!(text, "role:master\r\nconnected_slaves:0\r\nmaster_replid:{}\r\nmaster_repl_offset:0\r\n", shared.run_id);
            }
            Cpu => cpu(&mut text),
            Modules => {}
            Commandstats => text.push_str(&shared.stats.command_lines()),
            Errorstats => text.push_str(&shared.stats.error_lines()),
            Latencystats => text.push_str(&shared.stats.latency_lines()),
            Cluster => text.push_str("cluster_enabled:0\r\n"),
            Keyspace => {
                if let Some(keys) = keys.filter(|keys| *keys > 0) {
                    let _ = write!(text, "db0:keys={keys}\r\n");
                }
            }
            Anarcho => anarcho(&mut text, shared),
        }
    }
    text
}

fn server(text: &mut String, shared: &Shared) {
    let uptime = shared.started.elapsed().as_secs();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let address = shared.settings.listen.first().or(shared.settings.listen_tls.first());
    let port = address.and_then(|address| address.rsplit_once(':')).map_or("0", |(_, port)| port);
    let _ = write!(
        text,
        "redis_version:{}\r\nredis_mode:standalone\r\nos:{} {}\r\narch_bits:{}\r\nmultiplexing_api:tokio\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{port}\r\nserver_time_usec:{}\r\nuptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\nanarchoredis_version:{}\r\n",
        shared.version(),
        std::env::consts::OS,
        std::env::consts::ARCH,
        usize::BITS,
        std::process::id(),
        shared.run_id,
        since.as_micros(),
        uptime / 86_400,
        env!("CARGO_PKG_VERSION"),
    );
}

fn clients(text: &mut String, shared: &Shared) {
    let _ = write!(
        text,
        "connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:{}\r\ntracking_clients:0\r\n",
        shared.clients.len(),
        shared.settings.max_clients,
        shared.stats.blocked.load(Ordering::Relaxed),
    );
}

/// What the system says of this process, in kB; Linux only.
fn own_memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kb| kb.parse().ok());
        kilobytes.unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn memory(text: &mut String) {
    let (now, most) = own_memory();
    let _ = write!(
        text,
        "used_memory:{}\r\nused_memory_human:{:.2}M\r\nused_memory_rss:{}\r\nused_memory_peak:{}\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nmem_fragmentation_ratio:1.00\r\n",
        now * 1024,
        now as f64 / 1024.0,
        now * 1024,
        most * 1024,
    );
}

fn stats(text: &mut String, shared: &Shared) {
    let stats = &shared.stats;
    let counters = [
        ("total_connections_received", &stats.connections),
        ("total_commands_processed", &stats.requests),
        ("total_net_input_bytes", &stats.input),
        ("total_net_output_bytes", &stats.output),
        ("rejected_connections", &stats.rejected),
        ("total_error_replies", &stats.failures),
    ];
    for (name, counter) in counters {
        let _ = write!(text, "{name}:{}\r\n", counter.load(Ordering::Relaxed));
    }
}

/// User and system time, in the system's ticks of a hundredth of a second; Linux only.
fn cpu(text: &mut String) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let seconds = |place: usize| -> f64 {
        fields.get(place).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / 100.0
    };
    let _ = write!(text, "used_cpu_sys:{:.6}\r\nused_cpu_user:{:.6}\r\n", seconds(12), seconds(11));
}

fn anarcho(text: &mut String, shared: &Shared) {
    let repairs = shared.client.repairs();
    let _ = write!(
        text,
        "nodes:{}\r\nvoters:{}\r\nmajority:{}\r\nconsistency:{:?}\r\n",
        shared.client.nodes().len(),
        shared.voters(),
        shared.majority(),
        shared.client.consistency(),
    );
    for (place, node) in shared.client.nodes().iter().enumerate() {
        let (seat, reason) = seat_words(&node.seat);
        let reason = reason.replace(['\r', '\n', ','], " ");
        let _ = write!(text, "node{place}:address={},seat={seat},reason={reason}\r\n", node.address);
    }
    let counts = [
        ("requested", repairs.requested),
        ("done", repairs.done),
        ("failed", repairs.failed),
        ("overflowed", repairs.overflowed),
        ("waiting", repairs.waiting),
    ];
    for (name, count) in counts {
        let _ = write!(text, "repairs_{name}:{count}\r\n");
    }
}
