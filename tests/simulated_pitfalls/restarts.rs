//! P05, P06, P47, P56: nodes that come back without their data, with older data, or with another's.

use anarchoredis::node::Seat;

use super::both;
use crate::rig::{A, B, C, Kind, Rig};
use crate::simulated::host::Comeback;
use crate::simulated::world::Link;

fn lost_data(seat: &Seat) -> bool {
    matches!(seat, Seat::Away(reason) if reason.contains("lost its data"))
}

fn held(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn p05_two_nodes_that_restart_empty_do_not_outvote_the_one_that_remembers() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        for number in 1..=8 {
            x.must(&format!("SET k v{number}")).await;
        }
        rig.restart(A, Comeback::Empty);
        rig.restart(C, Comeback::Empty);
        y.knows(A, "Y knows of A's loss", lost_data).await;
        y.knows(C, "Y knows of C's loss", lost_data).await;
        y.links(&[B], Link::Cut);
        let written = y.run("SET k acknowledged").await;
        if rig.kind == Kind::Naive {
            rig.heal(&["k"]).await;
        }
        (written.is_ok(), rig.ask::<Option<String>>("GET k"))
    });
    assert_eq!(naive, (true, vec![held("v8"); 3]), "acknowledged, and lost");
    assert_eq!(
        ours,
        (false, vec![None, held("v8"), None]),
        "nothing is acknowledged by nodes that know nothing"
    );
}

/// X sees A and B, then Y sees A and C: together they have every write that was acknowledged, unless A forgot it.
#[test]
fn p06_a_node_that_restarts_from_an_old_backup_cannot_complete_a_majority() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k v5").await;
        rig.world.host(A).save();
        x.reaches_only(&[A, B]).await;
        x.must("SET k v6").await;
        rig.restart(A, Comeback::Older);
        x.knows(A, "X knows that A does not vote", |seat| *seat == Seat::Joining).await;
        y.reaches_only(&[A, C]).await;
        let read = y.run("GET k").await;
        y.reaches_only(&[A, B, C]).await;
        (read.ok(), y.get::<String>("GET k").await)
    });
    let text = |value: &str| redis::Value::BulkString(value.into());
    assert_eq!(naive, (Some(text("v5")), "v6".to_owned()), "the acknowledged v6 was gone");
    assert_eq!(ours, (None, "v6".to_owned()), "C alone does not answer");
}

#[test]
fn p47_a_node_of_another_cluster_at_the_same_address_has_no_say() {
    let (naive, ours) = both(async |rig| {
        let other = Rig::start(rig.kind, 7);
        let (x, stranger) = (rig.join().await, other.join().await);
        x.must("SET k ours").await;
        for _ in 0..5 {
            stranger.must("SET k theirs").await;
        }
        let foreign = other.world.host(C).server.clone();
        rig.world.host(C).server = foreign;
        rig.restart(C, Comeback::Intact);
        x.knows(C, "X knows that C is another's", |seat| matches!(seat, Seat::Away(_))).await;
        let read = x.get::<String>("GET k").await;
        if rig.kind == Kind::Naive {
            rig.heal(&["k"]).await;
        }
        (read, rig.ask::<String>("GET k"))
    });
    assert_eq!(naive, ("theirs".to_owned(), ["theirs"; 3].map(str::to_owned).to_vec()));
    assert_eq!(ours, ("ours".to_owned(), ["ours", "ours", "theirs"].map(str::to_owned).to_vec()));
}

/// Each in its turn, with a pass of the healer in between.
#[test]
fn p56_nodes_that_restart_empty_one_after_the_other_are_filled_and_vote_again() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k v").await;
        for node in [A, B, C] {
            rig.restart(node, Comeback::Empty);
            x.knows(node, "X knows of the loss", lost_data).await;
            rig.heal(&["k"]).await;
            x.knows(node, "X knows that it votes again", |seat| matches!(seat, Seat::Voter(_))).await;
        }
        x.reaches_only(&[B, C]).await;
        let read = x.get::<Option<String>>("GET k").await;
        (read, x.run("SET k w").await.is_ok(), rig.ask::<Option<String>>("GET k"))
    });
    assert_eq!(naive, (None, true, vec![None, held("w"), held("w")]), "all of it was lost");
    assert_eq!(ours, (held("v"), true, vec![held("v"), held("w"), held("w")]));
}
