//! P29-P31: scripts, their cache, and what they leave behind when a command fails.

use redis::Value;

use super::both;
use crate::party::Party;
use crate::rig::{A, B, C, Kind, Rig};

fn cached_scripts(rig: &Rig) -> [usize; 3] {
    [A, B, C].map(|node| rig.world.host(node).cached_scripts())
}

#[test]
fn p29_the_number_of_cached_scripts_does_not_grow_with_the_number_of_commands() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k v").await;
        let before = cached_scripts(&rig);
        for number in 0..100 {
            x.must(&format!("SET k{number} v")).await;
            x.must(&format!("LPUSH l {number}")).await;
        }
        let after = cached_scripts(&rig);
        [A, B, C].map(|node| after[node] - before[node])
    });
    assert_eq!(naive, [200; 3]);
    assert_eq!(ours, [0; 3]);
}

async fn push_both(party: &Party, kind: Kind) {
    let commands: [&[&str]; 2] = [&["RPUSH", "l", "one"], &["RPUSH", "l", "two"]];
    if kind == Kind::Naive {
        return party.naive().pipeline(&commands).await;
    }
    let mut pipeline = redis::pipe();
    for command in commands {
        pipeline.cmd(command[0]).arg(&command[1..]);
    }
    let lengths: Vec<i64> = pipeline.query_async(&mut party.client().clone()).await.expect("two pushes");
    assert_eq!(lengths, [1, 2]);
}

#[test]
fn p30_a_node_that_forgot_its_scripts_neither_reorders_nor_doubles_a_pipeline() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        push_both(&x, rig.kind).await;
        x.must("DEL l").await;
        rig.ask_one::<()>(A, "SCRIPT FLUSH");
        // Whoever comes next brings some of the scripts back: of the naive ones only its own.
        x.must("RPUSH l two").await;
        x.must("DEL l").await;
        if rig.kind == Kind::Ours {
            rig.ask_one::<()>(A, "SCRIPT FLUSH");
        }
        push_both(&x, rig.kind).await;
        // A may run the second push before the first: that is one more thing to repair, and not what it ends with.
        rig.comes_to_agree("LRANGE l 0 -1").await;
        rig.ask::<Vec<String>>("LRANGE l 0 -1")
    });
    assert_eq!(naive, [["two", "one"], ["one", "two"], ["one", "two"]]);
    assert_eq!(ours, [["one", "two"]; 3]);
}

#[test]
fn p31_a_command_that_fails_leaves_value_and_version_as_they_were() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k text").await;
        let version = || match rig.kind {
            Kind::Naive => format!("{:?}", rig.ask::<Value>("GET version:k")),
            Kind::Ours => format!("{:?}", rig.histories("k")),
        };
        let before = version();
        for line in ["RPUSH k v", "INCR k", "SADD k v", "HSET k f v"] {
            let failure = x.fails(line).await;
            let reasons = ["WRONGTYPE", "WrongType", "not an integer"];
            assert!(reasons.iter().any(|reason| failure.text.contains(reason)), "{failure:?}");
        }
        (version() == before, rig.ask::<String>("GET k"))
    });
    assert_eq!(naive, (false, vec!["text".to_owned(); 3]), "versions without a write");
    assert_eq!(ours, (true, vec!["text".to_owned(); 3]));
}
