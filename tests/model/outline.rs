//! Events in short, for the trace of a violation.

use anarchoredis::protocol::{Ack, ApplyAnswer, Ballot, ReadAnswer, Standing};

use super::history::State;
use super::network::{Answer, Call, Event};
use super::node::Seen;

impl Event {
    pub fn outline(&self) -> String {
        match self {
            Self::Call { from, node, call, .. } => {
                format!("{} -> {}: {}", name(*from), letter(*node), outline_call(call))
            }
            Self::Answer { to, node, answer, .. } => {
                format!("{} <- {}: {}", name(*to), letter(*node), outline_answer(answer))
            }
            Self::Hedge { to, .. } => format!("{} hedges", name(*to)),
            Self::Timeout { to, .. } => format!("{} stops waiting for the silent", name(*to)),
            Self::GiveUp { to, client } => format!("{} is out of time for op {client}", name(*to)),
            Self::Go { to } => format!("{} goes on", name(*to)),
            Self::Restart { node } => format!("{} restarts with older data", letter(*node)),
        }
    }
}

/// A history in short: its ops, the first one first, each with the time of its ballot.
pub fn outline_state(state: &State) -> String {
    let mut ops: Vec<String> =
        state.entries().map(|e| format!("op{}@{}", e.client, e.ran.time_us())).collect();
    ops.reverse();
    format!("[{}]", ops.join(" "))
}

fn outline_call(call: &Call) -> String {
    match call {
        Call::Apply(apply) => {
            let keep = if apply.keep { " keep" } else { "" };
            format!("apply {} op{} {:?}{keep}", short(apply.ballot), apply.client, apply.command)
        }
        Call::Settle(settle) => {
            let state = settle.state.as_ref().map_or_else(|| "confirm".to_owned(), outline_state);
            format!("settle {} version {} {state}", short(settle.ballot), settle.position.version)
        }
        Call::Read(command) => format!("read {command:?}"),
    }
}

fn outline_answer(answer: &Answer) -> String {
    match answer {
        Answer::Apply(ApplyAnswer::Ack(Ack { standing, reply, .. })) => {
            format!("ACK {}", outline_seen(standing, reply))
        }
        Answer::Apply(ApplyAnswer::Nack { promised }) => format!("NACK {}", short(*promised)),
        Answer::Apply(ApplyAnswer::Absent { .. }) | Answer::Read(ReadAnswer::Absent { .. }) => {
            "ABSENT".to_owned()
        }
        Answer::Apply(other) => format!("{other:?}"),
        Answer::Settle(other) => format!("{other:?}"),
        Answer::Read(ReadAnswer::Report { promised, standing, reply, .. }) => {
            format!("READ promised {} {}", short(*promised), outline_seen(standing, reply))
        }
        Answer::Read(other) => format!("{other:?}"),
    }
}

fn outline_seen(standing: &Standing, seen: &Seen) -> String {
    let accepted = standing.accepted.map_or_else(|| "none".to_owned(), short);
    format!(
        "accepted {accepted} settled {} {} {:?}",
        standing.settled,
        outline_state(&seen.state),
        seen.reply
    )
}

fn short(ballot: Ballot) -> String {
    format!("{}.{}", ballot.time_us(), ballot.coordinator().0)
}

fn letter(node: usize) -> char {
    (b'A' + node as u8) as char
}

fn name(coordinator: usize) -> char {
    (b'X' + coordinator as u8) as char
}
