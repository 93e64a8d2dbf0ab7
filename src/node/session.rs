//! One connection to one server, with the scripts loaded and the server looked at.

use super::configuration::Configuration;
use super::error::{CallError, Refusal};
use super::facts::{Info, Look};
use super::outbox::Outbox;
use crate::config::Config;
use crate::protocol::{Epoch, Role};
use crate::script::{self, Name};
use crate::surroundings::{Connection, Patience};
use redis::{Client, Cmd, RedisError, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A connection that is open, has the scripts, and whose server was looked at. Not yet admitted.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The connection.
    pub connection: Connection,
    /// What INFO says.
    pub info: Info,
    /// What the node's bookkeeping says.
    pub look: Look,
    /// The node's clock less ours, in milliseconds, as far as it is certain.
    pub offset_ms: i64,
    /// Whether every write is on disk before it is answered.
    pub fsyncs_every_write: bool,
}

/// An admitted connection.
#[derive(Debug)]
pub struct Session {
    pub(super) connection: Connection,
    /// The token that every call names.
    pub fence: Arc<str>,
    /// The epoch under which answers count.
    pub epoch: Epoch,
    /// Whether they count.
    pub role: Role,
    /// Whether its data is being adopted.
    pub adopting: bool,
    /// The node's id.
    pub node: Arc<str>,
    /// The cluster's id.
    pub cluster: Arc<str>,
    /// The server's run id.
    pub run_id: Arc<str>,
    /// Who the nodes of its generation are.
    pub configuration: Arc<Configuration>,
    /// The generation that was decided last, as far as the node knows.
    pub decided: u64,
    pub(super) offset_ms: i64,
    /// Tells one connection from the next.
    pub(super) number: u64,
    /// Ops that wait to be sent, under this very admission: an answer given under another one counts for another round.
    pub(super) outbox: Outbox,
    /// Whether reads go without Lua.
    pub(super) native_reads: AtomicBool,
}

impl Session {
    pub(super) fn reads_natively(&self) -> bool {
        self.native_reads.load(Ordering::Relaxed)
    }

    /// The deadline of a call, in the node's clock; `now_us` is ours.
    pub fn deadline_ms(&self, now_us: u64, time_left: Duration) -> u64 {
        let left = u64::try_from(time_left.as_millis()).unwrap_or(u64::MAX / 4);
        (now_us / 1_000).saturating_add(left).saturating_add_signed(self.offset_ms)
    }
}

/// Opens a connection, loads the scripts, looks at the server, and refuses what cannot be a node.
pub async fn open(client: &Client, config: &Config) -> Result<Opened, Refusal> {
    let opening = async {
        let patience = Patience { connect: config.connect_timeout, answer: config.answer_timeout };
        let dialling = config.surroundings.dial(client, patience);
        let connection = dialling.await.map_err(|error| refusal_of(&error))?;
        load_scripts(&connection).await?;
        look_at(connection, config).await
    };
    let patience = config.connect_timeout * 2;
    let timed_out = || Refusal::Unreachable(format!("no answer within {patience:?}"));
    tokio::time::timeout(patience, opening).await.unwrap_or_else(|_| Err(timed_out()))
}

/// Loads every script before any of them is used, the shortest first: who is not authenticated gets no long argument through, and
/// would not be told why.
pub async fn load_scripts(connection: &Connection) -> Result<(), Refusal> {
    let mut scripts = script::NAMES.map(script::script);
    scripts.sort_by_key(|script| script.source.len());
    for script in scripts {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(&script.source);
        ask(connection, &cmd).await?;
    }
    Ok(())
}

/// Looks at a server over a connection that has the scripts.
pub async fn look_at(connection: Connection, config: &Config) -> Result<Opened, Refusal> {
    let info = match ask(&connection, &redis::cmd("INFO")).await? {
        Value::BulkString(bytes) => Info::parse(&String::from_utf8_lossy(&bytes)),
        Value::VerbatimString { text, .. } => Info::parse(&text),
        other => return Err(Refusal::Unreachable(format!("INFO answered {other:?}"))),
    };
    info.check()?;
    let before = config.surroundings.now_us();
    let reply = ask(&connection, &admit_cmd(&["look"])).await?;
    let after = config.surroundings.now_us();
    let look = Look::parse(reply).map_err(|error| Refusal::Unreachable(error.to_string()))?;
    look.check_contract()?;
    let offset_ms = certain_offset_ms(look.now_us, before, after);
    let limit_ms = u64::try_from(config.max_clock_offset.as_millis()).unwrap_or(u64::MAX);
    if offset_ms.unsigned_abs() > limit_ms {
        return Err(Refusal::ClockOffset { offset_ms, limit_ms });
    }
    let fsyncs_every_write = info.appends && appendfsync_always(&connection).await;
    Ok(Opened { connection, info, look, offset_ms, fsyncs_every_write })
}

/// The part of the clocks' difference that the call's own duration does not explain.
fn certain_offset_ms(node_us: u64, before_us: u64, after_us: u64) -> i64 {
    let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX / 2);
    if node_us > after_us {
        signed(node_us - after_us) / 1_000
    } else if node_us < before_us {
        -(signed(before_us - node_us) / 1_000)
    } else {
        0
    }
}

/// Whether every write is on disk before its answer, rewrites of the file included. A server that does not tell is taken for one
/// that does not.
async fn appendfsync_always(connection: &Connection) -> bool {
    is_set(connection, "appendfsync", b"always").await
        && is_set(connection, "no-appendfsync-on-rewrite", b"no").await
}

async fn is_set(connection: &Connection, setting: &str, wanted: &[u8]) -> bool {
    let mut cmd = redis::cmd("CONFIG");
    cmd.arg("GET").arg(setting);
    let wanted = Value::BulkString(wanted.to_vec());
    match connection.send(&cmd).await {
        Ok(Value::Array(items)) => items.get(1) == Some(&wanted),
        Ok(Value::Map(items)) => items.first().is_some_and(|(_, value)| *value == wanted),
        _ => false,
    }
}

/// A call of `admit.lua`, which names no fence.
pub fn admit_cmd(args: &[&str]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script::script(Name::Admit).sha).arg(0);
    for arg in args {
        cmd.arg(*arg);
    }
    cmd
}

/// Sends a command of the admission; an error of the server is a refusal.
pub async fn ask(connection: &Connection, cmd: &Cmd) -> Result<Value, Refusal> {
    match connection.send(cmd).await {
        Ok(Value::ServerError(error)) => {
            let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
            Err(refusal_of_text(text))
        }
        Ok(value) => Ok(value),
        Err(error) => Err(refusal_of(&error)),
    }
}

fn refusal_of(error: &RedisError) -> Refusal {
    refusal_of_text(error.to_string())
}

fn refusal_of_text(text: String) -> Refusal {
    let forbids =
        ["NOPERM", "unknown command", "NOAUTH", "WRONGPASS", "AuthenticationFailed", "authentication failed"];
    if forbids.iter().any(|word| text.to_lowercase().contains(&word.to_lowercase())) {
        return Refusal::Forbidden(text);
    }
    Refusal::Unreachable(text)
}

/// What a failed send says of the call's fate.
pub fn call_error(error: &RedisError) -> CallError {
    CallError::Unknown(error.to_string())
}
