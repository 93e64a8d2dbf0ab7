//! P05, P06: nodes that come back without their data, or with older data.

use anarchoredis::node::Seat;

use super::both;
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Party, Rig, SOON};

async fn away_for_lost_data(party: &Party, node: usize) {
    party.calls_every_node();
    let noticed = async || match &party.client().nodes()[node].seat {
        Seat::Away(reason) => reason.contains("lost its data"),
        _ => false,
    };
    eventually("the client knows that the node lost its data", SOON, noticed).await;
}

#[tokio::test]
async fn p05_two_nodes_that_restart_empty_do_not_outvote_the_one_that_remembers() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        for number in 1..=8 {
            x.must(&["SET", "k", &format!("v{number}")]).await;
        }
        rig.nodes[A].restart_empty().await;
        rig.nodes[C].restart_empty().await;
        if kind == Kind::Ours {
            away_for_lost_data(&y, A).await;
            away_for_lost_data(&y, C).await;
        }
        y.links[B].refuse();
        let written = y.run(&["SET", "k", "acknowledged"]).await;
        if kind == Kind::Naive {
            rig.heal(&["k"]).await;
        }
        (written.is_ok(), rig.ask::<Option<String>>(&["GET", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    let held = |value: &str| Some(value.to_owned());
    assert_eq!(naive, (true, vec![held("v8"); 3]), "acknowledged, and lost");
    assert_eq!(
        ours,
        (false, vec![None, held("v8"), None]),
        "nothing is acknowledged by nodes that know nothing"
    );
}

#[tokio::test]
async fn p05_one_node_that_restarts_empty_does_not_vote_until_it_is_healed() {
    let rig = Rig::start(Kind::Ours).await;
    let x = rig.join().await;
    x.must(&["SET", "k", "v1"]).await;
    rig.nodes[A].restart_empty().await;
    away_for_lost_data(&x, A).await;
    x.must(&["SET", "k", "v2"]).await;
    let healed = rig.heal_pass().await;
    assert!(healed.complete && healed.rejoined.len() == 1, "{healed:?}");
    let votes = async || matches!(x.client().nodes()[A].seat, Seat::Voter(_));
    eventually("X knows that A votes again", SOON, votes).await;
    x.reaches_only(&[A, B]).await;
    assert_eq!(x.get::<String>(&["GET", "k"]).await, "v2");
}

/// X sees A and B, then Y sees A and C: together they have every write that was acknowledged, unless A forgot it.
#[tokio::test]
async fn p06_a_node_that_restarts_from_an_old_backup_cannot_complete_a_majority() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "v5"]).await;
        let backup = rig.nodes[A].snapshot_rdb().await;
        x.reaches_only(&[A, B]).await;
        x.must(&["SET", "k", "v6"]).await;
        rig.nodes[A].restart_from_rdb(&backup).await;
        if kind == Kind::Ours {
            x.calls_every_node();
            let demoted = async || x.client().nodes()[A].seat == Seat::Joining;
            eventually("X knows that A does not vote", SOON, demoted).await;
        }
        y.reaches_only(&[A, C]).await;
        let read = y.run(&["GET", "k"]).await;
        y.reaches_only(&[A, B, C]).await;
        (read.ok(), y.get::<String>(&["GET", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    let text = |value: &str| redis::Value::BulkString(value.into());
    assert_eq!(naive, (Some(text("v5")), "v6".to_owned()), "the acknowledged v6 was gone");
    assert_eq!(ours, (None, "v6".to_owned()), "C alone does not answer");
}
