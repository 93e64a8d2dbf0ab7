//! The counter-examples that the rules are there for, told step by step with real rounds and model nodes A, B and C.

use anarchoredis::protocol::{
    ApplyAnswer, Ballot, CoordinatorId, Decided, Kind, NodeIndex, OpId, Quorum, ReadRound, ReadStep, Retry,
    Rule, SettleAnswer, WriteRound, WriteStep,
};

use super::control::Control;
use super::history::{Command, Reply, State};
use super::node::{Apply, Node, Seen, Settle};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Three nodes, and the rounds that are run against some of them.
#[derive(Default)]
struct Stage {
    nodes: [Node; 3],
}

fn ballot(time: u64) -> Ballot {
    Ballot::new(time, CoordinatorId(7))
}

/// An op, by the coordinator and the sequence that are its number.
fn apply(op: u64, time: u64, command: Command) -> Apply {
    let id = OpId { coordinator: CoordinatorId(op), sequence: op };
    Apply { ballot: ballot(time), op: id, client: op as usize, command, keep: false }
}

impl Stage {
    /// An apply that reaches some nodes, in this order; its coordinator waits for no others. The last step is
    /// what it does then.
    fn round(&mut self, call: &Apply, reached: &[usize]) -> (WriteRound<Seen>, WriteStep) {
        let kind = if call.command.is_read() { Kind::SlowRead } else { Kind::Mutation };
        let mut round = WriteRound::new(kind, call.ballot, Quorum::of(3), call.keep);
        let mut step = if reached.len() < 3 { round.on_hedge() } else { WriteStep::Wait };
        for node in reached {
            let answer = self.nodes[*node].apply(call);
            step = match round.on_answer(NodeIndex(*node), answer) {
                WriteStep::Wait => step,
                news => news,
            };
        }
        (round, step)
    }

    fn settle(&mut self, time: u64, state: &State, node: usize) -> SettleAnswer {
        let call = Settle { ballot: ballot(time), position: state.position(), state: Some(state.clone()) };
        self.nodes[node].settle(&call)
    }

    fn read(&self, control: Control) -> ReadStep {
        let mut round = ReadRound::new(Quorum::of(3));
        let mut last = ReadStep::Wait;
        for (node, answer) in self.nodes.iter().map(|node| node.read(Command::Read)).enumerate() {
            last = match round.on_answer(NodeIndex(node), control.rewrite_read(answer)) {
                ReadStep::Wait => last,
                news => news,
            };
        }
        last
    }
}

fn chosen(round: &WriteRound<Seen>) -> State {
    round.winner().map(|(_, ack)| ack.reply.state.clone()).expect("the round has settled")
}

fn ops(state: &State) -> Vec<usize> {
    let mut ops: Vec<usize> = state.entries().map(|entry| entry.client).collect();
    ops.reverse();
    ops
}

/// Why R1 compares promises although digests name ballots: three nodes hold one history, and a settle is still
/// on its way.
#[test]
fn a_read_of_equal_histories_under_unequal_promises_can_be_undone_by_a_slow_settle() {
    let mut stage = Stage::default();
    let (first, _) = stage.round(&apply(1, 10, Command::Append(1)), &[A, B, C]);
    stage.settle(10, &chosen(&first), B);
    stage.settle(10, &chosen(&first), C);
    // Op 2 runs on A and C, and its coordinator dies.
    stage.round(&apply(2, 20, Command::Append(2)), &[A, C]);
    // A slow read at 30 meets A and B, picks B's history for its settle; the settle lingers.
    let (slow, _) = stage.round(&apply(3, 30, Command::Read), &[A, B]);
    assert_eq!(ops(&chosen(&slow)), [1]);
    // A slow read at 40 meets B and C, picks C's history; only B gets the settle.
    let (other, _) = stage.round(&apply(4, 40, Command::Read), &[B, C]);
    assert_eq!(ops(&chosen(&other)), [1, 2]);
    assert_eq!(stage.settle(40, &chosen(&other), B), SettleAnswer::Accepted);
    // All three hold [1 2]. R1 would answer it, if it did not look at the promises.
    let shortcut = ReadStep::Decided(Decided { rule: Rule::R1, from: NodeIndex(A) });
    assert_eq!(stage.read(Control::PromiseNotCompared), shortcut);
    assert!(matches!(stage.read(Control::Sound), ReadStep::Disagree(_)));
    // The lingering settle lands, and a slow read of A and C commits [1]: op 2 is undone.
    assert_eq!(stage.settle(30, &chosen(&slow), A), SettleAnswer::Accepted);
    let (last, _) = stage.round(&apply(5, 50, Command::Read), &[A, C]);
    assert_eq!(ops(&chosen(&last)), [1]);
}

/// Why ABSENT must come from all N for a mutation: an LPOP that "found nothing" has popped.
#[test]
fn an_lpop_that_two_nodes_call_absent_pops_an_element_on_the_third() {
    let mut stage = Stage::default();
    stage.round(&apply(1, 10, Command::Append(1)), &[A]);
    let (lpop, step) = stage.round(&apply(2, 20, Command::Pop), &[B, C, A]);
    assert!(matches!(lpop.answer(NodeIndex(B)), Some(ApplyAnswer::Absent { .. })));
    assert!(matches!(lpop.answer(NodeIndex(C)), Some(ApplyAnswer::Absent { .. })));
    assert_eq!(step, WriteStep::Retry(Retry { above: None, expiring_at_ms: None, keep: true }));
    // The RPUSH is retried: A's history is the longest, and the element is gone in it.
    let (rpush, _) = stage.round(&apply(1, 30, Command::Append(1)), &[A, B, C]);
    assert_eq!(ops(&chosen(&rpush)), [1, 2]);
    assert!(chosen(&rpush).value().is_empty());
}

/// Why the retry of a mutation asks for `keep`: the first round's call can still arrive after all N said ABSENT
/// to the second.
#[test]
fn a_call_of_an_earlier_round_pops_after_all_nodes_said_absent() {
    let mut stage = Stage::default();
    let first = apply(2, 20, Command::Pop);
    let (_, step) = stage.round(&first, &[B, C]); // The call to A lingers.
    assert_eq!(step, WriteStep::Retry(Retry { above: None, expiring_at_ms: None, keep: true }));
    let forgetful = apply(2, 30, Command::Pop);
    let (_, step) = stage.round(&forgetful, &[A, B, C]);
    assert_eq!(step, WriteStep::Decided(Decided { rule: Rule::R3, from: NodeIndex(A) }));
    // An older RPUSH arrives, then the LPOP's first call: what the client was told has become false.
    stage.round(&apply(1, 10, Command::Append(1)), &[A]);
    stage.round(&first, &[A]);
    assert!(matches!(stage.nodes[A].record.as_ref(), Some(record) if ops(&record.state) == [1, 2]));
}

/// The same with `keep`: the promise of the second round turns the old calls away.
#[test]
fn a_kept_promise_turns_the_calls_of_earlier_rounds_away() {
    let mut stage = Stage::default();
    let first = apply(2, 20, Command::Pop);
    stage.round(&first, &[B, C]);
    let kept = Apply { keep: true, ..apply(2, 30, Command::Pop) };
    let (round, step) = stage.round(&kept, &[A, B, C]);
    assert_eq!(step, WriteStep::Decided(Decided { rule: Rule::W1, from: NodeIndex(A) }));
    assert!(matches!(round.winner(), Some((_, ack)) if ack.reply.reply == Reply::Popped(None)));
    let (late, _) = stage.round(&apply(1, 10, Command::Append(1)), &[A]);
    assert_eq!(late.answer(NodeIndex(A)).map(is_nack), Some(true));
    let (late, _) = stage.round(&first, &[A]);
    assert_eq!(late.answer(NodeIndex(A)).map(is_nack), Some(true));
}

fn is_nack(answer: &ApplyAnswer<Seen>) -> bool {
    matches!(answer, ApplyAnswer::Nack { promised } if *promised == ballot(30))
}
