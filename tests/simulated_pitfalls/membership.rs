//! P45, P46: nodes that are not whom the coordinator takes them for.

use super::both;
use crate::rig::{A, B, C, Kind, Rig};
use crate::simulated::host::Comeback;

#[test]
fn p45_two_addresses_of_one_server_are_not_two_nodes() {
    let (naive, ours) = both(async |rig| {
        let urls = ["redis://node0:6379", "redis://node0:6380", "redis://node1:6379"].map(str::to_owned);
        let x = match rig.join_at(&[A, A, B], urls.into()).await {
            Ok(x) => x,
            Err(refusal) => return refusal,
        };
        rig.world.host(B).kill();
        x.must("SET k v").await;
        rig.world.host(B).start(Comeback::Intact);
        rig.restart(A, Comeback::Empty);
        format!("acknowledged, then {:?}", rig.ask::<Option<String>>("GET k"))
    });
    assert_eq!(naive, "acknowledged, then [None, None, None]", "lost with one machine");
    assert!(ours.contains("same server"), "{ours}");
}

#[test]
fn p46_a_coordinator_with_another_list_of_nodes_is_refused() {
    let (naive, ours) = both(async |three: Rig| {
        let rig = Rig::of(three.kind, 1, 5);
        let x = rig.join().await;
        x.must("SET k old").await;
        x.reaches_only(&[A, B]).await;
        x.must("SET k new").await;
        let urls = ["redis://node2:6379", "redis://node3:6379", "redis://node4:6379"].map(str::to_owned);
        match rig.join_at(&[C, 3, 4], urls.into()).await {
            Ok(y) => y.get::<String>("GET k").await,
            Err(refusal) if rig.kind == Kind::Ours => refusal,
            Err(refusal) => panic!("{refusal}"),
        }
    });
    assert_eq!(naive, "old", "two majorities that do not meet");
    assert!(ours.contains("1 of the 2 nodes that are needed can vote"), "{ours}");
}
