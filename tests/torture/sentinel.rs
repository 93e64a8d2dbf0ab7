//! Redis with replicas and Sentinel, as its documentation sets it up: five servers on five hosts, three sentinels, clients that ask the
//! sentinels who the master is. All hosts are this machine; a server's outgoing connections carry its host's address (`bind-source-addr`), so
//! that what stands before each server can tell who comes, and cut hosts from each other.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, Value};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::store::{Failure, executed, failure_of, plain};
use crate::harness::{Link, Port, Process, Server, Version, eventually};
use crate::workload::PATIENCE;

pub const HOSTS: usize = 5;
/// A majority of them is with the majority of the servers.
const SENTINELS: [usize; 3] = [0, 2, 4];
const MASTER: &str = "mymaster";

/// What confirms a write to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The master's word.
    Plain,
    /// `min-replicas-to-write 2`.
    MinReplicas,
    /// `WAIT 2` behind each write.
    Wait,
}

impl Promise {
    pub fn system(self) -> &'static str {
        match self {
            Promise::Plain => "Redis + Sentinel",
            Promise::MinReplicas => "... min-replicas-to-write 2",
            Promise::Wait => "... WAIT 2",
        }
    }
}

/// A door that every host comes through by a link of its own.
struct Front {
    port: u16,
    listener: Option<TcpListener>,
    links: Arc<Vec<Link>>,
    task: Option<AbortHandle>,
}

/// All of it.
pub struct Theirs {
    pub servers: Vec<Arc<Server>>,
    fronts: Vec<Front>,
    /// Of the clients: by host, then by server.
    links: Arc<Vec<Vec<Link>>>,
    sentinels: Vec<Sentinel>,
    promise: Promise,
}

struct Sentinel {
    host: usize,
    front: Front,
    /// Of the clients, by host.
    links: Arc<Vec<Link>>,
    _process: Process,
    _folder: TempDir,
}

impl Front {
    async fn reserve() -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        Front { port, listener: Some(listener), links: Arc::default(), task: None }
    }

    /// From now on it leads to that port.
    async fn open(&mut self, target: u16) {
        let links = Arc::new(join_all((0..HOSTS).map(|_| Link::to(target))).await);
        self.links = Arc::clone(&links);
        let listener = self.listener.take().expect("opened once");
        let accepting = async move {
            while let Ok((mut from, address)) = listener.accept().await {
                let host = host_of(address.ip());
                let port = links[host].port();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        };
        self.task = Some(tokio::spawn(accepting).abort_handle());
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.iter().for_each(AbortHandle::abort);
    }
}

fn address_of(host: usize) -> String {
    format!("127.1.0.{}", host + 1)
}

fn host_of(address: std::net::IpAddr) -> usize {
    let host = (0..HOSTS).find(|host| address_of(*host) == address.to_string());
    host.unwrap_or_else(|| panic!("nobody's address: {address}"))
}

impl Theirs {
    pub async fn start(promise: Promise) -> Theirs {
        let mut fronts = Vec::new();
        let mut servers = Vec::new();
        for host in 0..HOSTS {
            let mut front = Front::reserve().await;
            let mut setup = Server::with(Version::V7_0)
                .config("bind-source-addr", &address_of(host))
                .config("replica-announce-ip", "127.0.0.1")
                .config("replica-announce-port", &front.port.to_string())
                .config("repl-diskless-sync-delay", "0")
                .config("repl-ping-replica-period", "1");
            if promise == Promise::MinReplicas {
                setup = setup.config("min-replicas-to-write", "2").config("min-replicas-max-lag", "2");
            }
            if host > 0 {
                let first: &Front = &fronts[0];
                setup = setup.config("replicaof", &format!("127.0.0.1 {}", first.port));
            }
            let server = setup.start().await;
            front.open(server.port()).await;
            servers.push(Arc::new(server));
            fronts.push(front);
        }
        let mut links = Vec::new();
        for _ in 0..HOSTS {
            links.push(join_all(servers.iter().map(|server| Link::before(server))).await);
        }
        let mut sentinels = Vec::new();
        for host in SENTINELS {
            sentinels.push(Sentinel::start(host, fronts[0].port).await);
        }
        let theirs = Theirs { servers, fronts, links: Arc::new(links), sentinels, promise };
        theirs.until_ready().await;
        theirs
    }

    /// Every sentinel knows all others and all replicas, and the replicas follow.
    async fn until_ready(&self) {
        let ready = async || {
            for sentinel in &self.sentinels {
                let Some((replicas, others)) = sentinel.knows().await else { return false };
                if replicas < HOSTS - 1 || others < SENTINELS.len() - 1 {
                    return false;
                }
            }
            let info: Result<String, _> = self.servers[0].run(&["INFO", "replication"]).await;
            info.is_ok_and(|info| info.matches("state=online").count() == HOSTS - 1)
        };
        eventually("sentinels and replicas know each other", PATIENCE, ready).await;
    }

    /// Cuts these hosts from the others, for servers, sentinels and clients.
    pub fn part(&self, side: &[usize]) {
        for (from, to, link) in self.all_links() {
            if side.contains(&from) != side.contains(&to) {
                link.cut();
            }
        }
    }

    pub fn mend(&self) {
        self.all_links().into_iter().for_each(|(_, _, link)| link.heal());
    }

    fn all_links(&self) -> Vec<(usize, usize, &Link)> {
        let mut all = Vec::new();
        for (to, front) in self.fronts.iter().enumerate() {
            all.extend(front.links.iter().enumerate().map(|(from, link)| (from, to, link)));
        }
        for sentinel in &self.sentinels {
            let to = sentinel.host;
            all.extend(sentinel.front.links.iter().enumerate().map(|(from, link)| (from, to, link)));
            all.extend(sentinel.links.iter().enumerate().map(|(from, link)| (from, to, link)));
        }
        for (from, links) in self.links.iter().enumerate() {
            all.extend(links.iter().enumerate().map(|(to, link)| (from, to, link)));
        }
        all
    }

    /// A client on this host.
    pub fn door(&self, host: usize) -> Door {
        Door {
            host,
            links: Arc::clone(&self.links),
            ports: self.fronts.iter().map(|front| front.port).collect(),
            sentinels: self.sentinels.iter().map(|sentinel| Arc::clone(&sentinel.links)).collect(),
            waits: self.promise == Promise::Wait,
            connection: None,
        }
    }

    /// One master, and all others follow it with all that it has.
    pub async fn until_settled(&self) {
        let settled = async || {
            let mut masters = 0;
            let mut offsets = Vec::new();
            for server in &self.servers {
                let Ok(info) = server.run::<String>(&["INFO", "replication"]).await else { return false };
                masters += usize::from(info.contains("role:master"));
                if info.contains("role:slave") && !info.contains("master_link_status:up") {
                    return false;
                }
                let offset = info.lines().find_map(|line| {
                    line.strip_prefix("slave_repl_offset:").or(line.strip_prefix("master_repl_offset:"))
                });
                offsets.push(offset.map(str::to_owned));
            }
            masters == 1
        };
        eventually("there is one master, and all follow it", PATIENCE * 2, settled).await;
    }
}

impl Sentinel {
    async fn start(host: usize, master: u16) -> Sentinel {
        let mut front = Front::reserve().await;
        let port = Port::any();
        let folder = tempfile::Builder::new().prefix("anarcho-sentinel-").tempdir().expect("a folder");
        let text = format!(
            "port {}\nbind 127.0.0.1\nbind-source-addr {}\ndir \"{}\"\nlogfile sentinel.log\n\
             sentinel announce-ip 127.0.0.1\nsentinel announce-port {}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 4000\n\
             sentinel parallel-syncs {MASTER} 5\n",
            port.number(),
            address_of(host),
            folder.path().display(),
            front.port
        );
        fs::write(folder.path().join("sentinel.conf"), text).expect("writing sentinel.conf");
        let mut command = Command::new(Version::V7_0.program());
        command.args(["sentinel.conf", "--sentinel"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(command).expect("starting a sentinel");
        front.open(port.number()).await;
        let links = Arc::new(join_all((0..HOSTS).map(|_| Link::to(port.number()))).await);
        Sentinel { host, front, links, _process: process, _folder: folder }
    }

    /// How many replicas and how many other sentinels.
    async fn knows(&self) -> Option<(usize, usize)> {
        let client = redis::Client::open(self.links[self.host].url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let mut ask = async |what: &str| -> Option<usize> {
            let answer = redis::cmd("SENTINEL").arg(what).arg(MASTER).query_async(&mut connection).await;
            let rows: Vec<Value> = answer.ok()?;
            Some(rows.len())
        };
        Some((ask("replicas").await?, ask("sentinels").await?))
    }
}

/// A client on one host: asks the sentinels, then the master.
pub struct Door {
    host: usize,
    links: Arc<Vec<Vec<Link>>>,
    ports: Vec<u16>,
    sentinels: Vec<Arc<Vec<Link>>>,
    waits: bool,
    connection: Option<MultiplexedConnection>,
}

fn config() -> AsyncConnectionConfig {
    let soon = Some(Duration::from_millis(1_000));
    AsyncConnectionConfig::new().set_connection_timeout(soon).set_response_timeout(soon)
}

impl Door {
    pub async fn call(&mut self, command: &Cmd) -> Result<Value, Failure> {
        let mut connection = self.connection().await?;
        let answer = plain(connection.req_packed_command(command).await);
        let writes = command.args_iter().next().is_some_and(|name| match name {
            redis::Arg::Simple(name) => !matches!(name, b"GET" | b"LRANGE" | b"SMEMBERS"),
            _ => false,
        });
        let value = answer.map_err(|error| self.judged(&error))?;
        if self.waits && writes {
            let wait = connection.req_packed_command(redis::cmd("WAIT").arg(2).arg(500)).await;
            match plain(wait) {
                Ok(Value::Int(2..)) => {}
                Ok(other) => return Err(Failure::Unknown(format!("WAIT answered {other:?}"))),
                Err(error) => {
                    self.connection = None;
                    return Err(Failure::Unknown(error.to_string()));
                }
            }
        }
        Ok(value)
    }

    pub async fn together(&mut self, pipe: &Pipeline) -> Result<Value, Failure> {
        let mut connection = self.connection().await?;
        executed(&mut connection, pipe).await.map_err(|error| self.judged(&error))
    }

    fn judged(&mut self, error: &redis::RedisError) -> Failure {
        self.connection = None;
        failure_of(error)
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, Failure> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let master =
            self.master().await.ok_or_else(|| Failure::NotApplied("no sentinel knows a master".into()))?;
        let client = redis::Client::open(self.links[self.host][master].url()).expect("a URL");
        let opened = client.get_multiplexed_async_connection_with_config(&config()).await;
        let connection = opened.map_err(|error| Failure::NotApplied(error.to_string()))?;
        Ok(self.connection.insert(connection).clone())
    }

    async fn master(&self) -> Option<usize> {
        for links in &self.sentinels {
            let client = redis::Client::open(links[self.host].url()).expect("a URL");
            let Ok(mut connection) = client.get_multiplexed_async_connection_with_config(&config()).await
            else {
                continue;
            };
            let mut ask = redis::cmd("SENTINEL");
            ask.arg("get-master-addr-by-name").arg(MASTER);
            let found: Result<Option<(String, u16)>, _> = ask.query_async(&mut connection).await;
            if let Ok(Some((_, port))) = found {
                return self.ports.iter().position(|known| *known == port);
            }
        }
        None
    }
}
