//! One node: what the scripts do, atomically, to one register.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, OpId, Position, ReadAnswer, SettleAnswer, Standing, Version,
};

use super::history::{Command, DigestOver, Entry, Reply, State};

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
    pub client: usize,
    pub command: Command,
    pub keep: bool,
}

#[derive(Debug, Clone)]
pub struct Settle {
    pub ballot: Ballot,
    pub position: Position,
    /// `None`: a confirmation.
    pub state: Option<State>,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub promised: Ballot,
    pub accepted: Option<Ballot>,
    pub settled: Version,
    pub state: State,
}

/// A node without a record answers ABSENT wherever it may.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub digest_over: DigestOver,
    pub record: Option<Record>,
}

impl Apply {
    fn entry(&self, reply: Reply) -> Entry {
        Entry { op: self.op, client: self.client, command: self.command, ran: self.ballot, reply }
    }
}

impl Record {
    /// The last op of the same coordinator in this history: the only one of its ops that a retry can be.
    fn remembered(&self, call: &Apply) -> Option<&Entry> {
        let is_mutation = !call.command.is_read();
        self.state.entries().find(|entry| is_mutation && entry.op.coordinator == call.op.coordinator)
    }

    fn new(promised: Ballot) -> Self {
        Self { promised, accepted: None, settled: Version(0), state: State::default() }
    }

    fn standing(&self) -> Standing {
        Standing { accepted: self.accepted, settled: self.settled, position: self.state.position() }
    }

    fn ack(&self, ran: Option<Ballot>, reply: Reply) -> ApplyAnswer<Seen> {
        ApplyAnswer::Ack(Ack {
            standing: self.standing(),
            ran,
            reply: Seen { reply, state: self.state.clone() },
        })
    }
}

impl Node {
    pub fn apply(&mut self, call: &Apply) -> ApplyAnswer<Seen> {
        let exists = self.record.is_some();
        if let Some(Record { promised, .. }) = self.record
            && call.ballot <= promised
        {
            return ApplyAnswer::Nack { promised };
        }
        let mut record = self.record.clone().unwrap_or_else(|| Record::new(call.ballot));
        let known = record.remembered(call).map(|entry| (entry.op, entry.ran, entry.reply.clone()));
        if known.as_ref().is_some_and(|(op, ..)| call.op < *op) {
            return ApplyAnswer::Nack { promised: record.promised };
        }
        let (value, reply) = call.command.run(record.state.value());
        if !exists && !call.keep && value.as_ref().is_none_or(Vec::is_empty) {
            return ApplyAnswer::Absent { reply: Seen { reply, state: State::default() } };
        }
        record.promised = call.ballot;
        let answer = match (known, value) {
            (Some((op, ran, reply)), _) if op == call.op => record.ack(Some(ran), reply),
            (_, None) => record.ack(None, reply),
            (_, Some(value)) => {
                record.state = record.state.push(call.entry(reply.clone()), value, self.digest_over);
                record.ack(Some(call.ballot), reply)
            }
        };
        self.record = Some(record);
        answer
    }

    pub fn settle(&mut self, call: &Settle) -> SettleAnswer {
        if let Some(Record { promised, .. }) = self.record
            && call.ballot < promised
        {
            return SettleAnswer::Nack { promised };
        }
        // Without a record the node holds the history without ops, and so confirms that one.
        let held = self.record.as_ref().map(|record| record.state.clone()).unwrap_or_default();
        let confirmed = (held.position() == call.position).then_some(held);
        let Some(state) = call.state.clone().or(confirmed) else {
            return SettleAnswer::NeedsState;
        };
        let (promised, settled) = (call.ballot, call.position.version);
        self.record = Some(Record { promised, accepted: Some(call.ballot), settled, state });
        SettleAnswer::Accepted
    }

    pub fn read(&self, command: Command) -> ReadAnswer<Seen> {
        let Some(record) = &self.record else {
            let reply = command.run(&[]).1;
            return ReadAnswer::Absent { reply: Seen { reply, state: State::default() } };
        };
        let reply = command.run(record.state.value()).1;
        ReadAnswer::Report {
            promised: record.promised,
            standing: record.standing(),
            due_ms: 0,
            reply: Seen { reply, state: record.state.clone() },
        }
    }
}
