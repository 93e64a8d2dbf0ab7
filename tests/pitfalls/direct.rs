//! Calls the scripts of one node by hand, as a coordinator that nobody else hears of.

use std::time::{SystemTime, UNIX_EPOCH};

use anarchoredis::command::Register;
use anarchoredis::protocol::{Ballot, CoordinatorId, OpId, Position};
use anarchoredis::script::{
    ApplyCall, ApplyReply, Flags, SettleCall, SettleMode, SettleReply, Snapshot, SnapshotReply, Ticket, Want,
    snapshot_call,
};
use redis::Cmd;
use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::harness::Server;

const PATIENCE_MS: u64 = 20_000;

pub struct Direct {
    connection: MultiplexedConnection,
    fence: String,
}

/// Microseconds since 1970.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(since.as_micros()).expect("a time before the year 500,000")
}

impl Direct {
    /// A server that a client has admitted, and so has the scripts.
    pub async fn to(server: &Server) -> Direct {
        let fence = server.run(&["GET", "anrcho_fence"]).await.expect("an admitted node");
        Direct { connection: server.connection().await, fence }
    }

    async fn call(&mut self, encode: impl FnOnce(&Ticket<'_>) -> Cmd) -> Value {
        let ticket = Ticket { fence: &self.fence, deadline_ms: now_us() / 1_000 + PATIENCE_MS };
        let cmd = encode(&ticket);
        self.connection.send_packed_command(&cmd).await.expect("an answer")
    }

    /// Runs one command on its first argument's register, as this coordinator's first op.
    pub async fn apply(&mut self, ballot: Ballot, command: &[&str]) -> ApplyReply {
        let key = command[1].as_bytes().to_vec();
        let commands = [command.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>()];
        let apply = ApplyCall {
            record: &Register::of(&key).record_key(),
            keys: &[key],
            ballot,
            op: OpId { coordinator: ballot.coordinator(), sequence: 1 },
            flags: Flags::default(),
            expected: None,
            holds_until_ms: None,
            state_limit: 0,
            reply_limit: 4_096,
            retry_window_ms: 60_000,
            max_clock_offset_ms: 500,
            lowest_expiry_ms: 0,
            commands: &commands,
        };
        let reply = self.call(|ticket| apply.encode(ticket)).await;
        ApplyReply::parse(reply).expect("a reply of the contract")
    }

    pub async fn snapshot(&mut self, key: &str) -> Snapshot {
        let record = Register::of(key.as_bytes()).record_key();
        let reply = self.call(|ticket| snapshot_call(ticket, &record, &Want::All, 1_000_000)).await;
        match SnapshotReply::parse(reply).expect("a reply of the contract") {
            SnapshotReply::Snapshot(snapshot) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    pub async fn settle(&mut self, key: &str, ballot: Ballot, snapshot: &Snapshot) -> SettleReply {
        let record = Register::of(key.as_bytes()).record_key();
        let position: Position = snapshot.standing.position;
        let settle =
            SettleCall { record: &record, ballot, position, mode: SettleMode::Full(snapshot), dirty: false };
        let reply = self.call(|ticket| settle.encode(ticket)).await;
        SettleReply::parse(reply).expect("a reply of the contract")
    }
}

/// A coordinator that dies after one call: its ballot, of now.
pub fn stranger(id: u64) -> Ballot {
    Ballot::new(now_us(), CoordinatorId(id))
}

/// The name under which a node keeps a key's record.
pub fn record(key: &str) -> String {
    String::from_utf8(Register::of(key.as_bytes()).record_key()).expect("a key of text")
}
