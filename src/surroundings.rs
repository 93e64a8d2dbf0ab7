//! What the library takes from the world: the time of day, random numbers and connections.

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, Value};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Something of the world that is under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = RedisResult<T>> + Send + 'a>>;

/// Where clients and healers get their time of day, their random numbers and their connections. A simulation brings its own, and
/// with them every run of one seed is the same.
pub trait Surroundings: Debug + Send + Sync + 'static {
    /// Microseconds since 1970.
    fn now_us(&self) -> u64;

    /// 64 random bits, for ids that no two coordinators may share and for pauses that must differ.
    fn random(&self) -> u64;

    /// A random number from 0 to 1.
    fn fraction(&self) -> f64 {
        self.random() as f64 / u64::MAX as f64
    }

    /// Opens a connection to the server that `client` names.
    fn dial<'a>(&'a self, client: &'a Client, patience: Patience) -> Pending<'a, Connection>;

    /// Opens a connection that only listens to what the server publishes; none where there is no such thing. Who waits then asks now and
    /// then, and subscribers hear nothing.
    fn listen<'a>(&'a self, _client: &'a Client, _patience: Patience) -> Pending<'a, Option<PubSub>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To be opened.
    pub connect: Duration,
    /// To answer one call.
    pub answer: Duration,
}

/// One open connection. Calls are sent in the order in which they are made, and any number may be under way.
#[derive(Clone, Debug)]
pub enum Connection {
    /// To a server, by redis-rs, and how long an answer to a small command may take.
    Remote(MultiplexedConnection, Duration),
    /// To whatever the surroundings take for a server.
    Other(Arc<dyn Wire>),
}

/// A connection that is not redis-rs's.
pub trait Wire: Debug + Send + Sync {
    /// Sends one command. What the server refuses is an answer; an error is none.
    fn send<'a>(&'a self, cmd: &'a Cmd) -> Pending<'a, Value>;

    /// Sends several commands and gives the reply to each, be it an error.
    fn pipeline<'a>(&'a self, pipeline: &'a Pipeline) -> Pending<'a, Vec<Value>>;
}

impl Connection {
    /// Sends one command. What the server refuses is an answer; an error is none.
    pub async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Connection::Remote(connection, answer) => {
                let mut connection = connection.clone();
                let bytes: usize = cmd.args_iter().map(length).sum();
                connection.set_response_timeout(*answer + time_for(bytes));
                connection.send_packed_command(cmd).await
            }
            Connection::Other(wire) => wire.send(cmd).await,
        }
    }

    /// Sends several commands and gives the reply to each, be it an error.
    pub async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Connection::Remote(connection, answer) => {
                let mut connection = connection.clone();
                connection.set_response_timeout(*answer);
                connection.send_packed_commands(pipeline, 0, pipeline.len()).await
            }
            Connection::Other(wire) => wire.pipeline(pipeline).await,
        }
    }
}

fn length(arg: redis::Arg<&[u8]>) -> usize {
    match arg {
        redis::Arg::Simple(bytes) => bytes.len(),
        _ => 0,
    }
}

/// How much longer than a small one a command of so many bytes may take: it goes to every node over one network, and each copies it
/// several times.
pub(crate) fn time_for(bytes: usize) -> Duration {
    const BYTES_A_MILLISECOND: usize = 8 * 1024;
    Duration::from_millis(u64::try_from(bytes / BYTES_A_MILLISECOND).unwrap_or(u64::MAX))
}

/// This machine, and the servers that it reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn now_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u64 {
        rand::random()
    }

    fn dial<'a>(&'a self, client: &'a Client, patience: Patience) -> Pending<'a, Connection> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(Some(patience.answer));
        Box::pin(async move {
            let connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
            Ok(Connection::Remote(connection, patience.answer))
        })
    }

    fn listen<'a>(&'a self, client: &'a Client, _patience: Patience) -> Pending<'a, Option<PubSub>> {
        Box::pin(async move { client.get_async_pubsub().await.map(Some) })
    }
}
