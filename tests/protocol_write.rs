//! W1-W4, and R3 for mutations, as tables: one column per node.

use anarchoredis::protocol::{
    Abandoned, Ack, ApplyAnswer, Ballot, CoordinatorId, Decided, Digest, Kind, NoVote, NodeIndex, Position,
    Quorum, RepairNeed, Retry, Rule, SettleAnswer, Standing, Version, WriteRound, WriteStep,
};

type Answer = ApplyAnswer<&'static str>;
type Round = WriteRound<&'static str>;

/// The ballot of every round here.
const OURS: u64 = 50;

fn ballot(time: u64) -> Ballot {
    Ballot::new(time, CoordinatorId(1))
}

/// The end of a history that goes by this letter.
fn position(version: u64, history: char) -> Position {
    let digest = if version == 0 { Digest::EMPTY } else { Digest::from_bytes([history as u8; 16]) };
    Position { version: Version(version), digest }
}

/// An acknowledgement: accepted (0: none), settled, version, history; the op ran.
fn ack(accepted: u64, settled: u64, version: u64, history: char) -> Answer {
    let accepted = (accepted > 0).then(|| ballot(accepted));
    let standing = Standing { accepted, settled: Version(settled), position: position(version, history) };
    ApplyAnswer::Ack(Ack { standing, ran: Some(ballot(OURS)), reply: "done" })
}

/// An acknowledgement of a command that failed or only read.
fn ack_unchanged(version: u64, history: char) -> Answer {
    match ack(0, 0, version, history) {
        ApplyAnswer::Ack(ack) => ApplyAnswer::Ack(Ack { ran: None, ..ack }),
        other => other,
    }
}

fn nack(promised: u64) -> Answer {
    ApplyAnswer::Nack { promised: ballot(promised) }
}

fn absent() -> Answer {
    ApplyAnswer::Absent { reply: "nil" }
}

const NOT_SENT: Answer = ApplyAnswer::NoVote(NoVote::NotSent);
const REFUSED: Answer = ApplyAnswer::NoVote(NoVote::Refused);
const UNKNOWN: Answer = ApplyAnswer::NoVote(NoVote::Unknown);

fn round(kind: Kind) -> Round {
    WriteRound::new(kind, ballot(OURS), Quorum::of(3), false)
}

/// Brings answers in the order of the nodes (`None`: silent) and returns the first step that is not `Wait`.
fn play<const N: usize>(round: &mut Round, answers: [Option<Answer>; N]) -> WriteStep {
    let mut step = WriteStep::Wait;
    for (node, answer) in answers.into_iter().enumerate() {
        if let (Some(answer), WriteStep::Wait) = (answer, &step) {
            step = round.on_answer(NodeIndex(node), answer);
        }
    }
    step
}

fn decided(rule: Rule, from: usize) -> WriteStep {
    WriteStep::Decided(Decided { rule, from: NodeIndex(from) })
}

fn retry(above: Option<u64>, keep: bool) -> WriteStep {
    WriteStep::Retry(Retry { above: above.map(ballot), expiring_at_ms: None, keep })
}

/// The winner and what each node is sent, one letter each: c confirm, s state.
fn settles(step: WriteStep) -> (usize, String) {
    let WriteStep::Settle(plan) = step else { panic!("expected a settle, got {step:?}") };
    assert_eq!(plan.ballot, ballot(OURS), "a settle goes out at the round's own ballot");
    let letter = |need| if need == RepairNeed::Confirm { 'c' } else { 's' };
    (plan.winner.0, plan.sends.into_iter().map(|(_, need)| letter(need)).collect())
}

#[test]
fn w1_commits_when_all_nodes_acknowledge_one_position() {
    //        A                             B                             C
    let rows = [
        [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x'))],
        [Some(ack(40, 2, 3, 'x')), Some(ack(40, 2, 3, 'x')), Some(ack(40, 2, 3, 'x'))],
        // The same history with other settles behind it is the same history.
        [Some(ack(40, 2, 3, 'x')), Some(ack(30, 1, 3, 'x')), Some(ack(0, 0, 3, 'x'))],
        // All failed alike: what is committed is that nothing changed.
        [Some(ack_unchanged(3, 'x')), Some(ack_unchanged(3, 'x')), Some(ack_unchanged(3, 'x'))],
    ];
    for answers in rows {
        let mut round = round(Kind::Mutation);
        assert_eq!(play(&mut round, answers), decided(Rule::W1, 0));
        assert!(round.repairs().is_empty(), "after W1 all nodes are equal");
    }
}

#[test]
fn w1_waits_for_the_third_node_until_the_hedge_delay_has_passed() {
    let mut round = round(Kind::Mutation);
    assert_eq!(play(&mut round, [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x')), None]), WriteStep::Wait);
    assert_eq!(settles(round.on_hedge()), (0, "ccs".to_owned()));
}

#[test]
fn w2_settles_the_highest_accepted_then_version_then_digest() {
    //        A                           B                           C                          winner sends
    let rows = [
        ([Some(ack(40, 3, 4, 'x')), Some(NOT_SENT), Some(ack(40, 3, 4, 'x'))], (0, "csc")),
        ([Some(ack(40, 3, 4, 'x')), Some(ack(30, 3, 4, 'y')), None], (0, "css")),
        ([Some(ack(30, 3, 4, 'y')), Some(ack(40, 3, 4, 'x')), None], (1, "scs")),
        // P01: a version that no quorum accepted does not beat a settle, however long.
        ([Some(ack(0, 0, 9, 'y')), Some(ack(40, 3, 4, 'x')), None], (1, "scs")),
        ([Some(ack(40, 3, 4, 'x')), Some(ack(40, 3, 5, 'y')), None], (1, "scs")),
        // P13: equal up to the digest; every coordinator takes the same one.
        ([Some(ack(40, 3, 4, 'y')), Some(ack(40, 3, 4, 'x')), None], (0, "css")),
        ([Some(ack(40, 3, 4, 'x')), Some(ack(40, 3, 4, 'y')), None], (1, "scs")),
        ([Some(ack(0, 0, 1, 'x')), Some(absent()), Some(ack(0, 0, 1, 'x'))], (0, "csc")),
        ([Some(nack(60)), Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x'))], (1, "scc")),
        ([Some(REFUSED), Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 2, 'y'))], (2, "ssc")),
        // A command that fails on the highest node fails, although it ran on another.
        ([Some(ack(0, 0, 4, 'y')), Some(UNKNOWN), Some(ack_unchanged(5, 'z'))], (2, "ssc")),
    ];
    for (answers, (winner, sends)) in rows {
        let step = play(&mut round(Kind::Mutation), answers.clone());
        assert_eq!(settles(step), (winner, sends.to_owned()), "{answers:?}");
    }
}

#[test]
fn w2_commits_when_a_majority_accepts_and_retries_when_it_cannot() {
    use SettleAnswer::{Accepted, NeedsState, NoVote};
    let nack = SettleAnswer::Nack { promised: ballot(70) };
    //     A         B           C
    let rows = [
        ([Accepted, Accepted, Accepted], decided(Rule::W2, 0)),
        ([Accepted, nack, Accepted], decided(Rule::W2, 0)),
        ([NoVote, Accepted, Accepted], decided(Rule::W2, 0)),
        ([NeedsState, Accepted, Accepted], decided(Rule::W2, 0)),
        ([Accepted, nack, NoVote], retry(Some(70), true)),
        ([Accepted, NeedsState, NoVote], retry(None, true)),
        ([nack, nack, Accepted], retry(Some(70), true)),
    ];
    for (answers, expected) in rows {
        let mut round = round(Kind::Mutation);
        play(&mut round, [Some(ack(0, 0, 1, 'x')), Some(NOT_SENT), Some(ack(0, 0, 1, 'x'))]);
        let steps =
            answers.iter().enumerate().map(|(node, answer)| round.on_settle_answer(NodeIndex(node), *answer));
        let ends: Vec<_> = steps.filter(|step| *step != WriteStep::Wait).collect();
        assert_eq!(ends, [expected], "{answers:?}");
    }
}

#[test]
fn a_node_that_has_accepted_stays_accepted_whatever_it_says_later() {
    let mut round = round(Kind::Mutation);
    play(&mut round, [Some(ack(0, 0, 1, 'x')), Some(NOT_SENT), Some(ack(0, 0, 1, 'x'))]);
    assert_eq!(round.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted), WriteStep::Wait);
    assert_eq!(
        round.on_settle_answer(NodeIndex(0), SettleAnswer::Nack { promised: ballot(70) }),
        WriteStep::Wait
    );
    assert_eq!(round.on_settle_answer(NodeIndex(2), SettleAnswer::Accepted), decided(Rule::W2, 0));
}

#[test]
fn w3_starts_again_above_the_highest_refusal_and_later_than_the_latest_expiry() {
    let expiring = |at_ms| ApplyAnswer::Expiring { at_ms };
    //        A                       B                   C                      above     expiring
    let rows = [
        ([Some(nack(60)), Some(nack(70)), None], Some(70), None),
        ([Some(nack(70)), Some(ack(0, 0, 1, 'x')), Some(nack(60))], Some(70), None),
        ([Some(expiring(7)), Some(expiring(9)), None], None, Some(9)),
        ([Some(expiring(7)), Some(nack(60)), None], Some(60), Some(7)),
        ([Some(REFUSED), Some(UNKNOWN), None], None, None),
    ];
    for (answers, above, expiring_at_ms) in rows {
        let expected = Retry { above: above.map(ballot), expiring_at_ms, keep: true };
        assert_eq!(play(&mut round(Kind::Mutation), answers), WriteStep::Retry(expected));
    }
}

#[test]
fn w4_is_not_applied_only_if_no_node_can_have_run_it() {
    use Abandoned::{Indeterminate, NotApplied};
    //        A                            B                     C
    let rows = [
        ([Some(NOT_SENT), Some(NOT_SENT), Some(NOT_SENT)], NotApplied),
        ([Some(NOT_SENT), Some(REFUSED), Some(nack(60))], NotApplied),
        ([Some(absent()), Some(REFUSED), Some(ack_unchanged(3, 'x'))], NotApplied),
        ([Some(NOT_SENT), Some(NOT_SENT), None], Indeterminate),
        ([Some(NOT_SENT), Some(NOT_SENT), Some(UNKNOWN)], Indeterminate),
        ([Some(nack(60)), Some(ack(0, 0, 1, 'x')), Some(nack(60))], Indeterminate),
        // A refusal that names this round's own ballot: another copy of the call was there first.
        ([Some(nack(OURS)), Some(REFUSED), Some(REFUSED)], Indeterminate),
    ];
    for (answers, expected) in rows {
        let mut mutation = round(Kind::Mutation);
        let mut slow_read = round(Kind::SlowRead);
        for (node, answer) in answers.clone().into_iter().enumerate() {
            answer.clone().map(|answer| mutation.on_answer(NodeIndex(node), answer));
            answer.map(|answer| slow_read.on_answer(NodeIndex(node), answer));
        }
        assert_eq!(mutation.outcome_if_abandoned(), expected, "{answers:?}");
        assert_eq!(slow_read.outcome_if_abandoned(), NotApplied, "a read changes nothing");
    }
}

#[test]
fn r3_takes_all_nodes_for_a_mutation_and_a_majority_for_a_slow_read() {
    let some = ack_unchanged(1, 'x');
    //        A               B               C                        mutation              slow read
    let rows = [
        ([Some(absent()), Some(absent()), Some(absent())], decided(Rule::R3, 0), decided(Rule::R3, 0)),
        ([Some(absent()), Some(absent()), Some(some.clone())], retry(None, true), decided(Rule::R3, 0)),
        ([Some(some.clone()), Some(absent()), Some(absent())], retry(None, true), decided(Rule::R3, 1)),
        ([Some(absent()), Some(absent()), Some(UNKNOWN)], retry(None, true), decided(Rule::R3, 0)),
        ([Some(absent()), Some(absent()), None], WriteStep::Wait, decided(Rule::R3, 0)),
        ([Some(absent()), Some(NOT_SENT), None], retry(None, true), WriteStep::Wait),
        ([Some(absent()), Some(NOT_SENT), Some(some)], retry(None, true), retry(None, true)),
        ([Some(NOT_SENT), Some(UNKNOWN), Some(REFUSED)], retry(None, true), retry(None, false)),
    ];
    for (answers, mutation, slow_read) in rows {
        assert_eq!(play(&mut round(Kind::Mutation), answers.clone()), mutation, "{answers:?}");
        assert_eq!(play(&mut round(Kind::SlowRead), answers.clone()), slow_read, "{answers:?}");
    }
}

#[test]
fn a_mutation_that_was_asked_to_keep_its_promise_takes_no_absent_for_an_answer() {
    for kind in [Kind::Mutation, Kind::SlowRead] {
        let mut round: Round = WriteRound::new(kind, ballot(OURS), Quorum::of(3), true);
        assert_eq!(play(&mut round, [Some(absent()), Some(absent()), None]), retry(None, true));
    }
}

#[test]
fn after_the_hedge_delay_a_round_repeats_with_keep_or_waits_for_a_majority() {
    //        A                      B                      C      before hedge  after hedge
    let rows = [
        ([Some(absent()), Some(absent()), None], retry(None, true)),
        ([Some(ack(0, 0, 1, 'x')), Some(absent()), None], retry(None, true)),
        ([Some(ack(0, 0, 1, 'x')), Some(nack(60)), None], retry(Some(60), true)),
        ([Some(ack(0, 0, 1, 'x')), None, None], WriteStep::Wait),
        ([Some(absent()), None, None], WriteStep::Wait),
        ([None, None, None], WriteStep::Wait),
    ];
    for (answers, expected) in rows {
        let mut round = round(Kind::Mutation);
        assert_eq!(play(&mut round, answers.clone()), WriteStep::Wait);
        assert_eq!(round.on_hedge(), expected, "{answers:?}");
    }
    let mut late = round(Kind::Mutation);
    late.on_hedge();
    assert_eq!(play(&mut late, [Some(ack(0, 0, 1, 'x')), None, None]), WriteStep::Wait);
    assert_eq!(settles(late.on_answer(NodeIndex(2), ack(0, 0, 1, 'x'))), (0, "csc".to_owned()));
}

#[test]
fn after_the_hedge_delay_a_settle_that_a_higher_ballot_overtook_does_not_wait_for_a_node_that_hangs() {
    let mut round = round(Kind::Mutation);
    play(&mut round, [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x')), None]);
    round.on_hedge();
    assert_eq!(round.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted), WriteStep::Wait);
    let overtaken = SettleAnswer::Nack { promised: ballot(70) };
    assert_eq!(round.on_settle_answer(NodeIndex(1), overtaken), retry(Some(70), true));
}

#[test]
fn after_a_second_hedge_delay_an_overtaken_settle_does_not_wait_for_a_node_that_stopped_after_its_apply() {
    let acks = || [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'y')), Some(ack(0, 0, 1, 'x'))];
    let overtaken = SettleAnswer::Nack { promised: ballot(70) };
    let mut refused = round(Kind::Mutation);
    play(&mut refused, acks());
    assert_eq!(refused.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted), WriteStep::Wait);
    assert_eq!(refused.on_settle_answer(NodeIndex(1), overtaken), WriteStep::Wait);
    assert_eq!(refused.on_hedge(), retry(Some(70), true));

    let mut alone = round(Kind::Mutation);
    play(&mut alone, acks());
    assert_eq!(alone.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted), WriteStep::Wait);
    assert_eq!(alone.on_hedge(), WriteStep::Wait, "another round would need the same two nodes");
    assert!(matches!(alone.on_settle_answer(NodeIndex(2), SettleAnswer::Accepted), WriteStep::Decided(_)));
}

#[test]
fn a_straggler_completes_w1_while_the_settle_is_under_way_but_never_moves_its_winner() {
    let mut round = round(Kind::Mutation);
    play(&mut round, [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x')), None]);
    round.on_hedge();
    assert_eq!(round.on_answer(NodeIndex(2), ack(0, 0, 1, 'x')), decided(Rule::W1, 0));

    let mut other = self::round(Kind::Mutation);
    play(&mut other, [Some(ack(0, 0, 1, 'x')), Some(ack(0, 0, 1, 'x')), None]);
    other.on_hedge();
    assert_eq!(other.on_answer(NodeIndex(2), ack(40, 9, 9, 'y')), WriteStep::Wait);
    assert_eq!(other.winner().map(|(node, _)| node), Some(NodeIndex(0)), "I3: one position at one ballot");
}

#[test]
fn after_its_end_a_round_only_waits() {
    let mut round = round(Kind::Mutation);
    play(&mut round, [Some(nack(60)), Some(nack(60)), None]);
    assert_eq!(round.on_answer(NodeIndex(2), ack(0, 0, 1, 'x')), WriteStep::Wait);
    assert_eq!(round.on_hedge(), WriteStep::Wait);
    assert_eq!(round.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted), WriteStep::Wait);
    assert_eq!(round.on_answer(NodeIndex(9), ack(0, 0, 1, 'x')), WriteStep::Wait, "no such node");
    assert!(round.winner().is_none() && round.repairs().is_empty());
}
