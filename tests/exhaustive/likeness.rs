//! The node of this search does what the node of `tests/model` does: the same random calls to both, and the same answers.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, CoordinatorId, OpId, ReadAnswer, SettleAnswer, Standing, Version,
};

use super::history::{Command, DigestOver, History, Reply};
use super::node::{Apply, Node, Seen, Settle};
use super::reference::history as their_history;
use super::reference::node as theirs;
use super::reference::rng::Rng;

/// What an answer says, in words that both nodes share: their digests are made differently.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Ack { accepted: Option<Ballot>, settled: Version, ran: Option<Ballot>, ops: Vec<u8>, reply: Reply },
    Report { promised: Ballot, accepted: Option<Ballot>, settled: Version, ops: Vec<u8>, reply: Reply },
    Nack(Ballot),
    Absent(Reply),
    Settle(SettleAnswer),
}

/// A history as each of the two holds it.
type Histories = (History, their_history::State);

#[derive(Default)]
struct Pair {
    ours: Node,
    theirs: theirs::Node,
    known: Vec<Histories>,
}

fn their_command(command: Command, client: u8) -> their_history::Command {
    let id = u32::from(client);
    match command {
        Command::Append => their_history::Command::Append(id),
        Command::AppendIf { odd } => their_history::Command::AppendIf { odd, id },
        Command::Pop => their_history::Command::Pop,
        Command::Read => their_history::Command::Read,
    }
}

fn our_reply(reply: &their_history::Reply) -> Reply {
    match reply {
        their_history::Reply::Length(length) => Reply::Length(*length),
        their_history::Reply::Popped(id) => Reply::Popped(id.map(|id| id as u8)),
        their_history::Reply::Values(ids) => Reply::Values(ids.iter().map(|id| *id as u8).collect()),
        their_history::Reply::Error => Reply::Error,
    }
}

fn our_ops(history: &History) -> Vec<u8> {
    history.entries().iter().map(|entry| entry.client).collect()
}

fn their_ops(state: &their_history::State) -> Vec<u8> {
    let mut ops: Vec<u8> = state.entries().map(|entry| entry.client as u8).collect();
    ops.reverse();
    ops
}

fn said<R>(answer: &ApplyAnswer<R>, seen: impl Fn(&R) -> (Vec<u8>, Reply)) -> Said {
    match answer {
        ApplyAnswer::Ack(Ack { standing: Standing { accepted, settled, position }, ran, reply }) => {
            let (ops, reply) = seen(reply);
            assert_eq!(position.version.0 as usize, ops.len());
            Said::Ack { accepted: *accepted, settled: *settled, ran: *ran, ops, reply }
        }
        ApplyAnswer::Nack { promised } => Said::Nack(*promised),
        ApplyAnswer::Absent { reply } => Said::Absent(seen(reply).1),
        ApplyAnswer::Expiring { .. } | ApplyAnswer::NoVote(_) => panic!("no node of a model says this"),
    }
}

fn reported<R>(answer: &ReadAnswer<R>, seen: impl Fn(&R) -> (Vec<u8>, Reply)) -> Said {
    match answer {
        ReadAnswer::Report { promised, standing: Standing { accepted, settled, .. }, reply, .. } => {
            let (ops, reply) = seen(reply);
            Said::Report { promised: *promised, accepted: *accepted, settled: *settled, ops, reply }
        }
        ReadAnswer::Absent { reply } => Said::Absent(seen(reply).1),
        ReadAnswer::Expiring { .. } | ReadAnswer::NoVote => panic!("no node of a model says this"),
    }
}

fn our_seen(seen: &Seen) -> (Vec<u8>, Reply) {
    (our_ops(&seen.history), seen.reply.clone())
}

fn their_seen(seen: &theirs::Seen) -> (Vec<u8>, Reply) {
    (their_ops(&seen.state), our_reply(&seen.reply))
}

impl Pair {
    fn apply(&mut self, rng: &mut Rng) -> (Said, Said) {
        let coordinator = 1 + rng.below(2);
        let op = OpId { coordinator: CoordinatorId(coordinator), sequence: 1 + rng.below(2) };
        let ballot = Ballot::new(1 + rng.below(40), op.coordinator);
        let odd = rng.percent(50);
        let mut command = rng.pick(&[Command::Append, Command::AppendIf { odd }, Command::Pop]);
        if rng.percent(20) {
            command = Command::Read;
        }
        let (client, keep) = ((coordinator * 8 + op.sequence) as u8, rng.percent(30));
        let ours = self.ours.apply(&Apply { ballot, op, client, command, keep }, DigestOver::IdAndBallot);
        let call = theirs::Apply {
            ballot,
            op,
            client: usize::from(client),
            command: their_command(command, client),
            keep,
        };
        let theirs = self.theirs.apply(&call);
        if let (ApplyAnswer::Ack(ours), ApplyAnswer::Ack(theirs)) = (&ours, &theirs) {
            self.known.push((ours.reply.history.clone(), theirs.reply.state.clone()));
        }
        (said(&ours, our_seen), said(&theirs, their_seen))
    }

    fn settle(&mut self, rng: &mut Rng) -> (Said, Said) {
        let ballot = Ballot::new(1 + rng.below(40), CoordinatorId(1 + rng.below(2)));
        let nothing = Histories::default();
        let place = rng.below(self.known.len() as u64 + 1) as usize;
        let (history, state) = self.known.get(place).unwrap_or(&nothing).clone();
        let with_state = rng.percent(50);
        let position = state.position();
        let state = with_state.then_some(state);
        let ours = self.ours.settle(&Settle { ballot, history, with_state });
        let theirs = self.theirs.settle(&theirs::Settle { ballot, position, state });
        (Said::Settle(ours), Said::Settle(theirs))
    }

    fn read(&self) -> (Said, Said) {
        let theirs = self.theirs.read(their_history::Command::Read);
        (reported(&self.ours.read(), our_seen), reported(&theirs, their_seen))
    }
}

#[test]
fn the_node_answers_any_calls_as_the_node_of_the_random_search_does() {
    let mut acks = 0;
    for seed in 1..=3_000 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::default();
        for call in 0..25 {
            let (ours, theirs) = if rng.percent(60) { pair.apply(&mut rng) } else { pair.settle(&mut rng) };
            assert_eq!(ours, theirs, "seed {seed}, call {call}");
            let (ours, theirs) = pair.read();
            assert_eq!(ours, theirs, "seed {seed}, the read after call {call}");
        }
        acks += pair.known.len();
    }
    assert!(acks > 6_000, "hardly a call was acknowledged: {acks}");
}
