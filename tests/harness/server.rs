//! One real server and its life.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::port::Port;
use super::process::Process;
use super::{Disk, Setup, Snapshot, Version};

/// How long a server may take to start or to stop; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A redis-server on 127.0.0.1 with a folder of its own. All methods take `&self`, so that a task that causes faults can
/// share it with those that suffer them.
pub struct Server {
    setup: Setup,
    port: Port,
    /// Unmounted before the folder is removed.
    disk: Option<Disk>,
    folder: TempDir,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts an empty server that persists nothing, and waits until it answers.
    pub async fn start(version: Version) -> Server {
        Server::with(version).start().await
    }

    /// A server to be started with options.
    pub fn with(version: Version) -> Setup {
        Setup::new(version)
    }

    pub(super) async fn from_setup(setup: Setup) -> Server {
        let port = match setup.port {
            Some(number) => Port::reserve(number).unwrap_or_else(|| panic!("port {number} is in use")),
            None => Port::any(),
        };
        let folder = tempfile::Builder::new().prefix("anarcho-node-").tempdir().expect("a temporary folder");
        let disk = if setup.own_disk { Disk::mount(folder.path()) } else { None };
        let server = Server { setup, port, disk, folder, process: Mutex::new(None) };
        server.launch(false).await;
        server
    }

    pub fn version(&self) -> Version {
        self.setup.version
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process id, which changes with every restart; `None` when it is down.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its own file system, where it was asked for and this process may mount one.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// `redis://127.0.0.1:PORT/`, with the password if there is one.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The same server as [`url`](Server::url), reached through another port, such as a link's.
    pub fn url_at(&self, port: u16) -> String {
        match &self.setup.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}/"),
            None => format!("redis://127.0.0.1:{port}/"),
        }
    }

    /// SIGKILL: no goodbye, nothing flushed. Returns when the process is gone.
    pub fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill();
        }
    }

    /// SIGTERM, as a service manager stops it: saves only what it was told to save. Returns when the process is gone.
    pub async fn stop(&self) {
        let Some(mut process) = self.process().take() else {
            return;
        };
        process.terminate();
        let deadline = Instant::now() + PATIENCE;
        while !process.has_exited() {
            assert!(Instant::now() < deadline, "the server does not stop:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGSTOP: connections stay open and nothing is answered. Returns when it has stopped.
    pub fn pause(&self) {
        self.process().as_mut().expect("a running server to pause").pause();
    }

    /// SIGCONT: what has arrived meanwhile is worked off.
    pub fn resume(&self) {
        if let Some(process) = self.process().as_mut() {
            process.resume();
        }
    }

    /// Starts it again on the same port with the data it has: a running server saves first; one that was killed comes back
    /// with what its append-only file or its last save holds, which without either is nothing.
    pub async fn restart(&self) {
        let saved = self.pid().is_some() && !self.setup.is_appending();
        if saved {
            self.resume();
            self.save().await;
        }
        self.stop().await;
        self.launch(false).await;
        if !self.saves() {
            // Or a later kill and restart would bring this old state back.
            self.remove("dump.rdb");
        }
    }

    /// Kills it and starts it on the same port with nothing.
    pub async fn restart_empty(&self) {
        self.kill();
        self.remove_data();
        self.launch(false).await;
    }

    /// Kills it and starts it on the same port with the data of `snapshot`, as an operator who restores a backup.
    pub async fn restart_from_rdb(&self, snapshot: &Snapshot) {
        self.kill();
        self.remove_data();
        fs::write(self.folder().join("dump.rdb"), snapshot.bytes()).expect("writing the snapshot");
        self.launch(true).await;
        if self.setup.is_appending() {
            self.run::<()>(&["CONFIG", "SET", "appendonly", "yes"]).await.expect("CONFIG SET appendonly yes");
            self.until_rewritten().await;
        }
        self.remove("dump.rdb");
    }

    /// What the server has written to its log, over all its restarts.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder().join("redis.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Does it save by itself?
    pub(super) fn saves(&self) -> bool {
        self.setup.has("save")
    }

    pub(super) fn remove(&self, name: &str) {
        let path = self.folder().join(name);
        // Most of the time it is not there at all.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }

    fn remove_data(&self) {
        for name in ["dump.rdb", "appendonly.aof", "appendonlydir"] {
            self.remove(name);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("nothing panics under this lock")
    }

    async fn launch(&self, loading_rdb: bool) {
        let conf = self.setup.redis_conf(self.port(), self.folder(), loading_rdb);
        fs::write(self.folder().join("redis.conf"), conf).expect("writing redis.conf");
        let log =
            File::options().create(true).append(true).open(self.folder().join("redis.log")).expect("a log");
        let mut command = Command::new(self.version().program());
        command
            .arg("redis.conf")
            .envs(self.setup.environment.iter().cloned())
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a second handle of the log"))
            .stdout(log);
        let process = Process::spawn(command).expect("starting the server");
        *self.process() = Some(process);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers_ping().await {
            let exited = self.process().as_mut().is_none_or(Process::has_exited);
            assert!(!exited, "the server {} did not start:\n{}", self.version(), self.log());
            assert!(Instant::now() < deadline, "the server does not answer:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// A server that asks for a password has started as well; one that is loading has not.
    async fn answers_ping(&self) -> bool {
        let ping = async {
            let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()))).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        match tokio::time::timeout(Duration::from_secs(1), ping).await {
            Ok(Ok(answer)) => matches!(&answer, b"+PONG\r\n" | b"-NOAUTH" | b"-NOPERM"),
            _ => false,
        }
    }
}
