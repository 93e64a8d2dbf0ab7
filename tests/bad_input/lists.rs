//! Lists of nodes that are wrong.

use super::{connect, keyspaces, must};
use crate::harness::{Nodes, Port, Server, Version};

/// The connection fails, the error says all of this, and no server is changed.
async fn is_refused(servers: &[&[Server]], urls: &[String], says: &[&str]) {
    let mut before = Vec::new();
    for some in servers {
        before.push(keyspaces(some).await);
    }
    let error = connect(urls).await.expect_err("these are no nodes");
    for words in says {
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
    for (some, before) in servers.iter().zip(before) {
        assert_eq!(keyspaces(some).await, before);
    }
}

fn list(servers: &[&Server]) -> Vec<String> {
    servers.iter().map(|server| server.url()).collect()
}

#[tokio::test]
async fn a_url_that_is_none_is_named_without_its_password() {
    for (url, shown) in [
        ("http://127.0.0.1:7001", "http://127.0.0.1:7001"),
        ("127.0.0.1:7001", "127.0.0.1:7001"),
        ("redis://127.0.0.1:port", "redis://127.0.0.1:port"),
        ("redis://user:secret@127.0.0.1:port", "redis://…@127.0.0.1:port"),
    ] {
        let urls = [url.to_owned()];
        let error = connect(&urls).await.expect_err(url);
        assert!(error.contains(shown) && error.contains("the URL is not valid"), "{error}");
        assert!(
            error.contains("redis://[user:password@]host[:port][/db]") && !error.contains("secret"),
            "{error}"
        );
    }
    let error = connect(&[]).await.expect_err("no nodes");
    assert!(error.contains("the list of nodes is empty"), "{error}");
}

#[tokio::test]
async fn one_server_named_twice_is_refused_under_whatever_name() {
    let nodes = Nodes::start(2).await;
    let alias = format!("redis://localhost:{}/", nodes[0].port());
    for twin in [nodes[0].url(), alias] {
        let urls = [nodes[0].url(), nodes[1].url(), twin];
        is_refused(&[&nodes], &urls, &["it is the same server as", "name each server once"]).await;
    }
}

#[tokio::test]
async fn servers_of_two_clusters_are_refused() {
    let (ours, theirs) = (Nodes::start(3).await, Nodes::start(3).await);
    for nodes in [&ours, &theirs] {
        must(&connect(&nodes.urls()).await.expect("a client"), &["SET", "k", "v"]).await;
    }
    let urls = list(&[&ours[0], &ours[1], &theirs[0]]);
    let theirs_0 = format!("127.0.0.1:{}", theirs[0].port());
    is_refused(&[&ours, &theirs], &urls, &[&theirs_0, "it belongs to cluster", "check the list of nodes"])
        .await;
}

#[tokio::test]
async fn a_list_that_leaves_a_node_out_is_refused() {
    let nodes = Nodes::start(3).await;
    connect(&nodes.urls()).await.expect("a client");
    let says = ["the cluster has 3 nodes and the list names 2; name each of them"];
    is_refused(&[&nodes], &nodes.urls()[..2], &says).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_a_node_is_refused_and_the_others_stay_untouched() {
    let good = Nodes::start(2).await;
    let master = Server::start(Version::V7_0).await;
    let replica = Server::with(Version::V7_0).config("replicaof", &format!("127.0.0.1 {}", master.port()));
    let evicting = Server::with(Version::V7_0).maxmemory("100mb", "allkeys-lru");
    // A port of ours for its bus, too: the one that it takes by itself may be anybody's.
    let bus = Port::any();
    let clustered = Server::with(Version::V7_0)
        .config("cluster-enabled", "yes")
        .config("cluster-port", &bus.number().to_string());
    let guarded = Server::with(Version::V7_0).config("requirepass", "secret");
    let no_scripts = Server::with(Version::V7_0).config("user", "default on nopass ~* +@all -evalsha");
    for (setup, says) in [
        (replica, ["it is a replica of another server", "REPLICAOF NO ONE"]),
        (evicting, ["its maxmemory-policy is allkeys-lru", "set it to noeviction"]),
        (clustered, ["it runs in Redis Cluster mode", "set cluster-enabled no"]),
        (guarded, ["it does not allow what nodes need", "NOAUTH"]),
        (no_scripts, ["it does not allow what nodes need", "evalsha"]),
    ] {
        let bad = setup.start().await;
        let named = format!("127.0.0.1:{}", bad.port());
        is_refused(&[&good], &list(&[&good[0], &good[1], &bad]), &[&[named.as_str()], &says[..]].concat())
            .await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated_in_the_error() {
    let good = Nodes::start(2).await;
    let guarded = Server::with(Version::V7_0).requirepass("secret").start().await;
    let wrong = format!("redis://:guess@127.0.0.1:{}/", guarded.port());
    let urls = [good[0].url(), good[1].url(), wrong];
    is_refused(&[&good, std::slice::from_ref(&guarded)], &urls, &["it does not allow what nodes need"]).await;
    let error = connect(&urls).await.expect_err("a wrong password");
    assert!(error.to_lowercase().contains("password") && !error.contains("guess"), "{error}");
    connect(&list(&[&good[0], &good[1], &guarded])).await.expect("the right password");
}

#[tokio::test]
async fn a_server_that_holds_data_is_refused_and_keeps_it() {
    let nodes = Nodes::start(3).await;
    nodes[2].run::<()>(&["SET", "k", "theirs"]).await.expect("SET");
    let says = ["it holds 1 keys and no admission of ours, so nothing was changed", "adopt"];
    is_refused(&[&nodes], &nodes.urls(), &says).await;
}

#[tokio::test]
async fn a_new_cluster_does_not_start_without_all_its_nodes() {
    let nodes = Nodes::start(3).await;
    nodes[2].kill();
    let missing = format!("127.0.0.1:{}", nodes[2].port());
    let says = ["a new cluster starts only when all nodes answer and are empty", &missing];
    is_refused(&[&nodes[..2]], &nodes.urls(), &says).await;
}

/// A, B, C are a cluster; C, D, E is another list that names one of them (P46).
#[tokio::test]
async fn a_list_that_overlaps_a_cluster_does_not_become_another_one() {
    let nodes = Nodes::start(5).await;
    let client = connect(&nodes.urls()[..3]).await.expect("a client");
    must(&client, &["SET", "k", "v"]).await;
    is_refused(&[&nodes], &nodes.urls()[2..], &["1 of the 2 nodes that are needed can vote"]).await;
}

#[tokio::test]
async fn of_two_overlapping_lists_that_start_at_once_at_most_one_wins() {
    let nodes = Nodes::start(5).await;
    let urls = nodes.urls();
    for _ in 0..5 {
        let (first, second) = tokio::join!(connect(&urls[..3]), connect(&urls[2..]));
        assert!(first.is_err() || second.is_err(), "both won");
        for error in [first.err(), second.err()].into_iter().flatten() {
            let says = [
                "was taken for another, unfinished cluster",
                "nodes that are needed can vote",
                "belongs to cluster",
            ];
            assert!(says.iter().any(|words| error.contains(words)), "{error}");
        }
        for server in nodes.iter() {
            server.run::<()>(&["FLUSHALL"]).await.expect("FLUSHALL");
        }
    }
}

#[tokio::test]
async fn the_same_list_in_any_order_started_at_once_is_one_cluster() {
    let nodes = Nodes::start(3).await;
    let (urls, mut turned) = (nodes.urls(), nodes.urls());
    turned.rotate_left(1);
    let (first, second) = tokio::join!(connect(&urls), connect(&turned));
    must(&first.expect("a client"), &["SET", "k", "v"]).await;
    let read = must(&second.expect("a client"), &["GET", "k"]).await;
    assert_eq!(read, redis::Value::BulkString(b"v".to_vec()));
}
