//! R1-R4 and the quorum level as tables: one column per node.

use anarchoredis::protocol::{
    Ballot, CoordinatorId, Decided, Digest, Disagreement, NodeIndex, Position, Quorum, ReadAnswer, ReadRound,
    ReadStep, Rule, Standing, Version,
};

type Answer = ReadAnswer<&'static str>;

fn ballot(time: u64) -> Ballot {
    Ballot::new(time, CoordinatorId(1))
}

/// A report: promised, accepted (0: none), settled, version, history.
fn at(promised: u64, accepted: u64, settled: u64, version: u64, history: char) -> Option<Answer> {
    let position = Position { version: Version(version), digest: Digest::from_bytes([history as u8; 16]) };
    let accepted = (accepted > 0).then(|| ballot(accepted));
    let standing = Standing { accepted, settled: Version(settled), position };
    Some(ReadAnswer::Report { promised: ballot(promised), standing, due_ms: 0, reply: "value" })
}

const ABSENT: Option<Answer> = Some(ReadAnswer::Absent { reply: "nil" });
const NO_VOTE: Option<Answer> = Some(ReadAnswer::NoVote);
const SILENT: Option<Answer> = None;

/// Brings answers in the order of the nodes and returns the first step that is not `Wait`.
fn play<const N: usize>(round: &mut ReadRound<&'static str>, answers: [Option<Answer>; N]) -> ReadStep {
    let mut step = ReadStep::Wait;
    for (node, answer) in answers.into_iter().enumerate() {
        if let (Some(answer), ReadStep::Wait) = (answer, &step) {
            step = round.on_answer(NodeIndex(node), answer);
        }
    }
    step
}

fn read<const N: usize>(answers: [Option<Answer>; N]) -> ReadStep {
    play(&mut ReadRound::new(Quorum::of(N)), answers)
}

fn read_after_hedge<const N: usize>(answers: [Option<Answer>; N]) -> ReadStep {
    let mut round = ReadRound::new(Quorum::of(N));
    match play(&mut round, answers) {
        ReadStep::Wait => round.on_hedge(),
        step => step,
    }
}

fn decided(rule: Rule, from: usize) -> ReadStep {
    ReadStep::Decided(Decided { rule, from: NodeIndex(from) })
}

fn disagree(above: Option<u64>, reachable: usize) -> ReadStep {
    ReadStep::Disagree(Disagreement { above: above.map(ballot), expiring_at_ms: None, reachable })
}

/// Found by a search over skewed clocks: a PERSIST of an earlier time, run at one node that was behind, brought a key back that had
/// been read as expired.
#[test]
fn r2_takes_a_key_for_expired_only_by_a_settle_of_a_later_time() {
    let due = |at_ms: u64| {
        let Some(ReadAnswer::Report { promised, standing, reply, .. }) = at(9_000, 9_000, 2, 2, 'x') else {
            unreachable!("a report")
        };
        Some(ReadAnswer::Report { promised, standing, due_ms: at_ms, reply })
    };
    // Ballots are in µs: the settle was at 9 ms.
    assert_eq!(read([due(9), due(9), SILENT]), decided(Rule::R2, 0));
    assert_eq!(read_after_hedge([due(10), due(10), SILENT]), disagree(Some(9_000), 2));
    assert_eq!(
        read([due(10), due(10), due(10)]),
        decided(Rule::R1, 0),
        "no node can run an op of an earlier time"
    );
}

#[test]
fn r1_answers_when_all_nodes_report_one_promise_and_one_position() {
    //         A                       B                       C
    let holds = [
        [at(50, 0, 0, 3, 'x'), at(50, 0, 0, 3, 'x'), at(50, 0, 0, 3, 'x')],
        [at(50, 40, 2, 3, 'x'), at(50, 30, 1, 3, 'x'), at(50, 0, 0, 3, 'x')],
    ];
    for answers in holds {
        assert_eq!(read(answers), decided(Rule::R1, 0));
    }
    let does_not = [
        // Another promise on one of them: a slow settle may still land there.
        ([at(50, 0, 0, 3, 'x'), at(50, 0, 0, 3, 'x'), at(60, 0, 0, 3, 'x')], disagree(Some(60), 3)),
        ([at(50, 0, 0, 3, 'x'), at(50, 0, 0, 3, 'y'), SILENT], disagree(Some(50), 2)),
        ([at(50, 0, 0, 3, 'x'), NO_VOTE, at(50, 0, 0, 3, 'x')], disagree(Some(50), 2)),
        ([at(50, 0, 0, 3, 'x'), ABSENT, at(50, 0, 0, 3, 'x')], disagree(Some(50), 3)),
    ];
    for (answers, expected) in does_not {
        assert_eq!(read(answers.clone()), expected, "{answers:?}");
    }
}

#[test]
fn r2_answers_as_soon_as_a_majority_holds_one_settle_and_nothing_after_it() {
    //         A                       B                       C
    let holds = [
        ([at(50, 50, 3, 3, 'x'), at(50, 50, 3, 3, 'x'), SILENT], 0),
        ([NO_VOTE, at(50, 50, 3, 3, 'x'), at(50, 50, 3, 3, 'x')], 1),
        ([ABSENT, at(50, 50, 3, 3, 'x'), at(50, 50, 3, 3, 'x')], 1),
        // Promises may differ: whoever is above must meet one of these two.
        ([at(50, 50, 3, 3, 'x'), at(70, 40, 2, 4, 'y'), at(60, 50, 3, 3, 'x')], 0),
    ];
    for (answers, from) in holds {
        assert_eq!(read(answers.clone()), decided(Rule::R2, from), "{answers:?}");
    }
    let does_not = [
        // Executed, but not settled.
        [at(60, 50, 2, 3, 'x'), at(60, 50, 2, 3, 'x'), NO_VOTE],
        // Never settled at all.
        [at(60, 0, 0, 3, 'x'), at(60, 0, 0, 3, 'x'), NO_VOTE],
        // One history, two ballots.
        [at(60, 50, 3, 3, 'x'), at(60, 40, 3, 3, 'x'), NO_VOTE],
        // Two histories: only after a restart with older data, but never to be answered.
        [at(60, 50, 3, 3, 'x'), at(60, 50, 3, 3, 'y'), NO_VOTE],
    ];
    for answers in does_not {
        assert_eq!(read(answers.clone()), disagree(Some(60), 2), "{answers:?}");
    }
}

#[test]
fn r3_answers_that_nothing_exists_when_a_majority_says_so() {
    //     A                       B        C
    let rows = [
        ([ABSENT, ABSENT, SILENT], decided(Rule::R3, 0)),
        ([at(50, 0, 0, 1, 'x'), ABSENT, ABSENT], decided(Rule::R3, 1)),
        ([NO_VOTE, ABSENT, ABSENT], decided(Rule::R3, 1)),
        // Unreachable is not absent.
        ([NO_VOTE, NO_VOTE, SILENT], disagree(None, 0)),
        ([NO_VOTE, ABSENT, NO_VOTE], disagree(None, 1)),
        ([NO_VOTE, NO_VOTE, NO_VOTE], disagree(None, 0)),
    ];
    for (answers, expected) in rows {
        assert_eq!(read(answers.clone()), expected, "{answers:?}");
    }
}

#[test]
fn r4_says_what_the_next_round_must_be_above() {
    let expiring = |at_ms| Some(ReadAnswer::Expiring { at_ms });
    //  A                       B                       C          above     expiring reachable
    let rows = [
        ([at(50, 0, 0, 1, 'x'), at(60, 0, 0, 1, 'x'), SILENT], Some(60), None, 2),
        ([at(50, 0, 0, 1, 'x'), expiring(7), SILENT], Some(50), Some(7), 2),
        ([expiring(7), expiring(9), SILENT], None, Some(9), 2),
        ([NO_VOTE, expiring(9), at(50, 50, 1, 1, 'x')], Some(50), Some(9), 2),
    ];
    for (answers, above, expiring_at_ms, reachable) in rows {
        let expected = Disagreement { above: above.map(ballot), expiring_at_ms, reachable };
        assert_eq!(read(answers.clone()), ReadStep::Disagree(expected), "{answers:?}");
    }
}

#[test]
fn r4_comes_at_once_where_no_rule_can_hold_any_more() {
    //         A                       B                       C       before the hedge delay     after it
    let rows = [
        ([at(50, 0, 0, 3, 'x'), at(60, 0, 0, 3, 'x'), SILENT], disagree(Some(60), 2), disagree(Some(60), 2)),
        ([at(50, 0, 0, 3, 'x'), at(60, 50, 3, 3, 'y'), SILENT], ReadStep::Wait, disagree(Some(60), 2)),
        ([at(50, 0, 0, 3, 'x'), at(50, 0, 0, 3, 'x'), SILENT], ReadStep::Wait, disagree(Some(50), 2)),
        ([at(50, 0, 0, 3, 'x'), ABSENT, SILENT], ReadStep::Wait, disagree(Some(50), 2)),
        ([NO_VOTE, NO_VOTE, SILENT], disagree(None, 0), disagree(None, 0)),
        ([NO_VOTE, at(50, 50, 3, 3, 'x'), SILENT], ReadStep::Wait, ReadStep::Wait),
        ([SILENT, SILENT, SILENT], ReadStep::Wait, ReadStep::Wait),
    ];
    for (answers, before, after) in rows {
        assert_eq!(read(answers.clone()), before, "before: {answers:?}");
        assert_eq!(read_after_hedge(answers.clone()), after, "after: {answers:?}");
    }
}

#[test]
fn the_quorum_level_takes_the_highest_of_any_majority() {
    //         A                       B                       C
    let rows = [
        ([at(50, 40, 3, 3, 'x'), at(60, 50, 3, 3, 'y'), SILENT], decided(Rule::Quorum, 1)),
        ([at(50, 40, 3, 4, 'x'), at(60, 40, 3, 3, 'y'), SILENT], decided(Rule::Quorum, 0)),
        // Accepted counts before length.
        ([at(50, 0, 0, 9, 'x'), NO_VOTE, at(60, 40, 3, 3, 'y')], decided(Rule::Quorum, 2)),
        ([ABSENT, at(50, 0, 0, 1, 'x'), SILENT], decided(Rule::Quorum, 1)),
        ([ABSENT, NO_VOTE, ABSENT], decided(Rule::Quorum, 0)),
        ([ABSENT, NO_VOTE, NO_VOTE], disagree(None, 1)),
        ([NO_VOTE, at(50, 0, 0, 1, 'x'), SILENT], ReadStep::Wait),
    ];
    for (answers, expected) in rows {
        let mut round = ReadRound::quorum_level(Quorum::of(3));
        assert_eq!(play(&mut round, answers.clone()), expected, "{answers:?}");
    }
}

#[test]
fn five_nodes_need_three() {
    let x = || at(50, 50, 3, 3, 'x');
    assert_eq!(read([x(), NO_VOTE, x(), NO_VOTE, x()]), decided(Rule::R2, 0));
    assert_eq!(read([x(), NO_VOTE, x(), NO_VOTE, at(60, 50, 3, 4, 'y')]), disagree(Some(60), 3));
    assert_eq!(read([ABSENT, ABSENT, NO_VOTE, x(), ABSENT]), decided(Rule::R3, 0));
}

#[test]
fn a_report_that_contradicts_i1_is_no_vote() {
    //                 accepted above promised, settled above version, settled without a settle
    for broken in [at(40, 50, 3, 3, 'x'), at(50, 50, 4, 3, 'x'), at(50, 0, 3, 3, 'x')] {
        let step = read([broken.clone(), at(50, 50, 3, 3, 'x'), NO_VOTE]);
        assert_eq!(step, disagree(Some(50), 1), "{broken:?}");
    }
}

#[test]
fn after_its_end_a_round_only_waits_and_a_late_answer_replaces_only_silence() {
    let mut round = ReadRound::new(Quorum::of(3));
    play(&mut round, [NO_VOTE, ABSENT, ABSENT]);
    for late in [at(50, 50, 3, 3, 'x'), at(60, 60, 4, 4, 'y')].into_iter().flatten() {
        assert_eq!(round.on_answer(NodeIndex(0), late), ReadStep::Wait);
    }
    assert_eq!(round.on_hedge(), ReadStep::Wait);
    assert_eq!(round.answer(NodeIndex(0)), at(50, 50, 3, 3, 'x').as_ref(), "the first real answer counts");
    assert_eq!(round.decided(), Some(Decided { rule: Rule::R3, from: NodeIndex(1) }));
    assert_eq!(round.into_answers().len(), 3);
}
