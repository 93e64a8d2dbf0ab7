//! The terms of the protocol: ballots, op ids, digests, versions, quorums, and who may vote.

use anarchoredis::protocol::{
    Admission, Ballot, BallotClock, CoordinatorId, Digest, Epoch, Facts, Fence, NodeIndex, OpId, Position,
    Quorum, Role, Standing, Version, count_together,
};

#[test]
fn the_text_of_a_ballot_orders_as_the_ballots_do() {
    let times = [0, 1, 9, 10, 999, 1_700_000_000_000_000, 9_999_999_999_999_999];
    let coordinators = [0, 1, 9, 10, 15, 16, 255, u64::MAX];
    let mut ballots = Vec::new();
    for time in times {
        ballots.extend(coordinators.map(|id| Ballot::new(time, CoordinatorId(id))));
    }
    for a in &ballots {
        for b in &ballots {
            assert_eq!(a.cmp(b), a.to_string().cmp(&b.to_string()), "{a} {b}");
        }
    }
}

#[test]
fn a_ballot_is_33_characters_and_reads_back() {
    let ballot = Ballot::new(1_700_000_000_123_456, CoordinatorId(0xabc));
    assert_eq!(ballot.to_string(), "1700000000123456-0000000000000abc");
    assert_eq!(ballot.to_string().parse(), Ok(ballot));
    assert_eq!((ballot.time_ms(), ballot.coordinator()), (1_700_000_000_123, CoordinatorId(0xabc)));
    assert_eq!(
        Ballot::new(u64::MAX, CoordinatorId(0)).to_string().len(),
        33,
        "the width is fixed whatever the clock says"
    );
}

#[test]
fn anything_else_is_no_ballot_and_the_error_shows_it() {
    let wrong = [
        "",
        "-",
        "1-1",
        "1700000000123456-0000000000000ABC",
        "1700000000123456-0000000000000abc ",
        "+700000000123456-0000000000000abc",
        "170000000012345-00000000000000abc",
        "1700000000123456_0000000000000abc",
    ];
    for text in wrong {
        let error = text.parse::<Ballot>().expect_err("not a ballot").to_string();
        assert!(error.contains("a ballot") && error.contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn an_op_id_and_a_digest_read_back_and_nothing_else_does() {
    let op = OpId { coordinator: CoordinatorId(u64::MAX), sequence: 7 };
    assert_eq!(op.to_string(), "ffffffffffffffff-0000000000000007");
    assert_eq!(op.to_string().parse(), Ok(op));
    assert!("ffffffffffffffff-7".parse::<OpId>().is_err());

    let digest = Digest::from_bytes([0x0a; 16]);
    assert_eq!(digest.to_string(), "0a".repeat(16));
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert_eq!(("".parse(), Digest::EMPTY.to_string()), (Ok(Digest::EMPTY), String::new()));
    assert!(Digest::EMPTY.is_empty() && !digest.is_empty());
    for text in ["0a", &"0A".repeat(16), &"0a".repeat(17)] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}

#[test]
fn the_clock_never_gives_the_same_ballot_twice_and_stays_above_what_it_saw() {
    let mut clock = BallotClock::new(CoordinatorId(1));
    //  the wall clock's µs, a ballot seen before (0: none), the time expected
    let rows =
        [(100, 0, 100), (100, 0, 101), (50, 0, 102), (200, 0, 200), (200, 900, 901), (2_000, 5, 2_000)];
    for (now, seen, expected) in rows {
        clock.observe(Ballot::new(seen, CoordinatorId(2)));
        assert_eq!(clock.next(now), Ballot::new(expected, CoordinatorId(1)), "at {now} after {seen}");
    }
}

#[test]
fn rank_is_accepted_then_version_then_digest() {
    let ballot = |time| Some(Ballot::new(time, CoordinatorId(1)));
    let at = |accepted, version, history| Standing {
        accepted,
        settled: Version(0),
        position: Position { version: Version(version), digest: Digest::from_bytes([history; 16]) },
    };
    let rising =
        [at(None, 9, 9), at(ballot(1), 2, 9), at(ballot(1), 3, 1), at(ballot(1), 3, 2), at(ballot(2), 1, 1)];
    assert!(rising.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
    assert!(Standing::default().rank() < rising[0].rank());
}

#[test]
fn any_two_majorities_share_a_node() {
    for (nodes, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)] {
        assert_eq!(Quorum::of(nodes).majority(), majority);
        assert!(2 * majority > nodes);
    }
}

#[test]
fn answers_count_together_only_under_the_newest_epoch() {
    let e = |number| Some(Epoch(number));
    //    A     B     C      who counts
    let rows = [
        ([e(1), e(1), e(1)], vec![0, 1, 2]),
        ([e(1), e(2), e(2)], vec![1, 2]),
        ([e(1), e(2), None], vec![1]),
        ([None, e(1), None], vec![1]),
        ([None, None, None], vec![]),
    ];
    for (epochs, counting) in rows {
        let expected: Vec<NodeIndex> = counting.into_iter().map(NodeIndex).collect();
        assert_eq!(count_together(&epochs), expected, "{epochs:?}");
    }
}

/// A voter that has not restarted.
const VOTER: Facts = Facts {
    fence: Fence::Ours,
    role: Role::Voter,
    same_run: true,
    fsyncs_every_write: false,
    is_empty: false,
};
const RESTARTED: Facts = Facts { same_run: false, ..VOTER };
const EMPTY: Facts = Facts { fence: Fence::Missing, is_empty: true, ..RESTARTED };
const CLAIMED: Facts = Facts { fence: Fence::Claimed, ..VOTER };
const STRANGER: Facts = Facts { fence: Fence::Foreign, ..VOTER };
const UNFENCED: Facts = Facts { fence: Fence::Missing, ..VOTER };

#[test]
fn a_node_votes_only_while_it_cannot_have_forgotten_anything() {
    let rows = [
        (VOTER, Admission::Votes),
        (RESTARTED, Admission::Demote),
        (Facts { fsyncs_every_write: true, ..RESTARTED }, Admission::Readmit),
        (Facts { role: Role::Joining, ..VOTER }, Admission::Joins),
        (Facts { role: Role::Joining, fsyncs_every_write: true, ..RESTARTED }, Admission::Joins),
        (CLAIMED, Admission::Demote),
        (Facts { same_run: false, fsyncs_every_write: true, ..CLAIMED }, Admission::Demote),
        (EMPTY, Admission::Rejoins),
        (UNFENCED, Admission::HoldsOtherData),
        (STRANGER, Admission::Foreign),
        (Facts { is_empty: true, ..STRANGER }, Admission::Foreign),
    ];
    for (facts, expected) in rows {
        assert_eq!(facts.admission(), expected, "{facts:?}");
    }
}
