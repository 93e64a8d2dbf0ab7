//! Three nodes of etcd, where there is an etcd.

use crate::contender::Etcd;
use crate::harness::{Port, Process, eventually};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

/// How long a leader may take to be elected on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// All tasks share one connection: with 4 and with 16 it was slower.
const CONNECTIONS: usize = 1;

pub struct EtcdServers {
    program: PathBuf,
    folder: TempDir,
    ports: Vec<(Port, Port)>,
    processes: Vec<Mutex<Option<Process>>>,
}

impl EtcdServers {
    /// Starts three that keep their data in this folder, and waits for their leader. The error says why there are none.
    pub async fn start(folder: &Path) -> Result<EtcdServers, String> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("anarcho-etcd-").tempdir_in(folder);
        let folder = folder.map_err(|error| error.to_string())?;
        let ports: Vec<_> = (0..3).map(|_| (Port::any(), Port::any())).collect();
        let processes = ports.iter().map(|_| Mutex::new(None)).collect();
        let servers = EtcdServers { program, folder, ports, processes };
        (0..3).for_each(|place| servers.launch(place));
        servers.until_led().await;
        Ok(servers)
    }

    pub fn version() -> Option<String> {
        let output = Command::new(program().ok()?).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.lines().next()?.replace("etcd Version:", "etcd"))
    }

    /// The ids of those that run.
    pub fn pids(&self) -> Vec<u32> {
        let id = |process: &Mutex<Option<Process>>| process.lock().ok()?.as_ref().map(Process::id);
        self.processes.iter().filter_map(id).collect()
    }

    /// Which one leads.
    pub async fn leader(&self) -> usize {
        self.until_led().await;
        for place in 0..3 {
            if self.leads(place).await == Some(true) {
                return place;
            }
        }
        panic!("etcd had a leader a moment ago");
    }

    pub async fn connect(&self, place: usize) -> Etcd {
        let port = self.ports[place].0.number();
        Etcd::connect(port, CONNECTIONS).await.expect("a node of etcd that runs")
    }

    pub fn kill(&self, place: usize) {
        *self.processes[place].lock().expect("nothing panics under this lock") = None;
    }

    /// With its data, and waits until all three have the same leader.
    pub async fn restart(&self, place: usize) {
        self.kill(place);
        self.launch(place);
        self.until_led().await;
    }

    async fn leads(&self, place: usize) -> Option<bool> {
        let etcd = Etcd::connect(self.ports[place].0.number(), 1).await.ok()?;
        etcd.leads().await.ok()?
    }

    async fn until_led(&self) {
        eventually("all nodes of etcd know one leader", PATIENCE, async || {
            let mut leaders = 0;
            for place in 0..3 {
                match self.leads(place).await {
                    Some(leads) => leaders += usize::from(leads),
                    None => return false,
                }
            }
            leaders == 1
        })
        .await;
    }

    fn launch(&self, place: usize) {
        let peer = |place: usize| format!("http://127.0.0.1:{}", self.ports[place].1.number());
        let client = format!("http://127.0.0.1:{}", self.ports[place].0.number());
        let all: Vec<String> = (0..3).map(|place| format!("n{place}={}", peer(place))).collect();
        let log = File::options().create(true).append(true).open(self.folder.path().join("etcd.log"));
        let mut command = Command::new(&self.program);
        command
            .args(["--name", &format!("n{place}"), "--initial-cluster", &all.join(",")])
            .args(["--initial-cluster-state", "new", "--logger", "zap", "--log-level", "error"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer(place), "--initial-advertise-peer-urls", &peer(place)])
            .arg("--data-dir")
            .arg(self.folder.path().join(format!("n{place}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log for etcd"));
        let process = Process::spawn(command).expect("starting etcd");
        *self.processes[place].lock().expect("nothing panics under this lock") = Some(process);
    }
}

fn program() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/get-etcd");
    let output = Command::new(script).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(format!(
            "there is no etcd: {}",
            said.lines().last().unwrap_or("scripts/get-etcd failed")
        ));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
