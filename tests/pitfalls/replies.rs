//! P16, P18: what the caller is told.

use anarchoredis::Outcome;

use super::both;
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Rig, SOON};

#[tokio::test]
async fn p16_of_two_coordinators_that_take_one_lock_exactly_one_is_told_that_it_has_it() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.links[B..].iter().for_each(|link| link.hold_requests());
        let late = async {
            eventually("X is at A", SOON, async || rig.ask::<i64>(&["EXISTS", "lock"]).await[A] == 1).await;
            y.links[A].hold_answers();
            let at_c = async {
                eventually("Y is at C", SOON, async || rig.ask::<i64>(&["EXISTS", "lock"]).await[C] == 1)
                    .await;
                y.links[A].heal();
                x.links[B..].iter().for_each(|link| link.heal());
            };
            tokio::join!(y.get::<bool>(&["SETNX", "lock", "y"]), at_c).0
        };
        let told = tokio::join!(x.get::<bool>(&["SETNX", "lock", "x"]), late);
        if kind == Kind::Ours {
            assert!(rig.comes_to_agree(&["GET", "lock"]).await);
        }
        (told, rig.ask::<String>(&["GET", "lock"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive.0, (true, true), "both hold the lock");
    assert_ne!(ours.0.0, ours.0.1, "{ours:?}");
    assert_eq!(ours.1, [if ours.0.0 { "x" } else { "y" }; 3]);
}

#[tokio::test]
async fn p16_of_two_coordinators_that_race_for_many_locks_exactly_one_gets_each() {
    let rig = Rig::start(Kind::Ours).await;
    let (x, y) = (rig.join().await, rig.join().await);
    for round in 0..50 {
        let lock = format!("lock{round}");
        let (by_x, by_y) = (["SETNX", &lock, "x"], ["SETNX", &lock, "y"]);
        let (x_has, y_has) = tokio::join!(x.get::<bool>(&by_x), y.get::<bool>(&by_y));
        assert_ne!(x_has, y_has, "{lock}");
        assert_eq!(x.get::<String>(&["GET", &lock]).await, if x_has { "x" } else { "y" });
    }
}

#[tokio::test]
async fn p18_an_error_says_whether_the_write_may_still_become_visible() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        // Connected, before the answers are cut.
        x.must(&["GET", "k"]).await;
        x.links.iter().for_each(|link| link.cut_answers());
        let unknown = x.run(&["SET", "k", "applied"]).await.expect_err("nobody answered");
        x.reaches_only(&[]).await;
        let refused = x.run(&["SET", "other", "not applied"]).await.expect_err("nobody is there");
        rig.heal(&["k", "other"]).await;
        let seen = (y.get::<bool>(&["EXISTS", "k"]).await, y.get::<bool>(&["EXISTS", "other"]).await);
        assert_eq!(seen, (true, false), "{kind:?}");
        (unknown, refused)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive.0, naive.1, "the caller cannot tell them apart");
    assert_eq!((ours.0.outcome, ours.1.outcome), (Some(Outcome::Indeterminate), Some(Outcome::NotApplied)));
    assert!(ours.0.text.contains("may become visible later"), "{}", ours.0.text);
    assert!(ours.1.text.contains("nothing was applied"), "{}", ours.1.text);
}

#[tokio::test]
async fn p18_a_write_that_can_only_reach_a_minority_is_not_begun_and_says_so() {
    let rig = Rig::start(Kind::Ours).await;
    let x = rig.join().await;
    x.must(&["SET", "k", "v"]).await;
    x.reaches_only(&[A]).await;
    let failure = x.run(&["SET", "k", "not applied"]).await.expect_err("one node is no majority");
    assert_eq!(failure.outcome, Some(Outcome::NotApplied), "{failure:?}");
    assert!(
        failure.text.contains("no quorum") && failure.text.contains("nothing was applied"),
        "{failure:?}"
    );
    assert_eq!(rig.ask::<String>(&["GET", "k"]).await, ["v"; 3]);
}
