//! A link does to the traffic what its names say, and nothing else.

mod harness;

use std::time::{Duration, Instant};

use harness::{Link, Server, Version, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// How long a silence has to last to count as one.
const SILENCE: Duration = Duration::from_millis(300);

struct Setting {
    server: Server,
    link: Link,
}

impl Setting {
    async fn new() -> Setting {
        let server = Server::start(Version::V7_0).await;
        let link = Link::before(&server).await;
        Setting { server, link }
    }

    async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(("127.0.0.1", self.link.port())).await.expect("the link accepts"))
    }

    /// What the server itself holds in the counter `n`.
    async fn count(&self) -> Option<u64> {
        self.server.run(&["GET", "n"]).await.expect("GET")
    }
}

/// A raw connection, to see each byte and each end.
struct Connection(TcpStream);

impl Connection {
    async fn send_incr(&mut self) {
        self.0.write_all(b"INCR n\r\n").await.expect("sending INCR");
    }

    /// The next line; `None` when the connection has ended.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => return None,
            }
        }
        Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    async fn incr(&mut self) -> Option<String> {
        self.send_incr().await;
        self.line().await
    }

    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(SILENCE, self.line()).await.is_err()
    }

    async fn is_closed(&mut self) -> bool {
        tokio::time::timeout(SOON, self.line()).await.expect("an end").is_none()
    }
}

#[tokio::test]
async fn a_clear_link_passes_everything_and_counts_it() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    assert_eq!(connection.incr().await.as_deref(), Some(":1"));
    let traffic = setting.link.traffic();
    assert_eq!(traffic.connections, 1);
    assert_eq!((traffic.requests_seen, traffic.requests_delivered), (8, 8));
    assert_eq!((traffic.answers_seen, traffic.answers_delivered), (4, 4));
}

#[tokio::test]
async fn a_large_value_passes_unchanged() {
    let setting = Setting::new().await;
    let value: String = (0..3_000_000).map(|index| char::from(b'a' + (index % 23) as u8)).collect();
    let client = redis::Client::open(setting.link.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    redis::cmd("SET").arg("k").arg(&value).exec_async(&mut connection).await.expect("SET");
    let found: String = redis::cmd("GET").arg("k").query_async(&mut connection).await.expect("GET");
    assert!(found == value);
}

#[tokio::test]
async fn a_cut_link_is_a_black_hole_for_old_and_new_connections() {
    let setting = Setting::new().await;
    let mut old = setting.connect().await;
    assert_eq!(old.incr().await.as_deref(), Some(":1"));
    setting.link.cut();
    let mut new = setting.connect().await;
    for connection in [&mut old, &mut new] {
        connection.send_incr().await;
        assert!(connection.is_silent().await);
    }
    assert_eq!(setting.count().await, Some(1));
    let traffic = setting.link.traffic();
    assert_eq!((traffic.requests_seen, traffic.requests_delivered), (24, 8));
}

#[tokio::test]
async fn a_healed_link_closes_the_connections_that_lost_bytes_and_welcomes_new_ones() {
    let setting = Setting::new().await;
    let mut torn = setting.connect().await;
    let mut idle = setting.connect().await;
    assert_eq!(torn.incr().await.as_deref(), Some(":1"));
    assert_eq!(idle.incr().await.as_deref(), Some(":2"));
    setting.link.cut();
    torn.send_incr().await;
    assert!(torn.is_silent().await);
    setting.link.heal();
    assert!(torn.is_closed().await);
    assert_eq!(idle.incr().await.as_deref(), Some(":3"));
    assert_eq!(setting.connect().await.incr().await.as_deref(), Some(":4"));
}

#[tokio::test]
async fn cut_requests_never_arrive() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    assert_eq!(connection.incr().await.as_deref(), Some(":1"));
    setting.link.cut_requests();
    connection.send_incr().await;
    assert!(connection.is_silent().await);
    assert_eq!(setting.count().await, Some(1));
    setting.link.cut_answers();
    assert!(connection.is_closed().await, "requests pass again, and this connection lacks one");
}

#[tokio::test]
async fn requests_whose_answers_are_cut_are_carried_out() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    setting.link.cut_answers();
    connection.send_incr().await;
    eventually("the request was carried out", SOON, async || setting.count().await == Some(1)).await;
    assert!(connection.is_silent().await);
    setting.link.heal();
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn held_requests_arrive_late_even_if_who_sent_them_is_gone() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    assert_eq!(connection.incr().await.as_deref(), Some(":1"));
    setting.link.hold_requests();
    connection.send_incr().await;
    assert!(connection.is_silent().await);
    assert_eq!(setting.count().await, Some(1));
    drop(connection);
    setting.link.heal();
    eventually("the late request was carried out", SOON, async || setting.count().await == Some(2)).await;
}

#[tokio::test]
async fn held_answers_arrive_when_the_link_heals() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    setting.link.hold_answers();
    connection.send_incr().await;
    eventually("the request was carried out", SOON, async || setting.count().await == Some(1)).await;
    assert!(connection.is_silent().await);
    setting.link.heal();
    assert_eq!(connection.line().await.as_deref(), Some(":1"));
}

#[tokio::test]
async fn a_connection_made_during_a_hold_works_after_it() {
    let setting = Setting::new().await;
    setting.link.hold();
    let mut connection = setting.connect().await;
    connection.send_incr().await;
    assert!(connection.is_silent().await);
    setting.link.heal();
    assert_eq!(connection.line().await.as_deref(), Some(":1"));
}

#[tokio::test]
async fn a_refusing_link_closes_old_and_new_connections_until_it_heals() {
    let setting = Setting::new().await;
    let mut old = setting.connect().await;
    assert_eq!(old.incr().await.as_deref(), Some(":1"));
    setting.link.refuse();
    assert!(old.is_closed().await);
    assert!(setting.connect().await.is_closed().await);
    setting.link.heal();
    assert_eq!(setting.connect().await.incr().await.as_deref(), Some(":2"));
}

#[tokio::test]
async fn closing_all_connections_leaves_the_link_open_for_new_ones() {
    let setting = Setting::new().await;
    let mut old = setting.connect().await;
    assert_eq!(old.incr().await.as_deref(), Some(":1"));
    setting.link.close_all();
    assert!(old.is_closed().await);
    assert_eq!(setting.connect().await.incr().await.as_deref(), Some(":2"));
}

#[tokio::test]
async fn a_delay_is_added_each_way_once_however_much_is_under_way() {
    let setting = Setting::new().await;
    let mut connection = setting.connect().await;
    assert_eq!(connection.incr().await.as_deref(), Some(":1"));
    let delay = Duration::from_millis(100);
    setting.link.delay(delay);
    let started = Instant::now();
    for _ in 0..20 {
        connection.send_incr().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in 2..=21 {
        assert_eq!(connection.line().await, Some(format!(":{n}")));
    }
    let took = started.elapsed();
    assert!(took >= 2 * delay, "{took:?}");
    assert!(took < 10 * delay, "{took:?}: delays have added up");
}

#[tokio::test]
async fn a_link_to_a_dead_server_closes_what_it_accepts_and_works_once_the_server_is_back() {
    let setting = Setting::new().await;
    setting.server.kill();
    assert!(setting.connect().await.is_closed().await);
    setting.server.restart().await;
    assert_eq!(setting.connect().await.incr().await.as_deref(), Some(":1"));
}

#[tokio::test]
async fn dropping_a_link_closes_its_connections() {
    let Setting { server, link } = Setting::new().await;
    let mut connection =
        Connection(TcpStream::connect(("127.0.0.1", link.port())).await.expect("the link accepts"));
    assert!(connection.incr().await.is_some());
    drop(link);
    assert!(connection.is_closed().await);
    drop(server);
}
