//! A node of the searches and a model server, which are called the same at the same time.

use anarchoredis::protocol::{Ack, ApplyAnswer, Position, ReadAnswer, SettleAnswer};
use anarchoredis::script::{
    ApplyCall, ApplyReply, Executed, Flags, ReadCall, ReadReply, SettleCall, SettleMode, SettleReply,
    Snapshot, SnapshotReply, Ticket, Want, snapshot_call,
};
use redis::{Arg, Cmd, Value};

use crate::alike::{Alike, Difference, Digests, differ, same, same_replies, same_reply, same_value};
use crate::history::{Command, DigestOver, State};
use crate::node::{Apply, Node, Record, Seen, Settle};
use crate::server_model::Server;

/// The servers' clock stands still: no key expires, and every ballot is of the past.
pub const NOW_US: u64 = 1_760_000_000_000_000;
const TICKET: Ticket<'_> = Ticket { fence: "fence", deadline_ms: u64::MAX >> 1 };
const RECORD: &[u8] = b"anrcho_version:{key}";
const KEY: &[u8] = b"key";
/// More than any answer, reply or time here.
const AMPLE: usize = 1 << 40;

/// A state on both sides, as a snapshot of a node gave it.
#[derive(Clone)]
pub struct Kept {
    pub state: State,
    pub snapshot: Snapshot,
}

pub struct Pair {
    node: Node,
    server: Server,
}

impl Pair {
    pub fn new(over: DigestOver, mut server: Server) -> Pair {
        server.run(NOW_US, &[b"SET", b"anrcho_fence", TICKET.fence.as_bytes()]);
        Pair { node: Node { digest_over: over, record: None }, server }
    }

    pub fn record(&self) -> Option<&Record> {
        self.node.record.as_ref()
    }

    fn ask(&mut self, cmd: &Cmd) -> Value {
        let bytes = |arg| if let Arg::Simple(bytes) = arg { bytes } else { panic!("a cursor") };
        self.server.run(NOW_US, &cmd.args_iter().map(bytes).collect::<Vec<_>>())
    }

    /// What the op is to a server: AppendIf by the value that both sides hold.
    fn words_of(&self, command: Command) -> Vec<Vec<u8>> {
        let value = self.record().map_or(&[][..], |record| record.state.value());
        let words: Vec<&[u8]> = match command {
            Command::AppendIf { .. } if command.run(value).0.is_none() => vec![b"LSET", KEY, b"1000000", b""],
            Command::Append(id) | Command::AppendIf { id, .. } => {
                return vec![b"RPUSH".to_vec(), KEY.to_vec(), id.to_string().into_bytes()];
            }
            Command::Pop => vec![b"LPOP", KEY],
            Command::Read => vec![b"LRANGE", KEY, b"0", b"-1"],
        };
        words.into_iter().map(<[u8]>::to_vec).collect()
    }

    /// Both apply; the kind of their answer.
    pub fn apply(&mut self, call: &Apply, digests: &mut Digests) -> Alike<&'static str> {
        let (existed, older) =
            (self.record().is_some(), self.record().is_some_and(|r| call.ballot > r.promised));
        let server = self.apply_on_server(call)?;
        match (self.node.apply(call), server) {
            (ApplyAnswer::Ack(ack), ApplyReply::Ack { standing, ran, executed }) => {
                digests.same_standing(ack.standing, standing)?;
                same("ran", ack.ran, ran)?;
                same_executed(&ack, &executed)?;
                Ok(kind_of_ack(&ack, call, existed))
            }
            (ApplyAnswer::Nack { promised }, ApplyReply::Nack(theirs)) => {
                same("NACK", promised, theirs)?;
                Ok(if older { "NACK of an older op" } else { "NACK" })
            }
            (ApplyAnswer::Absent { reply }, ApplyReply::Absent(theirs)) => {
                same_replies(&reply.reply, &theirs)?;
                Ok("ABSENT")
            }
            (node, server) => differ(format!("apply: node {node:?}, server {server:?}")),
        }
    }

    fn apply_on_server(&mut self, call: &Apply) -> Alike<ApplyReply> {
        let apply = ApplyCall {
            record: RECORD,
            keys: &[KEY.to_vec()],
            ballot: call.ballot,
            op: call.op,
            flags: Flags { keep: call.keep, read_only: call.command.is_read(), ..Flags::default() },
            expected: None,
            holds_until_ms: None,
            state_limit: AMPLE,
            reply_limit: AMPLE,
            retry_window_ms: AMPLE as u64,
            max_clock_offset_ms: AMPLE as u64,
            lowest_expiry_ms: 0,
            commands: &[self.words_of(call.command)],
        };
        ApplyReply::parse(self.ask(&apply.encode(&TICKET))).map_err(malformed)
    }

    /// Both read: all that the two hold, but the ops that are remembered, is compared.
    pub fn read(&mut self, digests: &mut Digests) -> Alike<&'static str> {
        let commands = [self.words_of(Command::Read)];
        let (at_ms, keys) = (NOW_US / 1_000, [KEY.to_vec()]);
        let read = ReadCall { record: RECORD, keys: &keys, at_ms, commands: &commands };
        let server = ReadReply::parse(self.ask(&read.encode(&TICKET))).map_err(malformed)?;
        match (self.node.read(Command::Read), server) {
            (
                ReadAnswer::Report { promised, standing, reply, .. },
                ReadReply::Report { promised: theirs, standing: their_standing, replies, .. },
            ) => {
                same("promised", promised, theirs)?;
                digests.same_standing(standing, their_standing)?;
                same_reply(&reply.reply, &replies)?;
                Ok(if reply.state.value().is_empty() { "READ of nothing" } else { "READ" })
            }
            (ReadAnswer::Absent { reply }, ReadReply::Absent(replies)) => {
                same_reply(&reply.reply, &replies)?;
                Ok("READ absent")
            }
            (node, server) => differ(format!("read: node {node:?}, server {server:?}")),
        }
    }

    /// Both settle; `snapshot` is the call's state as the server takes it.
    pub fn settle(
        &mut self,
        call: &Settle,
        snapshot: Option<&Snapshot>,
        digests: &mut Digests,
    ) -> Alike<&'static str> {
        let (existed, position) = (self.record().is_some(), self.record().map(|r| r.state.position()));
        let server = self.settle_on_server(call, snapshot, digests)?;
        if self.breaks_i3(call) {
            let is_conflict = matches!(&server, SettleReply::Refused(why) if why.starts_with("CONFLICT"));
            return if is_conflict { Ok("CONFLICT") } else { differ(format!("no CONFLICT: {server:?}")) };
        }
        match (self.node.settle(call), server) {
            (SettleAnswer::Accepted, SettleReply::Settled) => Ok(match (existed, snapshot.is_some()) {
                (true, false) => "SETTLED confirm",
                (false, false) => "SETTLED confirm nothing",
                (true, true) => "SETTLED state",
                (false, true) => "SETTLED state on nothing",
            }),
            (SettleAnswer::Nack { promised }, SettleReply::Nack(theirs)) => {
                same("NACK", promised, theirs)?;
                Ok("NACK")
            }
            (SettleAnswer::NeedsState, SettleReply::NeedsState(theirs)) => {
                digests.same_position(position.unwrap_or_default(), theirs)?;
                Ok("NEEDS_STATE")
            }
            (node, server) => differ(format!("settle: node {node:?}, server {server:?}")),
        }
    }

    fn settle_on_server(
        &mut self,
        call: &Settle,
        snapshot: Option<&Snapshot>,
        digests: &Digests,
    ) -> Alike<SettleReply> {
        let position = Position { digest: digests.server_of(call.position.digest), ..call.position };
        let mode = snapshot.map_or(SettleMode::Confirm, SettleMode::Full);
        let settle = SettleCall { record: RECORD, ballot: call.ballot, position, mode, dirty: false };
        SettleReply::parse(self.ask(&settle.encode(&TICKET))).map_err(malformed)
    }

    /// Another history at the ballot that was accepted last.
    fn breaks_i3(&self, call: &Settle) -> bool {
        let is_at = |record: &&Record| record.promised == call.ballot && record.accepted == Some(call.ballot);
        self.record().filter(is_at).is_some_and(|record| record.state.position() != call.position)
    }

    /// The state of both, where there is one.
    pub fn snapshot(&mut self, digests: &mut Digests) -> Alike<Option<Kept>> {
        let cmd = snapshot_call(&TICKET, RECORD, &Want::All, AMPLE);
        match (self.record().cloned(), SnapshotReply::parse(self.ask(&cmd)).map_err(malformed)?) {
            (None, SnapshotReply::Absent) => Ok(None),
            (Some(Record { promised, accepted, settled, state }), SnapshotReply::Snapshot(snapshot)) => {
                same("promised", promised, snapshot.promised)?;
                same(
                    "accepted, settled",
                    (accepted, settled),
                    (snapshot.standing.accepted, snapshot.standing.settled),
                )?;
                digests.same_position(state.position(), snapshot.standing.position)?;
                same_value(state.value(), &snapshot.states)?;
                Ok(Some(Kept { state, snapshot }))
            }
            (node, server) => differ(format!("snapshot: node {node:?}, server {server:?}")),
        }
    }
}

fn malformed(error: impl std::fmt::Debug) -> Difference {
    Difference(format!("no answer of a script: {error:?}"))
}

fn same_executed(ack: &Ack<Seen>, executed: &Executed) -> Alike {
    same_replies(&ack.reply.reply, &executed.replies)?;
    same_value(ack.reply.state.value(), &executed.states)
}

fn kind_of_ack(ack: &Ack<Seen>, call: &Apply, existed: bool) -> &'static str {
    match ack.ran {
        None => "ACK not run",
        Some(ran) if ran != call.ballot => "ACK remembered",
        Some(_) if existed => "ACK ran",
        Some(_) => "ACK ran on nothing",
    }
}
