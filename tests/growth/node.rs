//! One server: what the scripts do, atomically, to one register, and what of it outlives a restart.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, Epoch, NoVote, OpId, Position, ReadAnswer, Role, SettleAnswer, Standing,
    Version,
};

use super::control::Control;
use super::history::{Command, Entry, Reply, State};
use super::members::Members;

/// What an answer brings besides its standing.
#[derive(Debug, Clone)]
pub struct Seen {
    pub reply: Reply,
    pub state: State,
}

#[derive(Debug, Clone)]
pub struct Apply {
    pub ballot: Ballot,
    pub op: OpId,
    pub command: Command,
    pub keep: bool,
}

/// A state on its way from one node to another; `gone`: its value had expired at the source.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub state: State,
    pub gone: bool,
}

#[derive(Debug, Clone)]
pub struct Settle {
    pub ballot: Ballot,
    pub position: Position,
    /// `None`: a confirmation.
    pub snapshot: Option<Snapshot>,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub promised: Ballot,
    pub accepted: Option<Ballot>,
    pub settled: Version,
    pub state: State,
    /// The server dropped the value by itself, or by a call that came from later than its expiry.
    pub gone: bool,
}

/// The node's bookkeeping: `anrcho_node` and `anrcho_fence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    pub epoch: Epoch,
    /// The configuration that the epoch belongs to.
    pub members: Members,
    pub role: Role,
    /// The run at the last admission.
    pub run: u64,
    pub fence: u64,
}

/// The registers of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// What clients read and write.
    Data,
    /// Who votes, generation by generation: a register as any other. Used where members come and go.
    Configuration,
}

/// A register at one node.
#[derive(Debug, Clone, Default)]
pub struct Held {
    pub record: Option<Record>,
}

/// All that a server keeps, as far as it keeps it.
#[derive(Debug, Clone, Default)]
pub struct Durable {
    pub admin: Option<Admin>,
    data: Held,
    configuration: Held,
}

impl Durable {
    pub fn voter(admin: Admin) -> Self {
        Self { admin: Some(admin), ..Self::default() }
    }

    pub fn of(&mut self, register: Register) -> &mut Held {
        match register {
            Register::Data => &mut self.data,
            Register::Configuration => &mut self.configuration,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.admin.is_none() && self.data.record.is_none() && self.configuration.record.is_none()
    }
}

/// The rules of time that all nodes share.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub nodes: usize,
    pub control: Control,
    pub max_offset: u64,
    pub retry_window: u64,
    /// How old a tombstone must be, and from which age on a ballot brings nothing to a node that has no record.
    pub purge_age: u64,
}

impl Record {
    pub fn new(promised: Ballot) -> Self {
        Self { promised, accepted: None, settled: Version(0), state: State::default(), gone: false }
    }

    pub fn standing(&self) -> Standing {
        Standing { accepted: self.accepted, settled: self.settled, position: self.state.position() }
    }

    /// The server's own expiry, by its own clock.
    pub fn expire(&mut self, now: u64) {
        self.gone |= self.state.value().is_due(now);
    }

    fn ack(&self, ran: Option<Ballot>, reply: Reply) -> ApplyAnswer<Seen> {
        let reply = Seen { reply, state: self.state.clone() };
        ApplyAnswer::Ack(Ack { standing: self.standing(), ran, reply })
    }

    /// The expiry of a value that this server no longer has though it is alive at that time.
    fn expired_early(&self, at: u64) -> Option<u64> {
        self.state.value().expiry.filter(|expiry| self.gone && *expiry > at)
    }

    /// The last op of the same coordinator that this history remembers.
    fn remembered(&self, call: &Apply, window: u64) -> Option<Entry> {
        let of_coordinator = |entry: &&Entry| entry.op.coordinator == call.op.coordinator;
        let entry = self.state.entries().find(of_coordinator).filter(|_| !call.command.is_read())?;
        // Dropped by the first later op of another coordinator that is past the window.
        let before = self.state.entries().take_while(|other| other.op != entry.op);
        let is_dropped = before.into_iter().any(|later| later.ran.time_ms() > entry.ran.time_ms() + window);
        (!is_dropped).then(|| entry.clone())
    }
}

impl Held {
    pub fn apply(&mut self, call: &Apply, now: u64, times: &Times) -> ApplyAnswer<Seen> {
        let op_time = call.ballot.time_ms();
        if let Some(record) = &mut self.record {
            record.expire(now);
            if call.ballot <= record.promised {
                return ApplyAnswer::Nack { promised: record.promised };
            }
        }
        if op_time > now + times.max_offset || self.is_stale(call.ballot, now, times) {
            return ApplyAnswer::NoVote(NoVote::Refused);
        }
        let exists = self.record.is_some();
        let mut record = self.record.clone().unwrap_or_else(|| Record::new(call.ballot));
        let known = record.remembered(call, times.retry_window);
        if known.as_ref().is_some_and(|entry| call.op < entry.op) {
            return ApplyAnswer::Nack { promised: record.promised };
        }
        if let Some(entry) = known.filter(|entry| entry.op == call.op) {
            record.promised = call.ballot;
            return self.store(record, Some(entry.ran), entry.reply);
        }
        let refuses = times.control != Control::NoExpiringAnswer;
        if let Some(at_ms) = record.expired_early(op_time).filter(|_| refuses) {
            return ApplyAnswer::Expiring { at_ms };
        }
        self.run(record, exists, call, now, times)
    }

    /// A batch of one command on the value as it is at the op's time.
    fn run(
        &mut self,
        mut record: Record,
        exists: bool,
        call: &Apply,
        now: u64,
        times: &Times,
    ) -> ApplyAnswer<Seen> {
        let time = if times.control == Control::OwnClocks { now } else { call.ballot.time_ms() };
        let lowest = match call.command {
            Command::ExpireAt(at) => at,
            _ => 0,
        };
        if lowest > time && lowest <= now && times.control != Control::NoExpiringAnswer {
            return ApplyAnswer::Expiring { at_ms: lowest };
        }
        let held = record.state.value();
        record.gone |= held.is_due(time);
        let before = if record.gone { Default::default() } else { held };
        let command = match call.command {
            // The control sends a TTL, and each node makes a time of it.
            Command::ExpireAt(at) if times.control == Control::RelativeTtl => {
                Command::ExpireAt(at.saturating_sub(call.ballot.time_ms()) + now)
            }
            other => other,
        };
        let (after, reply) = command.run(&before);
        let after = after.at(time);
        let is_read = call.command.is_read();
        if !exists && !call.keep && (is_read || !after.exists()) {
            return ApplyAnswer::Absent { reply: Seen { reply, state: State::default() } };
        }
        record.promised = call.ballot;
        if is_read {
            return self.store(record, None, reply);
        }
        let entry = Entry { op: call.op, command: call.command, ran: call.ballot, reply: reply.clone() };
        record.state = record.state.push(entry, after);
        record.gone = false;
        self.store(record, Some(call.ballot), reply)
    }

    fn store(&mut self, record: Record, ran: Option<Ballot>, reply: Reply) -> ApplyAnswer<Seen> {
        let answer = record.ack(ran, reply);
        self.record = Some(record);
        answer
    }

    /// Where there is no record, its promise may have been purged: what is as old as that counts as refused by it.
    fn is_stale(&self, ballot: Ballot, now: u64, times: &Times) -> bool {
        self.record.is_none() && times.control.refuses_stale() && ballot.time_ms() + times.purge_age < now
    }

    pub fn settle(&mut self, call: &Settle, now: u64, times: &Times) -> SettleAnswer {
        if let Some(Record { promised, .. }) = self.record
            && call.ballot < promised
        {
            return SettleAnswer::Nack { promised };
        }
        if self.is_stale(call.ballot, now, times) {
            return SettleAnswer::NoVote;
        }
        let held =
            self.record.as_ref().map(|record| Snapshot { state: record.state.clone(), gone: record.gone });
        let held = held.or(Some(Snapshot { state: State::default(), gone: false }));
        let held = held.filter(|held| held.state.position() == call.position);
        let Some(Snapshot { state, gone }) = call.snapshot.clone().or(held) else {
            return SettleAnswer::NeedsState;
        };
        let (promised, settled) = (call.ballot, call.position.version);
        let mut record = Record { promised, accepted: Some(call.ballot), settled, state, gone };
        record.expire(now);
        self.record = Some(record);
        SettleAnswer::Accepted
    }

    pub fn read(&mut self, command: Command, at: u64, now: u64, times: &Times) -> ReadAnswer<Seen> {
        let Some(record) = &mut self.record else {
            let reply = command.run(&Default::default()).1;
            return ReadAnswer::Absent { reply: Seen { reply, state: State::default() } };
        };
        record.expire(now);
        let value = record.state.value();
        let is_due = value.is_due(at);
        let early = record.expired_early(at);
        let late = value.expiry.filter(|_| is_due && !record.gone);
        if let Some(at_ms) = early.or(late).filter(|_| times.control != Control::NoExpiringAnswer) {
            return ReadAnswer::Expiring { at_ms };
        }
        let tells_due = times.control != Control::DueByMajority;
        let due_ms = value.expiry.filter(|_| is_due && tells_due).unwrap_or(0);
        let value = if record.gone { Default::default() } else { value };
        let reply = Seen { reply: command.run(&value).1, state: record.state.clone() };
        ReadAnswer::Report { promised: record.promised, standing: record.standing(), due_ms, reply }
    }

    /// The state at a position; none where the node is elsewhere, or its value is gone before its time.
    pub fn snapshot(&mut self, position: Position, now: u64) -> Option<Snapshot> {
        let record = self.record.as_mut()?;
        record.expire(now);
        let is_there = record.state.position() == position && record.expired_early(now).is_none();
        is_there.then(|| Snapshot { state: record.state.clone(), gone: record.gone })
    }
}
