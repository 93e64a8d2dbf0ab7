//! One node: what the scripts do, atomically, to one register. `likeness.rs` holds it equal to the node of
//! `tests/model`, which shares its histories by reference and so cannot be part of a state.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, OpId, Position, ReadAnswer, SettleAnswer, Standing, Version,
};

use super::history::{Command, DigestOver, Entry, History, Reply};

/// What an answer brings besides its standing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seen {
    pub reply: Reply,
    pub history: History,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Apply {
    pub ballot: Ballot,
    pub op: OpId,
    pub client: u8,
    pub command: Command,
    pub keep: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settle {
    pub ballot: Ballot,
    /// What is settled.
    pub history: History,
    /// Whether the call carries it; otherwise it is a confirmation of its position.
    pub with_state: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    pub promised: Ballot,
    pub accepted: Option<Ballot>,
    pub settled: Version,
    pub history: History,
}

/// A node without a record answers ABSENT wherever it may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Node(pub Option<Record>);

impl Seen {
    /// What a command answers to a register that does not exist.
    pub fn nothing(command: Command) -> Self {
        Self { reply: command.run(0, &[]).1, history: History::default() }
    }
}

impl Settle {
    pub fn position(&self) -> Position {
        self.history.position()
    }
}

impl Record {
    fn new(promised: Ballot) -> Self {
        Self { promised, accepted: None, settled: Version(0), history: History::default() }
    }

    pub fn standing(&self) -> Standing {
        Standing { accepted: self.accepted, settled: self.settled, position: self.history.position() }
    }

    /// What its last settle settled: later ops only lengthen it.
    pub fn settled_history(&self) -> History {
        self.history.first(self.settled.0 as usize)
    }

    /// Where the last op of the same coordinator is: the only one of its ops that a retry can be.
    fn remembered(&self, call: &Apply) -> Option<usize> {
        let is_mutation = call.command != Command::Read;
        let same = |entry: &Entry| is_mutation && entry.op.coordinator == call.op.coordinator;
        self.history.entries().iter().rposition(same)
    }

    fn ack(&self, ran: Option<Ballot>, reply: Reply) -> ApplyAnswer<Seen> {
        let seen = Seen { reply, history: self.history.clone() };
        ApplyAnswer::Ack(Ack { standing: self.standing(), ran, reply: seen })
    }

    /// Runs the call, or finds its op in the history.
    fn execute(&mut self, call: &Apply, known: Option<usize>, over: DigestOver) -> ApplyAnswer<Seen> {
        self.promised = call.ballot;
        if let Some(place) = known {
            let ran = self.history.entries()[place].ran;
            return self.ack(Some(ran), self.history.reply_of(place));
        }
        let (value, reply) = call.command.run(call.client, &self.history.value());
        if value.is_none() {
            return self.ack(None, reply);
        }
        let entry = Entry { op: call.op, client: call.client, command: call.command, ran: call.ballot };
        self.history = self.history.push(entry, over);
        self.ack(Some(call.ballot), reply)
    }
}

impl Node {
    pub fn apply(&mut self, call: &Apply, over: DigestOver) -> ApplyAnswer<Seen> {
        let Some(record) = &mut self.0 else {
            return self.apply_to_nothing(call, over);
        };
        let remembered = record.remembered(call);
        let is_past = |place: usize| record.history.entries()[place].op > call.op;
        if call.ballot <= record.promised || remembered.is_some_and(is_past) {
            return ApplyAnswer::Nack { promised: record.promised };
        }
        let known = remembered.filter(|place| record.history.entries()[*place].op == call.op);
        record.execute(call, known, over)
    }

    fn apply_to_nothing(&mut self, call: &Apply, over: DigestOver) -> ApplyAnswer<Seen> {
        let value = call.command.run(call.client, &[]).0;
        if !call.keep && value.is_none_or(|value| value.is_empty()) {
            return ApplyAnswer::Absent { reply: Seen::nothing(call.command) };
        }
        self.0.insert(Record::new(call.ballot)).execute(call, None, over)
    }

    pub fn settle(&mut self, call: &Settle) -> SettleAnswer {
        if let Some(Record { promised, .. }) = self.0
            && call.ballot < promised
        {
            return SettleAnswer::Nack { promised };
        }
        // Without a record it holds the history without ops.
        let position = self.0.as_ref().map_or_else(Default::default, |record| record.history.position());
        let held = position == call.position();
        if !call.with_state && !held {
            return SettleAnswer::NeedsState;
        }
        let held = self.0.take().filter(|_| !call.with_state).map(|record| record.history);
        self.0 = Some(Record {
            promised: call.ballot,
            accepted: Some(call.ballot),
            settled: call.position().version,
            history: held.unwrap_or_else(|| call.history.clone()),
        });
        SettleAnswer::Accepted
    }

    pub fn read(&self) -> ReadAnswer<Seen> {
        let Some(record) = &self.0 else {
            return ReadAnswer::Absent { reply: Seen::nothing(Command::Read) };
        };
        let reply = Command::Read.run(0, &record.history.value()).1;
        let seen = Seen { reply, history: record.history.clone() };
        ReadAnswer::Report { promised: record.promised, standing: record.standing(), due_ms: 0, reply: seen }
    }
}
