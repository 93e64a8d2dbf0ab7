//! Calls at their node, as the checkers see them.

use std::cell::RefMut;

use anarchoredis::protocol::{ApplyAnswer, Ballot, SettleAnswer};

use super::checker::Checker;
use super::node::{Apply, Register, Seen, Settle};
use super::world::{Server, World};

impl World {
    fn checker_of(&self, register: Register) -> RefMut<'_, Checker> {
        match register {
            Register::Data => self.checker.borrow_mut(),
            Register::Configuration => self.configurations.borrow_mut(),
        }
    }

    pub fn on_apply(
        &self,
        (node, register): (usize, Register),
        server: &mut Server,
        call: &Apply,
        now: u64,
    ) -> ApplyAnswer<Seen> {
        let held = server.durable.of(register);
        let before = held.record.clone();
        let answer = held.apply(call, now, &self.times);
        let after = held.record.clone();
        self.log(|| format!("apply {} {:?} at {node}: {}", call.ballot, call.command, outline(&answer)));
        if let (ApplyAnswer::Ack(ack), Some(after)) = (&answer, after) {
            let mut checker = self.checker_of(register);
            checker.on_change(before.as_ref(), &after);
            if let Some(epoch) = server.votes_under() {
                checker.on_ack((node, epoch), server.members().len(), call.ballot, &ack.reply.state);
            }
        }
        answer
    }

    pub fn on_settle(
        &self,
        (node, register): (usize, Register),
        server: &mut Server,
        call: &Settle,
        now: u64,
    ) -> SettleAnswer {
        let held = server.durable.of(register);
        let before = held.record.clone();
        let answer = held.settle(call, now, &self.times);
        let after = held.record.clone();
        self.log(|| format!("settle {} v{} at {node}: {answer:?}", call.ballot, call.position.version));
        if let (SettleAnswer::Accepted, Some(after)) = (answer, after) {
            let mut checker = self.checker_of(register);
            checker.on_change(before.as_ref(), &after);
            let voter = server.votes_under().map(|epoch| (node, epoch));
            checker.on_settle(voter, server.members().len(), call.ballot, &after.state);
        }
        answer
    }

    /// What the nodes or the clients showed to be broken.
    pub fn violation(&self) -> Option<String> {
        let configuration = self.configurations.borrow().violation.clone();
        let named = configuration.map(|broken| format!("of the configuration: {broken}"));
        self.checker.borrow().violation.clone().or(named)
    }
}

fn outline(answer: &ApplyAnswer<Seen>) -> String {
    match answer {
        ApplyAnswer::Ack(ack) => format!(
            "ack a{:?} v{} {:?}",
            ack.standing.accepted.map(Ballot::time_ms),
            ack.standing.position.version,
            ack.reply.reply
        ),
        ApplyAnswer::Absent { .. } => "absent".to_owned(),
        other => format!("{other:?}"),
    }
}
