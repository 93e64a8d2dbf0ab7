//! Faults of a server are real, with every server version: a fault that does not happen proves nothing.

mod harness;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Server, Version, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// How long a silence has to last to count as one.
const SILENCE: Duration = Duration::from_millis(300);

async fn get(server: &Server, key: &str) -> Option<String> {
    server.run(&["GET", key]).await.expect("GET")
}

async fn set(server: &Server, key: &str, value: &str) {
    server.run::<()>(&["SET", key, value]).await.expect("SET");
}

/// Does the server answer a PING within [`SILENCE`]?
async fn answers(server: &Server) -> bool {
    let ping = server.run::<String>(&["PING"]);
    matches!(tokio::time::timeout(SILENCE, ping).await, Ok(Ok(_)))
}

#[tokio::test]
async fn a_killed_server_is_gone_and_comes_back_on_its_port_without_what_it_did_not_persist() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let (port, pid) = (server.port(), server.pid());
        set(&server, "k", "v").await;
        server.kill();
        assert_eq!(server.pid(), None, "{version}");
        assert!(server.try_connection().await.is_err(), "{version}: nobody listens");
        server.restart().await;
        assert_eq!(server.port(), port, "{version}");
        assert_ne!(server.pid(), pid, "{version}");
        assert_eq!(get(&server, "k").await, None, "{version}");
    }
}

#[tokio::test]
async fn a_killed_server_that_appends_and_fsyncs_always_keeps_every_write() {
    for version in Version::ALL {
        let server = Server::with(version).appendonly("always").start().await;
        set(&server, "k", "v").await;
        server.kill();
        server.restart().await;
        assert_eq!(get(&server, "k").await.as_deref(), Some("v"), "{version}");
    }
}

#[tokio::test]
async fn a_restarted_server_keeps_its_data_and_a_later_kill_does_not_bring_older_data_back() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        set(&server, "k", "old").await;
        server.restart().await;
        assert_eq!(get(&server, "k").await.as_deref(), Some("old"), "{version}");
        set(&server, "k", "new").await;
        server.kill();
        server.restart().await;
        assert_eq!(get(&server, "k").await, None, "{version}");
    }
}

#[tokio::test]
async fn a_stopped_server_is_gone_even_if_it_was_paused() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        server.pause();
        server.stop().await;
        assert_eq!(server.pid(), None, "{version}");
        assert!(server.try_connection().await.is_err(), "{version}");
    }
}

#[tokio::test]
async fn a_paused_server_is_silent_and_a_resumed_one_carries_out_what_has_arrived() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let mut connection = TcpStream::connect(("127.0.0.1", server.port())).await.expect("a connection");
        server.pause();
        assert!(!answers(&server).await, "{version}");
        connection.write_all(b"SET k late\r\n").await.expect("sending SET");
        server.resume();
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"+OK\r\n", "{version}");
        assert_eq!(get(&server, "k").await.as_deref(), Some("late"), "{version}");
    }
}

#[tokio::test]
async fn a_server_restarts_empty_whatever_it_had_persisted() {
    for version in Version::ALL {
        for setup in [
            Server::with(version),
            Server::with(version).appendonly("always"),
            Server::with(version).save("1 1"),
        ] {
            let server = setup.start().await;
            set(&server, "k", "v").await;
            server.run::<()>(&["SAVE"]).await.expect("SAVE");
            server.restart_empty().await;
            assert_eq!(get(&server, "k").await, None, "{version}");
        }
    }
}

#[tokio::test]
async fn a_server_restarts_from_an_old_snapshot_and_keeps_appending_if_it_did() {
    for version in Version::ALL {
        for (setup, appends) in
            [(Server::with(version), false), (Server::with(version).appendonly("always"), true)]
        {
            let server = setup.start().await;
            set(&server, "k", "old").await;
            let snapshot = server.snapshot_rdb().await;
            set(&server, "k", "new").await;
            server.restart_from_rdb(&snapshot).await;
            assert_eq!(get(&server, "k").await.as_deref(), Some("old"), "{version}");
            set(&server, "l", "appended").await;
            server.kill();
            server.restart().await;
            let kept = (get(&server, "k").await.is_some(), get(&server, "l").await.is_some());
            assert_eq!(kept, (appends, appends), "{version}");
        }
    }
}

#[tokio::test]
async fn dropping_a_server_ends_its_process_and_removes_its_folder() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let (folder, pid) = (server.folder().to_owned(), server.pid().expect("a process"));
        server.pause();
        drop(server);
        assert!(!folder.exists(), "{version}");
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "{version}");
    }
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Server::start(Version::V7_0))
    };
    let server = std::thread::spawn(start).join().expect("the server's first thread");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        set(&server, "k", "v").await;
        assert_eq!(get(&server, "k").await.as_deref(), Some("v"));
    });
}

/// Set in the test process that is to be killed.
const VICTIM: &str = "ANARCHO_HARNESS_VICTIM";

#[tokio::test]
async fn a_server_dies_with_its_test_process_even_by_sigkill() {
    if std::env::var_os(VICTIM).is_some() {
        let server = Server::start(Version::V7_0).await;
        println!("\nserver {} {}", server.pid().expect("a process"), server.folder().display());
        std::future::pending::<()>().await;
    }
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_server_dies_with_its_test_process_even_by_sigkill", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second test process");
    let said = BufReader::new(victim.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let line = said.into_iter().find(|line| line.starts_with("server ")).expect("the server's process id");
    let words: Vec<&str> = line.split(' ').collect();
    let process = PathBuf::from("/proc").join(words[1]).join("cmdline");
    assert!(!std::fs::read(&process).expect("the server runs").is_empty());
    victim.kill().expect("killing the test process");
    victim.wait().expect("waiting for the test process");
    // A process that is dead but not yet waited for has an empty command line.
    let gone = async || std::fs::read(&process).unwrap_or_default().is_empty();
    eventually("the server is gone", SOON, gone).await;
    std::fs::remove_dir_all(words[2]).expect("removing what the killed process has left");
}
