//! `admit`: who a node is, and whether it votes.

use super::support::*;

/// `[cluster, node, epoch, role, run id, members, fence]`, without what changes by itself.
async fn look(node: &Node) -> String {
    let look = node.unchanged(node.admit(&["look"])).await;
    assert!(look.is("NODE"), "{look}");
    assert!(look.number(9).abs_diff(node.now_ms().await * 1_000) < 60_000_000, "the clock in µs: {look}");
    look.items()[1..8].iter().map(Reply::to_string).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_fresh_node_is_claimed_then_started_and_both_can_be_repeated() {
    on_each_version(async |node| {
        let node = Node::unclaimed(node.version()).await;
        assert_eq!(look(&node).await, "'' '' '' '' '' '' ''");
        assert_eq!(node.admit(&["start", "c", "f"]).await.to_string(), "[OTHER cluster '']");
        for _ in 0..2 {
            assert_eq!(node.admit(&["claim", "c", "n", "n,o,p", "run"]).await.to_string(), "[OK]");
            assert_eq!(look(&node).await, "c n 1 claimed run n,o,p ''");
        }
        assert_eq!(node.read("k", "GET k").await.to_string(), "[FENCED]", "a claimed node serves nobody yet");
        assert_eq!(node.admit(&["start", "other", "f"]).await.to_string(), "[OTHER cluster c]");
        assert_eq!(node.admit(&["start", "c", "f"]).await.to_string(), "[OK]");
        assert_eq!(node.unchanged(node.admit(&["start", "c", "g"])).await.to_string(), "[OK]");
        assert_eq!(look(&node).await, "c n 1 voter run n,o,p f", "the second start has changed nothing");
        assert_eq!(node.admit(&["look"]).await.number(8), 2);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_holds_data_is_neither_claimed_nor_enlisted_by_a_move() {
    on_each_version(async |node| {
        let node = Node::unclaimed(node.version()).await;
        node.line("MSET a 1 b 2 c 3").await;
        let claim = node.unchanged(node.admit(&["claim", "c", "n", "n", "run"])).await;
        assert_eq!(claim.to_string(), "[NOT_EMPTY 3]");
        let moved =
            node.unchanged(node.admit(&["move", "c", "n", "n", "1000000", "f", "run", "0", ""])).await;
        assert_eq!(moved.to_string(), "[NOT_EMPTY 3]");
    })
    .await;
}

#[tokio::test]
async fn of_two_claims_by_different_lists_of_nodes_at_most_one_gets_all_its_nodes() {
    let [a, b, c, d] = [(); 4].map(|()| Node::unclaimed(crate::harness::Version::V7_0));
    let (a, b, c, d) = (a.await, b.await, c.await, d.await);
    // Each order in which the claims of A, B, C and of B, C, D can arrive at the nodes that both want.
    for order in 0..4 {
        for node in [&a, &b, &c, &d] {
            node.line("FLUSHALL").await;
        }
        let mut won = [true, true];
        for (place, node) in [&b, &c].into_iter().enumerate() {
            let first = (order >> place) & 1;
            for client in [first, 1 - first] {
                let (cluster, members) = [("left", "a,b,c"), ("right", "b,c,d")][client];
                let answer = node.admit(&["claim", cluster, "n", members, "run"]).await;
                won[client] &= answer.is("OK");
                if !answer.is("OK") {
                    let [(holder, theirs), (_, _)] = [("right", "b,c,d"), ("left", "")];
                    let (holder, theirs) = if client == 0 { (holder, theirs) } else { ("left", "a,b,c") };
                    assert_eq!(answer.to_string(), format!("[CLAIMED {holder} {theirs}]"));
                }
            }
        }
        assert!(won.iter().filter(|won| **won).count() <= 1, "order {order}: {won:?}");
    }
}

#[tokio::test]
async fn a_claim_never_takes_over_another_cluster_or_another_node_of_the_same() {
    on_each_version(async |node| {
        for claim in [["claim", "other", "node", "x", "run"], ["claim", "cluster", "another", "x", "run"]] {
            assert_eq!(node.unchanged(node.admit(&claim)).await.to_string(), "[CLAIMED cluster node]");
        }
        for (cluster, id) in [("other", "node"), ("cluster", "another")] {
            let args = ["move", cluster, id, "x", "1000000", "g", "run", "1", ""];
            assert_eq!(node.unchanged(node.admit(&args)).await.to_string(), "[CLAIMED cluster node]");
        }
        let args = ["move", "cluster", "node", "x,nodes", "1000000", "g", "run", "1", ""];
        assert_eq!(
            node.unchanged(node.admit(&args)).await.to_string(),
            "[OTHER node node]",
            "it is no member"
        );
    })
    .await;
}

#[tokio::test]
async fn a_readmitted_node_votes_on_under_a_new_fence_and_a_second_client_is_told_that_it_was_slower() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        assert_eq!(node.admit(&["readmit", "node", "run2", "f2", "run"]).await.to_string(), "[OK]");
        assert_eq!(look(node).await, "cluster node 1 voter run2 node f2");
        let slower = node.unchanged(node.admit(&["readmit", "node", "run2", "f3", "run"])).await;
        assert_eq!(slower.to_string(), "[OTHER run_id run2]");
        let elsewhere = node.unchanged(node.admit(&["readmit", "another", "run2", "f3", "run2"])).await;
        assert_eq!(elsewhere.to_string(), "[OTHER node node]");
        assert_eq!(
            node.op("k", 2, "SET k w").await.to_string(),
            "[FENCED]",
            "calls of the old admission die"
        );
    })
    .await;
}

#[tokio::test]
async fn a_demoted_node_comes_back_by_a_heal_pass_of_one_epoch_one_run_and_one_fence() {
    on_each_version(async |node| {
        let say = async |args: &[&str]| node.admit(args).await.to_string();
        assert_eq!(say(&["promote", "node", "1", "run", "f9", FENCE]).await, "[OTHER role voter]");
        assert_eq!(say(&["rejoin", "node", "2", "run", "f9"]).await, "[OTHER role voter]");
        assert_eq!(say(&["demote", "another", "f2", "run", "fence"]).await, "[OTHER node node]");
        assert_eq!(say(&["demote", "node", "f2", "not this run", "fence"]).await, "[OTHER run_id run]");
        assert_eq!(say(&["demote", "node", "f2", "run", "another fence"]).await, "[OTHER fence '']");
        assert_eq!(say(&["demote", "node", "f2", "run", "fence"]).await, "[OK]");
        assert_eq!(look(node).await, "cluster node 1 joining run node f2");
        assert_eq!(say(&["rejoin", "another", "2", "run2", "f3"]).await, "[OTHER node node]");
        assert_eq!(say(&["rejoin", "node", "2", "run2", "f3"]).await, "[OK]");
        assert_eq!(look(node).await, "cluster node 2 joining run2 node f3");
        for (args, told) in [
            (["promote", "another", "2", "run2", "f4", "f3"], "[OTHER node node]"),
            (["promote", "node", "3", "run2", "f4", "f3"], "[OTHER epoch 2]"),
            (["promote", "node", "2", "run3", "f4", "f3"], "[OTHER run_id run2]"),
            (["promote", "node", "2", "run2", "f4", "f2"], "[OTHER fence '']"),
        ] {
            assert_eq!(node.unchanged(node.admit(&args)).await.to_string(), told);
        }
        assert_eq!(say(&["promote", "node", "2", "run2", "f4", "f3"]).await, "[OK]");
        assert_eq!(look(node).await, "cluster node 2 voter run2 node f4");
    })
    .await;
}

#[tokio::test]
async fn an_epoch_only_rises_and_comes_with_a_new_fence() {
    on_each_version(async |node| {
        assert_eq!(node.admit(&["epoch", "node", "10", "f10"]).await.to_string(), "[OK]");
        assert_eq!(look(node).await, "cluster node 10 voter run node f10");
        for epoch in ["9", "10"] {
            let refused = node.unchanged(node.admit(&["epoch", "node", epoch, "f11"])).await;
            assert_eq!(refused.to_string(), "[OTHER epoch 10]");
        }
        let other = node.unchanged(node.admit(&["epoch", "another", "11", "f11"])).await;
        assert_eq!(other.to_string(), "[OTHER node node]");
    })
    .await;
}

#[tokio::test]
async fn an_emptied_node_is_moved_in_as_a_joining_one() {
    on_each_version(async |node| {
        node.line("FLUSHALL").await;
        assert_eq!(
            node.op("k", 1, "SET k v").await.to_string(),
            "[FENCED]",
            "whoever lost its data has no fence"
        );
        assert_eq!(
            node.admit(&["move", "c", "n", "n,o", "2000000", "f3", "run", "1", "2d"]).await.to_string(),
            "[OK]"
        );
        assert_eq!(look(node).await, "c n 2000000 joining run n,o f3");
        assert_eq!(node.admit(&["look"]).await.text(11), "1", "where everything was deleted last");
    })
    .await;
}

#[tokio::test]
async fn a_joining_node_forgets_a_register_with_all_its_keys_and_a_voter_does_not() {
    on_each_version(async |node| {
        node.op("t", 1, "SET t 1;SET {t}a 1;RPUSH {t}b 1").await;
        let forget = async |fence: &str| {
            let args = words(&format!("forget {fence}"));
            node.call(anarchoredis::script::Name::Admit, &[record("t")], &args).await.to_string()
        };
        assert_eq!(node.unchanged(forget(FENCE)).await, "[OTHER role voter]");
        node.admit(&["demote", "node", "f2", "run", "fence"]).await;
        assert_eq!(node.unchanged(forget(FENCE)).await, "[OTHER fence '']");
        assert_eq!(forget("f2").await, "[OK]");
        assert_eq!(node.line("DBSIZE").await, OWN_KEYS);
        assert_eq!(forget("f2").await, "[OK]", "nothing is left to forget");
    })
    .await;
}

#[tokio::test]
async fn a_full_node_cannot_change_its_admission_and_an_unknown_call_is_answered() {
    on_each_version(async |node| {
        assert_eq!(node.unchanged(node.admit(&["dance", FENCE])).await.to_string(), "[OTHER call dance]");
        assert_eq!(node.unchanged(node.admit(&["dance", "f"])).await.to_string(), "[OTHER fence '']");
        node.line("CONFIG SET maxmemory 1").await;
        let refused = node.unchanged(node.admit(&["demote", "node", "f2", "run", "fence"])).await;
        let told = "[REFUSED OOM command not allowed when used memory > 'maxmemory'.]";
        assert_eq!(refused.to_string(), told);
        let mark = node.unchanged(node.admit(&["mark", FENCE, "k", "b"])).await;
        assert_eq!(mark.to_string(), told);
    })
    .await;
}

/// Found by the simulator: a mark under no fence made an emptied node look like one that holds other data.
#[tokio::test]
async fn a_node_without_an_admission_takes_nothing_under_an_empty_fence() {
    on_each_version(async |node| {
        let node = Node::unclaimed(node.version()).await;
        for call in [["mark", "", "k", "b"], ["clean", "", "k", "b"]] {
            assert_eq!(node.admit(&call).await.to_string(), "[OTHER fence '']");
        }
        assert_eq!(node.admit(&["look"]).await.number(8), 0, "nothing was written");
    })
    .await;
}

#[tokio::test]
async fn a_voter_votes_on_in_the_next_generation_and_whoever_missed_one_joins() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        let moved = async |epoch: &str, fence: &str| {
            node.admit(&["move", "cluster", "node", "node,o", epoch, fence, "run2", "0", ""])
                .await
                .to_string()
        };
        assert_eq!(moved("1000000", "f1").await, "[OK]");
        assert_eq!(look(node).await, "cluster node 1000000 voter run node,o f1");
        assert_eq!(
            node.op("k", 2, "SET k w").await.to_string(),
            "[FENCED]",
            "a call of the generation before"
        );
        assert_eq!(node.line("GET k").await.to_string(), "v");
        for older in ["1000000", "999999", "1000007"] {
            assert_eq!(moved(older, "f2").await, "[OK]");
        }
        assert_eq!(look(node).await, "cluster node 1000000 voter run node,o f1", "it was there already");
        let within = node.unchanged(node.admit(&["epoch", "node", "2000001", "f2"])).await;
        assert_eq!(
            within.to_string(),
            "[OTHER epoch 1000000]",
            "a rejoin does not lead into another generation"
        );
        assert_eq!(moved("3000000", "f3").await, "[OK]");
        assert_eq!(look(node).await, "cluster node 3000000 joining run2 node,o f3");
        assert_eq!(node.line("GET k").await.to_string(), "v");
        let within = node.unchanged(node.admit(&["rejoin", "node", "4000001", "run3", "f4"])).await;
        assert_eq!(within.to_string(), "[OTHER epoch 3000000]");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_goes_past_a_flush_keeps_the_register_of_the_configuration_and_nothing_else() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        node.op("anrcho_config", 2, "HSET anrcho_config generation 1").await;
        let before = node.read("anrcho_config", "HGETALL anrcho_config").await.to_string();
        node.line("SET unversioned x").await;
        let moved =
            node.admit(&["move", "cluster", "node", "node", "1000000", "fence", "run", "1", "2d"]).await;
        assert_eq!(moved.to_string(), "[OK]");
        assert_eq!(
            node.line("DBSIZE").await.to_string(),
            "4",
            "its own two keys, the configuration and its record"
        );
        assert_eq!(node.read("k", "GET k").await.to_string(), "[ABSENT [nil]]");
        assert_eq!(node.read("anrcho_config", "HGETALL anrcho_config").await.to_string(), before);
        node.op("k", 3, "SET k w").await;
        let moved =
            node.admit(&["move", "cluster", "node", "node", "2000000", "fence", "run", "1", "2d"]).await;
        assert_eq!(moved.to_string(), "[OK]");
        assert_eq!(node.line("GET k").await.to_string(), "w", "it was there when everything was deleted");
    })
    .await;
}

#[tokio::test]
async fn a_node_of_another_contract_tells_no_fence_and_says_which_one_it_keeps() {
    on_each_version(async |node| {
        assert_eq!(node.admit(&["look"]).await.text(14), anarchoredis::script::contract());
        node.line("HSET anrcho_node contract 99").await;
        let look = node.unchanged(node.admit(&["look"])).await;
        assert_eq!((look.text(7), look.text(14)), (String::new(), "99".into()));
        for call in ["start cluster f", "epoch node 2 f", "mark fence k 7", "claim cluster node node run"] {
            let answer = node.unchanged(node.admit(&call.split(' ').collect::<Vec<_>>())).await;
            assert_eq!(answer.to_string(), "[OTHER contract 99]", "{call}");
        }
    })
    .await;
}
