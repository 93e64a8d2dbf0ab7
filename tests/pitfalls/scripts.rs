//! P29-P31, P33: scripts, their cache, and what they leave behind when a command fails.

use redis::Value;

use super::both;
use crate::rig::{A, B, C, Kind, Party, Rig};

async fn cached_scripts(rig: &Rig) -> Vec<i64> {
    let infos: Vec<String> = rig.ask(&["INFO", "memory"]).await;
    let count = |info: &String| {
        let line = info.lines().find_map(|line| line.strip_prefix("number_of_cached_scripts:"));
        line.and_then(|count| count.trim().parse().ok()).expect("a number of cached scripts")
    };
    infos.iter().map(count).collect()
}

#[tokio::test]
async fn p29_the_number_of_cached_scripts_does_not_grow_with_the_number_of_commands() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "v"]).await;
        let before = cached_scripts(&rig).await;
        for number in 0..100 {
            x.must(&["SET", &format!("k{number}"), "v"]).await;
            x.must(&["LPUSH", "l", &number.to_string()]).await;
        }
        let after = cached_scripts(&rig).await;
        [A, B, C].map(|node| after[node] - before[node])
    };
    let (naive, ours) = both(trace).await;
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

#[tokio::test]
async fn p30_a_node_that_forgot_its_scripts_neither_reorders_nor_doubles_a_pipeline() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        push_both(&x, kind).await;
        x.must(&["DEL", "l"]).await;
        rig.nodes[A].run::<()>(&["SCRIPT", "FLUSH"]).await.expect("SCRIPT FLUSH");
        // Whoever comes next brings some of the scripts back: of the naive ones only its own.
        x.must(&["RPUSH", "l", "two"]).await;
        x.must(&["DEL", "l"]).await;
        if kind == Kind::Ours {
            rig.nodes[A].run::<()>(&["SCRIPT", "FLUSH"]).await.expect("SCRIPT FLUSH");
        }
        push_both(&x, kind).await;
        // A may run the second push before the first: that is one more thing to repair, and not what it ends with.
        rig.comes_to_agree(&["LRANGE", "l", "0", "-1"]).await;
        rig.ask::<Vec<String>>(&["LRANGE", "l", "0", "-1"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [["two", "one"], ["one", "two"], ["one", "two"]]);
    assert_eq!(ours, [["one", "two"]; 3]);
}

#[tokio::test]
async fn p31_a_command_that_fails_leaves_value_and_version_as_they_were() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "text"]).await;
        let version = async || match kind {
            Kind::Naive => format!("{:?}", rig.ask::<Value>(&["GET", "version:k"]).await),
            Kind::Ours => format!("{:?}", rig.histories("k").await),
        };
        let before = version().await;
        for words in
            [&["RPUSH", "k", "v"][..], &["INCR", "k"], &["SETRANGE", "k", "-1", "x"], &["PFADD", "k", "x"]]
        {
            let failure = x.run(words).await.expect_err("it cannot run on this value");
            let reasons = ["WRONGTYPE", "not an integer", "out of range"];
            assert!(reasons.iter().any(|reason| failure.text.contains(reason)), "{failure:?}");
        }
        (version().await == before, rig.ask::<String>(&["GET", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, (false, vec!["text".to_owned(); 3]), "versions without a write");
    assert_eq!(ours, (true, vec!["text".to_owned(); 3]));
}

async fn set_memory_limit(rig: &Rig, nodes: &[usize], limit: &str) {
    for node in nodes {
        rig.nodes[*node].run::<()>(&["CONFIG", "SET", "maxmemory", limit]).await.expect("CONFIG SET");
    }
}

#[tokio::test]
async fn p33_a_node_without_memory_does_not_acknowledge() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "old"]).await;
        set_memory_limit(&rig, &[A, B], "1").await;
        let written = x.run(&["SET", "k", "new"]).await;
        set_memory_limit(&rig, &[A, B], "0").await;
        (written, rig.ask::<String>(&["GET", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(
        naive,
        (Ok(Value::Okay), ["old", "old", "new"].map(str::to_owned).to_vec()),
        "acknowledged by one"
    );
    let failure = ours.0.expect_err("one node is no majority");
    assert!(failure.text.contains("OOM"), "{failure:?}");
}

#[tokio::test]
async fn p33_one_node_without_memory_is_outvoted_can_still_delete_and_is_repaired_when_it_has_room() {
    let rig = Rig::start(Kind::Ours).await;
    let x = rig.join().await;
    x.must(&["SET", "k", "old"]).await;
    x.must(&["SET", "big", &"x".repeat(100_000)]).await;
    set_memory_limit(&rig, &[A], "1").await;
    x.must(&["SET", "k", "new"]).await;
    assert_eq!(x.get::<String>(&["GET", "k"]).await, "new");
    assert_eq!(x.get::<i64>(&["DEL", "big"]).await, 1);
    assert_eq!(rig.ask::<i64>(&["EXISTS", "big"]).await, [0; 3], "deleting needs no memory");
    set_memory_limit(&rig, &[A], "0").await;
    rig.heal(&["k"]).await;
    assert_eq!(rig.ask::<String>(&["GET", "k"]).await, ["new"; 3]);
}
