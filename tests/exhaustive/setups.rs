//! What is searched: each setup with the number of its states, and each control where it shows.

use anarchoredis::protocol::Rule::{Quorum, R1, R2, R3, W1, W2};

use super::control::Control;
use super::history::DigestOver;
use super::script::Op::{Append, AppendIf, Pop, QuorumRead, Read, SlowRead};
use super::script::{Op, Setup, Start, once, retrying};

/// A setup, and how many states it has.
pub type Searched = (&'static str, usize, Setup);

fn settled(setup: Setup) -> Setup {
    Setup { start: Start::Settled, ..setup }
}

fn faulty(setup: Setup) -> Setup {
    Setup { not_sent: true, repeats: true, ..setup }
}

fn over_ids(setup: Setup) -> Setup {
    Setup { digest_over: DigestOver::Id, ..setup }
}

fn reaching(rules: &[anarchoredis::protocol::Rule], setup: Setup) -> Setup {
    Setup { reaches: rules.to_vec(), ..setup }
}

/// Two coordinators over three nodes, one op and one round each, at these times.
fn two(first: (u64, Op), second: (u64, Op)) -> Setup {
    Setup::of(3, &[once(first.0, &[first.1]), once(second.0, &[second.1])])
}

/// Small enough for every run of the tests.
pub fn small() -> Vec<Searched> {
    let retried = |op| retrying(2, 1, &[op]);
    let one_node = Setup::of(1, &[retried(Append), retried(Pop)]);
    let two_nodes = Setup::of(2, &[retried(Append), retried(Append)]);
    let two_nodes_pop = Setup::of(2, &[once(1, &[Append]), retrying(2, 10, &[Pop])]);
    let three_at_two_nodes = Setup::of(2, &[once(1, &[Append]), once(1, &[Append]), once(1, &[Read])]);
    let alone = Setup::of(3, &[retried(Append)]);
    vec![
        ("one node: append and pop, retried", 630, reaching(&[W1, R3], faulty(one_node))),
        ("two nodes: two appends, retried", 11_226, reaching(&[W1], two_nodes)),
        ("two nodes: append, pop retried with keep", 841, reaching(&[W1, R3], faulty(two_nodes_pop))),
        ("two nodes: two appends and a read", 1_401, reaching(&[W1, R1, R3], three_at_two_nodes)),
        ("append, retried, no other", 1_993, reaching(&[W1, W2], faulty(alone))),
        ("two appends", 17_886, reaching(&[W1, W2], two((1, Append), (1, Append)))),
        ("append and read", 1_695, reaching(&[W1, W2, R1, R2, R3], two((1, Append), (1, Read)))),
        ("append and read, digests over ids", 1_695, over_ids(two((1, Append), (1, Read)))),
        (
            "append and read at the quorum level",
            1_786,
            reaching(&[Quorum], two((1, Append), (1, QuorumRead))),
        ),
        ("append and pop", 23_465, reaching(&[W1, W2, R3], two((1, Append), (1, Pop)))),
        ("pop and append", 1_284, reaching(&[W1, W2, R3], two((1, Pop), (10, Append)))),
        (
            "append and read of what is settled",
            1_695,
            reaching(&[R1, R2], settled(two((2, Append), (3, Read)))),
        ),
        (
            "an append that may fail, and read, of what is settled",
            1_456,
            reaching(&[W1, W2], settled(two((2, AppendIf { odd: false }), (3, Read)))),
        ),
    ]
}

/// Minutes, even optimised.
pub fn large() -> Vec<Searched> {
    let read_after_write = Setup::of(3, &[once(1, &[Append, Read]), once(1, &[Append])]);
    let until_it_is_read = Setup::of(3, &[once(1, &[Append]), retrying(2, 2, &[Read])]);
    let popped = Setup::of(3, &[once(1, &[Append]), retrying(2, 10, &[Pop])]);
    let retried = Setup::of(3, &[retrying(2, 1, &[Append]), once(10, &[Append])]);
    let undone = settled(Setup::of(3, &[once(20, &[Append]), once(10, &[SlowRead]), once(1, &[Read])]));
    let slow_read = settled(two((2, Append), (3, SlowRead)));
    vec![
        ("append and read, with R4", 46_950, reaching(&[W1, W2, R1, R2, R3], until_it_is_read)),
        ("append and then read, beside an append", 80_320, reaching(&[W1, W2, R1, R2], read_after_write)),
        ("append and slow read of what is settled", 23_430, reaching(&[W1, W2], slow_read)),
        ("append, slow read and read of what is settled", 1_662_551, reaching(&[W1, W2, R1, R2], undone)),
        ("append, pop retried with keep", 796_644, reaching(&[W1, W2, R3], popped)),
        ("append retried, and append", 680_346, reaching(&[W1, W2], retried)),
    ]
}

/// Every control that so few rounds can show.
pub fn unsound() -> Vec<(Control, Setup)> {
    let append = (1, Append);
    let shows = |control, setup: Setup| (control, Setup { control, ..setup });
    let undone = settled(Setup::of(3, &[once(20, &[Append]), once(10, &[SlowRead]), once(1, &[Read])]));
    let old_pop = Setup::of(3, &[once(1, &[Append]), retrying(2, 10, &[Pop])]);
    vec![
        shows(Control::MajorityWithoutSettle, two(append, append)),
        shows(Control::UnsettledCountsAsSettled, undone),
        shows(Control::HighestVersionWins, two(append, append)),
        shows(Control::AbsentIsAPromise, two(append, (10, SlowRead))),
        shows(Control::RetryUnderNewOpId, Setup::of(3, &[retrying(2, 1, &[Append])])),
        shows(Control::RestartWithOlderData, Setup::of(3, &[once(1, &[Append])])),
        shows(Control::UnreachableIsAbsent, two(append, (1, Read))),
        shows(Control::AbsentByMajority, two(append, (10, Pop))),
        shows(Control::RetryWithoutKeep, old_pop),
        shows(Control::ApplyDeliveredTwice, two(append, (10, Pop))),
        shows(Control::WinnerNotFixed, two(append, append)),
        shows(Control::UnsettledRepair, settled(two((2, Append), (3, QuorumRead)))),
        shows(Control::SilentMeansNotApplied, Setup::of(3, &[once(1, &[Append])])),
    ]
}
