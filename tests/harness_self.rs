//! The test harness starts what it says, with every server version.

mod harness;

use std::time::{Duration, Instant};

use harness::{Link, Nodes, Server, Version, eventually};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_server_of_each_version_starts_empty_and_is_of_that_version() {
    let names = ["redis_version:6.2.", "redis_version:7.0.", "redis_version:7.4.", "valkey_version:9."];
    for (version, expected) in Version::ALL.into_iter().zip(names) {
        let server = Server::start(version).await;
        let info: String = server.run(&["INFO", "server"]).await.expect("INFO");
        assert!(info.contains(expected), "{version}: {info}");
        assert_eq!(server.run::<u64>(&["DBSIZE"]).await.expect("DBSIZE"), 0, "{version}");
    }
}

#[tokio::test]
async fn any_server_will_do_for_what_needs_no_certain_version() {
    let server = Server::start(Version::Any).await;
    assert_eq!(server.run::<String>(&["PING"]).await.expect("PING"), "PONG");
}

#[tokio::test]
async fn options_reach_the_server() {
    for version in Version::ALL {
        let server = Server::with(version)
            .appendonly("always")
            .maxmemory("20mb", "allkeys-lru")
            .save("60 1")
            .requirepass("open sesame")
            .config("maxclients", "50")
            .start()
            .await;
        for (name, value) in [
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory", "20971520"),
            ("maxmemory-policy", "allkeys-lru"),
            ("save", "60 1"),
            ("maxclients", "50"),
        ] {
            let found: Vec<String> = server.run(&["CONFIG", "GET", name]).await.expect("CONFIG GET");
            assert_eq!(found, [name, value], "{version}");
        }
        let stranger = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port())).expect("a URL");
        let connected = stranger.get_multiplexed_async_connection().await;
        let refused = match connected {
            Ok(mut connection) => redis::cmd("GET").arg("k").exec_async(&mut connection).await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "{version}: the password is asked for");
    }
}

#[tokio::test]
async fn round_trips_are_counted_one_by_one() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let script = "return redis.call('INCR', KEYS[1])";
        let sha: String = server.run(&["SCRIPT", "LOAD", script]).await.expect("SCRIPT LOAD");
        for _ in 0..3 {
            server.run::<i64>(&["EVALSHA", &sha, "1", "n"]).await.expect("EVALSHA");
        }
        server.run::<i64>(&["EVAL", script, "1", "n"]).await.expect("EVAL");
        assert_eq!((server.calls("evalsha").await, server.round_trips().await), (3, 4), "{version}");
        assert_eq!(server.calls("incr").await, 4, "{version}");
        server.reset_calls().await;
        assert_eq!(server.round_trips().await, 0, "{version}");
    }
}

#[tokio::test]
async fn nodes_are_as_many_servers_as_asked_for_each_by_itself() {
    let nodes = Nodes::of(&Version::ALL).await;
    assert_eq!(nodes.urls().len(), 4);
    nodes[0].run::<()>(&["SET", "k", "v"]).await.expect("SET");
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.version(), Version::ALL[index]);
        assert_eq!(node.url(), nodes.urls()[index]);
        let found: Option<String> = node.run(&["GET", "k"]).await.expect("GET");
        assert_eq!(found.is_some(), index == 0);
    }
    assert_eq!(nodes.round_trips().await, [0; 4]);
    assert_eq!(Nodes::start(3).await.len(), 3);
}

#[tokio::test]
async fn eventually_returns_as_soon_as_the_condition_holds() {
    let started = Instant::now();
    eventually("50 ms have passed", SOON, async || started.elapsed() > Duration::from_millis(50)).await;
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
#[should_panic(expected = "it never held that pigs fly")]
async fn eventually_panics_with_what_it_waited_for() {
    eventually("pigs fly", Duration::from_millis(20), async || false).await;
}

#[tokio::test]
#[should_panic(expected = "it never held that the answer comes")]
async fn eventually_does_not_wait_for_a_look_that_hangs() {
    eventually("the answer comes", Duration::from_millis(20), std::future::pending).await;
}

#[tokio::test]
async fn a_link_gives_the_password_on() {
    let server = Server::with(Version::V7_0).requirepass("secret").start().await;
    let link = Link::before(&server).await;
    let client = redis::Client::open(link.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    redis::cmd("SET").arg("k").arg("v").exec_async(&mut connection).await.expect("SET through the link");
}
