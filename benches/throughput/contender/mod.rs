//! Who is measured.

mod etcd;
mod fan;
mod primary;
mod wire;

pub use etcd::Etcd;
pub use wire::Wire;

use crate::load::{Subject, Worker};
use crate::workload::{Draw, Workload};
use anarchoredis::Client;
use fan::Fan;
use primary::Primary;
use redis::aio::MultiplexedConnection;

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client, linearizable.
    Ours,
    /// `EVALSHA` of a script that only runs the command, to the same three servers, waiting for all.
    Evalsha,
    /// The command itself to the same three servers, waiting for all.
    Raw,
    /// The same, waiting for two of the three.
    RawTwo,
    /// The command to one server.
    Plain,
    /// A write to a primary, and WAIT for one of its two replicas.
    WaitOne,
    /// A write to a primary, and WAIT for both of its replicas.
    WaitTwo,
    /// Put and linearizable range on an etcd of three nodes.
    Etcd,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Ours,
        Kind::Evalsha,
        Kind::Raw,
        Kind::RawTwo,
        Kind::Plain,
        Kind::WaitOne,
        Kind::WaitTwo,
        Kind::Etcd,
    ];

    /// As in `--contender`, in the JSON, and in front of its keys.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ours => "ours",
            Kind::Evalsha => "evalsha",
            Kind::Raw => "raw",
            Kind::RawTwo => "raw2",
            Kind::Plain => "plain",
            Kind::WaitOne => "wait1",
            Kind::WaitTwo => "wait2",
            Kind::Etcd => "etcd",
        }
    }

    /// Whether it takes part: etcd has no counters, and a read from a primary has nothing to wait for.
    pub fn can(self, workload: Workload) -> bool {
        match self {
            Kind::Etcd => workload.is_plain(),
            Kind::WaitOne | Kind::WaitTwo => !workload.only_reads(),
            _ => true,
        }
    }
}

#[derive(Clone)]
enum Way {
    Client(Client),
    Fan(Fan),
    Primary(Primary),
    Etcd(Etcd),
}

/// A contender with its connections, and the keys and values that it works on.
#[derive(Clone)]
pub struct Contender {
    pub name: String,
    way: Way,
    /// In front of its keys.
    pub prefix: String,
    /// How long its values are.
    pub bytes: usize,
    /// The ids of its servers' processes.
    pub servers: Vec<u32>,
}

impl Contender {
    pub fn ours(client: &Client, servers: Vec<u32>) -> Contender {
        Contender::new(Kind::Ours, Way::Client(client.clone()), servers)
    }

    /// A fan-out over these connections that waits for so many of them.
    pub async fn fan(
        kind: Kind,
        connections: Vec<MultiplexedConnection>,
        needed: usize,
        servers: Vec<u32>,
    ) -> Contender {
        let fan = if kind == Kind::Evalsha {
            Fan::of_scripts(connections, needed).await
        } else {
            Fan::new(connections, needed)
        };
        Contender::new(kind, Way::Fan(fan), servers)
    }

    /// A primary, with a connection for each task: WAIT holds up what else its connection carries.
    pub fn primary(
        kind: Kind,
        connections: Vec<MultiplexedConnection>,
        replicas: usize,
        servers: Vec<u32>,
    ) -> Contender {
        Contender::new(kind, Way::Primary(Primary::new(connections, replicas)), servers)
    }

    pub fn etcd(etcd: &Etcd, servers: Vec<u32>) -> Contender {
        Contender::new(Kind::Etcd, Way::Etcd(etcd.clone()), servers)
    }

    fn new(kind: Kind, way: Way, servers: Vec<u32>) -> Contender {
        let name = kind.word().to_owned();
        Contender { prefix: name.clone(), name, way, bytes: 100, servers }
    }

    /// The same with values of this length.
    pub fn with_bytes(&self, bytes: usize) -> Contender {
        Contender { bytes, prefix: format!("{}:{bytes}", self.name), ..self.clone() }
    }

    /// The same on keys of its own.
    pub fn with_prefix(&self, prefix: &str) -> Contender {
        Contender { prefix: prefix.to_owned(), ..self.clone() }
    }

    /// The same under another name.
    pub fn named(&self, name: &str) -> Contender {
        Contender { name: name.to_owned(), ..self.clone() }
    }
}

impl Subject for Contender {
    type Worker = Hand;

    fn worker(&self, task: usize) -> Hand {
        let way = match &self.way {
            Way::Client(client) => HandWay::Client(client.clone()),
            Way::Fan(fan) => HandWay::Fan(fan.worker()),
            Way::Primary(primary) => HandWay::Primary(primary.worker(task)),
            Way::Etcd(etcd) => HandWay::Etcd(etcd.worker(task)),
        };
        Hand { way, prefix: self.prefix.clone(), value: vec![b'x'; self.bytes] }
    }
}

/// What a task of a contender works with.
pub struct Hand {
    way: HandWay,
    prefix: String,
    value: Vec<u8>,
}

enum HandWay {
    Client(Client),
    Fan(fan::FanWorker),
    Primary(primary::PrimaryWorker),
    Etcd(etcd::EtcdWorker),
}

impl Worker for Hand {
    async fn run(&mut self, draw: Draw) -> Result<(), String> {
        let key = format!("{}:{}:{}", self.prefix, draw.operation.family(), draw.key);
        match &mut self.way {
            HandWay::Client(client) => {
                Wire::plain(draw.operation, &key, &self.value).send(client).await.map(drop)
            }
            HandWay::Fan(fan) => fan.run(draw.operation, &key, &self.value).await,
            HandWay::Primary(primary) => primary.run(draw.operation, &key, &self.value).await,
            HandWay::Etcd(etcd) => etcd.run(draw.operation, &key, &self.value).await,
        }
    }
}
