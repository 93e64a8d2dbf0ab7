//! P13-P15, P17: repairs that do not see a difference, undo a write, or never come.

use anarchoredis::protocol::{Ballot, CoordinatorId};
use anarchoredis::script::{ApplyReply, SettleReply};

use super::both;
use crate::direct::{Direct, now_us, stranger};
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Rig, SOON};

#[tokio::test]
async fn p13_two_writes_of_the_same_moment_are_ordered_alike_by_every_node() {
    let naive = async {
        let rig = Rig::start(Kind::Naive).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.links[C].hold_requests();
        let late = async {
            eventually("X is at B", SOON, async || rig.ask::<i64>(&["EXISTS", "k"]).await[..C] == [1, 1])
                .await;
            y.must(&["SET", "k", "y"]).await;
            x.links[C].heal();
        };
        let (_, ()) = tokio::join!(x.run(&["SET", "k", "x"]), late);
        rig.heal(&["k"]).await;
        (rig.ask::<i64>(&["GET", "version:k"]).await, rig.ask::<String>(&["GET", "k"]).await)
    };
    let ours = async {
        let rig = Rig::start(Kind::Ours).await;
        let reader = rig.join().await;
        let moment = now_us();
        let [x, y] = [1, 2].map(|id| Ballot::new(moment, CoordinatorId(id)));
        for node in [A, B, C] {
            let mut direct = Direct::to(&rig.nodes[node]).await;
            let order = if node == C { [(y, "y"), (x, "x")] } else { [(x, "x"), (y, "y")] };
            for (ballot, value) in order {
                let answer = direct.apply(ballot, &["SET", "k", value]).await;
                let refused = matches!(answer, ApplyReply::Nack(promised) if promised == y);
                assert_eq!(refused, node == C && ballot == x, "{answer:?}");
            }
        }
        reader.must(&["GET", "k"]).await;
        assert!(rig.comes_to_agree(&["GET", "k"]).await);
        rig.ask::<String>(&["GET", "k"]).await
    };
    let (naive, ours) = tokio::join!(naive, ours);
    assert_eq!(naive, (vec![2, 2, 2], ["y", "y", "x"].map(str::to_owned).to_vec()), "nothing to see");
    assert_eq!(ours, ["y"; 3]);
}

#[tokio::test]
async fn p14_a_repair_that_was_overtaken_by_a_write_does_not_undo_it() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "v1"]).await;
        x.reaches_only(&[A, B]).await;
        x.must(&["SET", "k", "v2"]).await;
        if kind == Kind::Naive {
            let seen = x.naive().look("k").await;
            y.must(&["SET", "k", "v3"]).await;
            y.naive().store(C, "k", seen[A].as_ref().expect("A was seen")).await;
        } else {
            let (mut a, mut c) = (Direct::to(&rig.nodes[A]).await, Direct::to(&rig.nodes[C]).await);
            let seen = a.snapshot("k").await;
            let ballot = seen.standing.accepted.expect("two nodes settled v2");
            y.must(&["SET", "k", "v3"]).await;
            let late = c.settle("k", ballot, &seen).await;
            assert!(matches!(late, SettleReply::Nack(_)), "{late:?}");
        }
        rig.ask::<String>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, ["v3", "v3", "v2"]);
    assert_eq!(ours, ["v3"; 3]);
}

#[tokio::test]
async fn p15_what_one_reader_has_seen_of_an_unfinished_write_the_next_reader_sees_too() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, first, second) = (rig.join().await, rig.join().await, rig.join().await);
        x.must(&["SET", "k", "old"]).await;
        x.loses(&[B, C]);
        x.run(&["SET", "k", "new"]).await.expect_err("one node is no majority");
        first.reaches_only(&[A, B]).await;
        second.reaches_only(&[B, C]).await;
        (first.get::<String>(&["GET", "k"]).await, second.get::<String>(&["GET", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, ("new".to_owned(), "old".to_owned()));
    assert_eq!(ours.0, ours.1);
}

#[tokio::test]
async fn p17_a_write_that_only_one_node_has_is_completed_or_taken_back_by_the_healer_though_nobody_reads_it()
{
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        match kind {
            Kind::Naive => {
                x.reaches_only(&[A]).await;
                x.run(&["SET", "k", "v"]).await.expect_err("one node is no majority");
            }
            Kind::Ours => {
                let answer = Direct::to(&rig.nodes[A]).await.apply(stranger(7), &["SET", "k", "v"]).await;
                assert!(matches!(answer, ApplyReply::Ack { .. }), "{answer:?}");
            }
        }
        rig.heal(&["k"]).await;
        rig.ask::<i64>(&["EXISTS", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [1, 0, 0], "one copy is left, until A dies");
    assert!(ours == [1, 1, 1] || ours == [0, 0, 0], "{ours:?}");
}
