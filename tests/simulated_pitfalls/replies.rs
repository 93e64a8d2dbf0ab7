//! P16, P18: what the caller is told.

use anarchoredis::Outcome;

use super::both;
use crate::rig::{A, B, C, Kind, until};
use crate::simulated::world::Link;

#[test]
fn p16_of_two_coordinators_that_take_one_lock_exactly_one_is_told_that_it_has_it() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.loses(&[B, C]);
        let late = async {
            until("X is at A", || rig.ask_one(A, "EXISTS lock")).await;
            y.links(&[A], Link::AnswersHeld);
            let at_c = async {
                until("Y is at C", || rig.ask_one(C, "EXISTS lock")).await;
                y.links(&[A], Link::Up);
                x.links(&[B, C], Link::Up);
            };
            tokio::join!(y.get::<bool>("SETNX lock y"), at_c).0
        };
        let (x_has, y_has) = tokio::join!(x.get::<bool>("SETNX lock x"), late);
        if rig.kind == Kind::Ours {
            assert!(rig.comes_to_agree("GET lock").await);
        }
        let holder = rig.ask::<String>("GET lock");
        let named = usize::from(holder == ["x"; 3]) + usize::from(holder == ["y"; 3]);
        (usize::from(x_has) + usize::from(y_has), named, x_has == (holder[A] == "x"))
    });
    assert_eq!((naive.0, naive.1), (2, 0), "both hold the lock");
    assert_eq!(ours, (1, 1, true));
}

#[test]
fn p16_of_two_coordinators_that_race_for_many_locks_exactly_one_gets_each() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        let mut with_one_holder = 0;
        for round in 0..50 {
            let (by_x, by_y) = (format!("SETNX lock{round} x"), format!("SETNX lock{round} y"));
            let (x_has, y_has) = tokio::join!(x.get::<bool>(&by_x), y.get::<bool>(&by_y));
            let holder = x.get::<String>(&format!("GET lock{round}")).await;
            with_one_holder += i32::from(x_has != y_has && x_has == (holder == "x"));
        }
        (with_one_holder == 50, with_one_holder == 0)
    });
    assert_eq!(naive, (false, false));
    assert_eq!(ours, (true, false));
}

#[test]
fn p18_an_error_says_whether_the_write_may_still_become_visible() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        // Connected, before the answers are held.
        x.must("GET k").await;
        x.links(&[A, B, C], Link::AnswersHeld);
        let unknown = x.fails("SET k applied").await;
        x.reaches_only(&[]).await;
        let refused = x.fails("SET other refused").await;
        rig.heal(&["k", "other"]).await;
        let seen = (y.get::<bool>("EXISTS k").await, y.get::<bool>("EXISTS other").await);
        assert_eq!(seen, (true, false), "{:?}", rig.kind);
        let says = |text: &str| (unknown.text.contains(text), refused.text.contains(text));
        let texts = (says("may become visible later"), says("nothing was applied"));
        (unknown.text == refused.text, unknown.outcome, refused.outcome, texts)
    });
    assert!(naive.0, "the caller cannot tell them apart");
    let texts = ((true, false), (false, true));
    assert_eq!(ours, (false, Some(Outcome::Indeterminate), Some(Outcome::NotApplied), texts));
}
