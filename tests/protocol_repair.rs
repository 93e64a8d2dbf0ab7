//! What each node is sent after a decision, as tables: one column per node.

use anarchoredis::protocol::{
    Ack, ApplyAnswer, Ballot, CoordinatorId, Digest, Kind, NoVote, NodeIndex, Position, Quorum, ReadAnswer,
    ReadRound, RepairNeed, Repairs, SettleAnswer, Standing, Version, WriteRound, WriteStep,
};

fn ballot(time: u64) -> Ballot {
    Ballot::new(time, CoordinatorId(1))
}

/// Accepted (0: none), settled, version, history.
fn standing(accepted: u64, settled: u64, version: u64, history: char) -> Standing {
    let position = Position { version: Version(version), digest: Digest::from_bytes([history as u8; 16]) };
    Standing { accepted: (accepted > 0).then(|| ballot(accepted)), settled: Version(settled), position }
}

fn ack(standing: Standing) -> ApplyAnswer<()> {
    ApplyAnswer::Ack(Ack { standing, ran: Some(ballot(50)), reply: () })
}

fn report(standing: Standing) -> ReadAnswer<()> {
    ReadAnswer::Report { promised: ballot(90), standing, due_ms: 0, reply: () }
}

/// One letter per node: c confirm, s state, - nothing.
fn letters(repairs: &Repairs) -> String {
    let letter = |node| match repairs.iter().find(|(repaired, _)| *repaired == NodeIndex(node)) {
        Some((_, RepairNeed::Confirm)) => 'c',
        Some((_, RepairNeed::State)) => 's',
        None => '-',
    };
    (0..3).map(letter).collect()
}

#[test]
fn after_w2_every_node_that_has_not_accepted_is_repaired() {
    use SettleAnswer::{Accepted, Nack, NeedsState, NoVote as Silent};
    let same = || ack(standing(0, 0, 1, 'x'));
    let other = ack(standing(0, 0, 1, 'a'));
    let unknown = ApplyAnswer::NoVote(NoVote::Unknown);
    let nack = Nack { promised: ballot(70) };
    //  what C answered to apply, and A, B and C to settle
    let rows = [
        (unknown.clone(), [Some(Accepted), Some(Accepted), None], "--s"),
        (unknown.clone(), [Some(Accepted), Some(Accepted), Some(Silent)], "--s"),
        (unknown, [Some(Accepted), Some(Accepted), Some(Accepted)], "---"),
        (other.clone(), [Some(Accepted), Some(Accepted), Some(NeedsState)], "--s"),
        (other.clone(), [Some(Accepted), Some(nack), Some(Accepted)], "-c-"),
        (other, [Some(NeedsState), Some(Accepted), Some(Accepted)], "s--"),
    ];
    for (third, settles, expected) in rows {
        let mut round = WriteRound::new(Kind::Mutation, ballot(50), Quorum::of(3), false);
        round.on_hedge();
        round.on_answer(NodeIndex(2), third.clone());
        round.on_answer(NodeIndex(1), same());
        assert!(round.repairs().is_empty(), "nothing is decided yet");
        round.on_answer(NodeIndex(0), same());
        for (node, answer) in settles.iter().enumerate() {
            answer.map(|answer| round.on_settle_answer(NodeIndex(node), answer));
        }
        assert_eq!(letters(&round.repairs()), expected, "{third:?} {settles:?}");
    }
}

#[test]
fn a_settle_that_arrives_after_the_decision_leaves_nothing_to_repair() {
    let mut round = WriteRound::new(Kind::Mutation, ballot(50), Quorum::of(3), false);
    for node in 0..2 {
        round.on_answer(NodeIndex(node), ack(standing(0, 0, 1, 'x')));
    }
    round.on_hedge();
    round.on_settle_answer(NodeIndex(0), SettleAnswer::Accepted);
    assert!(matches!(round.on_settle_answer(NodeIndex(1), SettleAnswer::Accepted), WriteStep::Decided(_)));
    assert_eq!(letters(&round.repairs()), "--s");
    assert_eq!(round.on_answer(NodeIndex(2), ack(standing(0, 0, 1, 'x'))), WriteStep::Wait);
    assert_eq!(letters(&round.repairs()), "--c", "the straggler holds the history already");
    assert_eq!(round.on_settle_answer(NodeIndex(2), SettleAnswer::Accepted), WriteStep::Wait);
    assert_eq!(letters(&round.repairs()), "---");
}

#[test]
fn after_r2_every_node_that_differs_or_is_silent_is_repaired() {
    let settled = || report(standing(50, 3, 3, 'x'));
    //  C                                                  A B C
    let rows = [
        (Some(settled()), "---"),
        (None, "--c"),
        (Some(ReadAnswer::NoVote), "--c"),
        (Some(ReadAnswer::Expiring { at_ms: 7 }), "--c"),
        (Some(ReadAnswer::Absent { reply: () }), "--s"),
        (Some(report(standing(40, 2, 2, 'v'))), "--s"),
        (Some(report(standing(50, 3, 4, 'y'))), "--s"),
        // The history is there, and only not known to be settled.
        (Some(report(standing(40, 2, 3, 'x'))), "--c"),
        (Some(report(standing(0, 0, 3, 'x'))), "--c"),
    ];
    for (third, expected) in rows {
        let mut round = ReadRound::new(Quorum::of(3));
        round.on_answer(NodeIndex(0), settled());
        round.on_answer(NodeIndex(1), settled());
        third.clone().map(|answer| round.on_answer(NodeIndex(2), answer));
        assert_eq!(letters(&round.repairs()), expected, "{third:?}");
        assert!(!round.is_in_doubt());
    }
}

#[test]
fn what_no_settle_has_chosen_is_not_spread_but_brought_to_a_slow_read() {
    let settled = report(standing(50, 3, 3, 'x'));
    let ahead = report(standing(50, 3, 4, 'y'));
    let never = report(standing(0, 0, 4, 'y'));
    let absent = ReadAnswer::Absent { reply: () };
    //   A                B                 repairs  in doubt
    let rows = [
        ([settled.clone(), report(standing(40, 2, 2, 'v'))], "-sc", false),
        ([settled.clone(), ahead.clone()], "---", true),
        ([never.clone(), absent.clone()], "---", true),
        ([never.clone(), never], "---", false),
        ([absent.clone(), absent.clone()], "---", false),
        ([settled, absent], "-sc", false),
    ];
    for (answers, repairs, in_doubt) in rows {
        let mut round = ReadRound::quorum_level(Quorum::of(3));
        for (node, answer) in answers.iter().enumerate() {
            round.on_answer(NodeIndex(node), answer.clone());
        }
        assert_eq!(letters(&round.repairs()), repairs, "{answers:?}");
        assert_eq!(round.is_in_doubt(), in_doubt, "{answers:?}");
    }
}

#[test]
fn a_single_copy_beside_a_majority_of_absents_is_in_doubt() {
    let absent = || ReadAnswer::Absent { reply: () };
    let mut round = ReadRound::new(Quorum::of(3));
    round.on_answer(NodeIndex(0), report(standing(0, 0, 1, 'x')));
    round.on_answer(NodeIndex(1), absent());
    round.on_answer(NodeIndex(2), absent());
    assert!(round.repairs().is_empty() && round.is_in_doubt());
}

#[test]
fn an_acknowledgement_that_contradicts_i1_counts_for_nothing_and_may_have_run() {
    // Accepted not below the round's own ballot; settled above version; settled without a settle.
    for broken in [standing(50, 1, 1, 'x'), standing(40, 2, 1, 'x'), standing(0, 1, 1, 'x')] {
        let mut round = WriteRound::new(Kind::Mutation, ballot(50), Quorum::of(1), false);
        assert!(matches!(round.on_answer(NodeIndex(0), ack(broken)), WriteStep::Retry(_)));
        assert_eq!(round.answer(NodeIndex(0)), Some(&ApplyAnswer::NoVote(NoVote::Unknown)));
    }
}

#[test]
fn a_late_answer_replaces_the_silence_that_a_time_out_reported() {
    let mut round = WriteRound::new(Kind::Mutation, ballot(50), Quorum::of(3), false);
    round.on_answer(NodeIndex(2), ApplyAnswer::NoVote(NoVote::Unknown));
    round.on_answer(NodeIndex(2), ack(standing(0, 0, 1, 'x')));
    round.on_answer(NodeIndex(2), ApplyAnswer::Nack { promised: ballot(60) });
    assert!(matches!(round.answer(NodeIndex(2)), Some(ApplyAnswer::Ack(_))), "the first real answer counts");
}
