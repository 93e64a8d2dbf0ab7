//! The program: flags, variables, file, signals, health, sockets, TLS.

mod harness;
mod proxy_support;
mod workload;

use harness::{Port, eventually};
use proxy_support::{PATIENCE, Raw, encoded};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use workload::Cluster;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anarcho-proxy"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("RUST_LOG", "debug");
    command
}

/// A running program, ended with the test.
struct Running(Option<Child>);

impl Running {
    fn start(mut command: Command) -> Running {
        Running(Some(command.spawn().expect("the program starts")))
    }

    fn terminate(&self) {
        let id = self.0.as_ref().map_or(0, Child::id);
        // SAFETY: plain system call on a child that has not been waited for.
        unsafe { libc::kill(id as i32, libc::SIGTERM) };
    }

    fn output(mut self) -> Output {
        self.0.take().expect("it runs").wait_with_output().expect("its end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn local(port: &Port) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))
}

async fn until_it_listens(address: SocketAddr) {
    eventually("it listens", PATIENCE, async || TcpStream::connect(address).await.is_ok()).await;
}

/// Status and text of an HTTP answer.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sending");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_it_answers_what_is_under_way_and_exits_with_0() {
    let cluster = Cluster::start().await;
    let (port, health) = (Port::any(), Port::any());
    let mut command = program();
    command.args(["--listen", &local(&port).to_string(), "--metrics", &local(&health).to_string()]);
    command.arg("--node").arg(cluster.urls().join(","));
    let running = Running::start(command);
    until_it_listens(local(&port)).await;
    let mut client = Raw::to(local(&port)).await;
    assert_eq!(client.ask("SET k v").await, "+OK\r\n");
    assert_eq!(get(local(&health), "/live").await.0, 200);
    assert_eq!(get(local(&health), "/ready").await.0, 200);
    assert_eq!(get(local(&health), "/nothing").await.0, 404);
    let metrics = get(local(&health), "/metrics").await.1;
    assert!(metrics.contains("anarcho_commands_total{command=\"set\"} 1\n"), "{metrics}");
    client.send(&encoded(&["INCR", "n"]).repeat(300)).await;
    client.reply().await;
    running.terminate();
    let mut answered = 1;
    let rest = client.rest().await;
    answered += rest.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b":")).count();
    let output = running.output();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let counter: usize = workload::run(&cluster.client().await, "GET n").await;
    assert_eq!(counter, answered, "what was run was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_alive_and_not_ready_until_a_majority_votes() {
    let cluster = Cluster::durable(3).await;
    drop(cluster.client().await);
    cluster[0].kill();
    cluster[1].kill();
    let (port, health) = (Port::any(), Port::any());
    let mut command = program();
    command.args(["--listen", &local(&port).to_string(), "--metrics", &local(&health).to_string()]);
    for url in cluster.urls() {
        command.args(["--node", &url]);
    }
    let running = Running::start(command);
    until_it_listens(local(&health)).await;
    assert_eq!(get(local(&health), "/live").await.0, 200);
    assert_eq!(get(local(&health), "/ready").await.0, 503);
    cluster[0].restart().await;
    eventually("it is ready", PATIENCE, async || get(local(&health), "/ready").await.0 == 200).await;
    assert_eq!(Raw::to(local(&port)).await.ask("SET k v").await, "+OK\r\n");
    cluster[2].kill();
    eventually("it is not", PATIENCE, async || get(local(&health), "/ready").await.0 == 503).await;
    drop(running);
}

/// A proxy over these nodes that heals, with its port for clients and that for health.
fn healing(cluster: &Cluster) -> (Running, Port, Port) {
    let (port, health) = (Port::any(), Port::any());
    let mut command = program();
    command.args(["--heal", "--listen", &local(&port).to_string(), "--metrics", &local(&health).to_string()]);
    command.arg("--node").arg(cluster.urls().join(","));
    (Running::start(command), port, health)
}

/// What a metric of that name and label says now.
async fn metric(health: &Port, row: &str) -> f64 {
    let text = get(local(health), "/metrics").await.1;
    let value = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

async fn until_equal(cluster: &Cluster) {
    eventually("all nodes hold the same", PATIENCE, async || workload::difference(cluster).await.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_emptied_under_a_proxy_that_heals_becomes_identical_with_no_other_process() {
    let cluster = Cluster::durable(3).await;
    let (running, port, health) = healing(&cluster);
    until_it_listens(local(&port)).await;
    let mut client = Raw::to(local(&port)).await;
    for number in 0..200 {
        assert_eq!(client.ask(&format!("SET k{number} v")).await, "+OK\r\n");
    }
    cluster[1].restart_empty().await;
    let voters = async || {
        let text = get(local(&health), "/metrics").await.1;
        text.lines().filter(|line| line.contains("role=\"voter\"") && line.ends_with(" 1")).count()
    };
    eventually("the loss is found out", PATIENCE, async || voters().await == 2).await;
    assert_eq!(client.ask("SET meanwhile v").await, "+OK\r\n");
    eventually("the node votes again", PATIENCE, async || voters().await == 3).await;
    until_equal(&cluster).await;
    let held: u64 = cluster[1].run(&["EXISTS", "k0", "k199", "meanwhile"]).await.expect("the node");
    assert_eq!(held, 3);
    assert!(
        metric(&health, "anarcho_sweeps_total").await >= 1.0,
        "the healer's numbers are at the proxy's endpoint"
    );
    assert!(metric(&health, "anarcho_requests_total").await >= 201.0);
    running.terminate();
    let output = running.output();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_heals_starts_where_no_majority_remembers() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let () = workload::run(&client, "SET k v").await;
    workload::eventually_same(&cluster, &client).await;
    drop(client);
    // With what they have saved: nobody knows what they had answered since.
    for node in cluster.iter() {
        node.restart().await;
    }
    let (_running, port, _health) = healing(&cluster);
    until_it_listens(local(&port)).await;
    let mut client = Raw::to(local(&port)).await;
    let works = async || client.ask("GET k").await == "$1\r\nv\r\n";
    eventually("it recovers the cluster", PATIENCE, works).await;
    until_equal(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_go_before_variables_and_those_before_the_file_and_no_password_is_logged() {
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.toml");
    let [in_file, in_variable, in_flag] = [Port::any(), Port::any(), Port::any()];
    let nodes = cluster.urls().iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "node = [{nodes}]\nlisten = [\"{}\"]\nrequirepass = \"s3cret-of-file\"\nuser = [\"ann:s3cret-of-ann\"]\nlog-format = \"json\"\n",
        local(&in_file)
    );
    std::fs::write(&file, text).expect("a file");
    for (variable, flag, port) in
        [(false, false, &in_file), (true, false, &in_variable), (true, true, &in_flag)]
    {
        let mut command = program();
        command.arg("--config").arg(&file);
        if variable {
            command.env("ANARCHO_LISTEN", local(&in_variable).to_string());
        }
        if flag {
            command.args(["--listen", &local(&in_flag).to_string(), "--requirepass", "s3cret-of-flag"]);
        }
        let running = Running::start(command);
        until_it_listens(local(port)).await;
        let mut client = Raw::to(local(port)).await;
        let password = if flag { "s3cret-of-flag" } else { "s3cret-of-file" };
        assert!(client.ask("AUTH s3cret-that-is-wrong").await.starts_with("-WRONGPASS"));
        assert_eq!(client.ask(&format!("AUTH {password}")).await, "+OK\r\n");
        assert_eq!(client.ask("AUTH ann s3cret-of-ann").await, "+OK\r\n");
        assert_eq!(client.ask("SET k v").await, "+OK\r\n");
        running.terminate();
        let output = running.output();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");
        assert!(log.contains("wrong user or password") && !log.contains("s3cret"), "{log}");
    }
}

fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_it_was_told_wrongly_is_said_without_the_passwords_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, "requirepass = \"s3cret\" oops\n").expect("a file");
    let said = refusal(program().arg("--config").arg(&file));
    assert!(said.contains("proxy.toml") && !said.contains("s3cret"), "{said}");
    std::fs::write(&file, "requirepas = \"s3cret\"\n").expect("a file");
    let said = refusal(program().arg("--config").arg(&file));
    assert!(said.contains("requirepas") && !said.contains("s3cret"), "{said}");
    let said = refusal(program().args(["--node", "redis://x", "--user", "s3cret"]));
    assert!(said.contains("name:password") && !said.contains("s3cret"), "{said}");
    let said = refusal(program().env("ANARCHO_REQUIREPASS", "s3cret").arg("--nosuch"));
    assert!(!said.contains("s3cret"), "{said}");
    assert!(refusal(&mut program()).contains("--node"));
    let help = program().env("ANARCHO_REQUIREPASS", "s3cret").arg("--help").output().expect("help");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("s3cret"));
}

#[test]
fn the_readme_tells_every_flag() {
    let help = program().arg("--help").output().expect("help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let flags = |text: &str| {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        words.filter(|word| word.starts_with("--")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let mut there = help
        .lines()
        .filter(|line| line.trim_start().starts_with("--"))
        .flat_map(flags)
        .collect::<BTreeSet<_>>();
    there.remove("--version");
    there.remove("--help");
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("| flag | default |").expect("the table of flags");
    let (table, _) = table.split_once("\n\n").expect("its end");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `--")?.split(" | ").next());
    let told = rows.flat_map(|row| flags(&format!("--{row}"))).collect::<BTreeSet<_>>();
    assert_eq!(there, told);
}

/// A certificate for 127.0.0.1 that is its own authority, made for this test alone.
fn make_certificate(folder: &Path) {
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    for args in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=proxy -keyout proxy.key -out proxy.csr",
        "x509 -req -in proxy.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out proxy.crt",
    ] {
        let mut command = Command::new("openssl");
        let done = command.args(args.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_over_tls_and_over_a_unix_socket() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    make_certificate(folder.path());
    let (socket, port) = (folder.path().join("proxy.sock"), Port::any());
    let start = || {
        let mut command = program();
        command.arg("--node").arg(cluster.urls().join(",")).arg("--unix-socket").arg(&socket);
        command.args(["--listen", &local(&port).to_string()]);
        command.arg("--tls-cert").arg(folder.path().join("proxy.crt"));
        command.arg("--tls-key").arg(folder.path().join("proxy.key"));
        Running::start(command)
    };
    let killed = start();
    until_it_listens(local(&port)).await;
    drop(killed); // It leaves its socket behind, and the next one takes it over.
    let running = start();
    let unix = redis::Client::open(format!("redis+unix://{}", socket.display())).expect("a URL");
    eventually("the socket answers", PATIENCE, async || {
        unix.get_multiplexed_async_connection().await.is_ok()
    })
    .await;
    // Three million bytes take their time on a busy machine.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connecting = unix.get_multiplexed_async_connection_with_config(&patient);
    let mut unix = connecting.await.expect("a connection");
    let value = "x".repeat(3_000_000);
    let () = redis::cmd("SET").arg("k").arg(&value).query_async(&mut unix).await.expect("SET");

    let root_cert = std::fs::read(folder.path().join("ca.crt")).ok();
    let certificates = redis::TlsCertificates { client_tls: None, root_cert };
    let url = format!("rediss://{}", local(&port));
    let tls = redis::Client::build_with_tls(url, certificates).expect("a client");
    let connecting = tls.get_multiplexed_async_connection_with_config(&patient);
    let mut tls = connecting.await.expect("a connection");
    let read: String = redis::cmd("GET").arg("k").query_async(&mut tls).await.expect("GET");
    assert!(read == value, "{} bytes", read.len());
    let mut plain = Raw::to(local(&port)).await;
    plain.say("PING").await;
    assert!(!plain.rest().await.starts_with(b"+PONG"), "who does not speak TLS is not answered");
    running.terminate();
    assert_eq!(running.output().status.code(), Some(0));
    assert!(!socket.exists(), "the socket is removed");
}

/// Who connects and says nothing costs a place among those that begin to speak TLS, not memory without bound, and not the others' service.
#[tokio::test(flavor = "multi_thread")]
async fn so_many_clients_at_a_time_may_begin_to_speak_tls_and_the_others_come_behind_them() {
    const SILENT: usize = 300;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    make_certificate(folder.path());
    let (port, secure, health) = (Port::any(), Port::any(), Port::any());
    let mut command = program();
    command.arg("--node").arg(cluster.urls().join(",")).args(["--listen", &local(&port).to_string()]);
    command.args(["--tls-listen", &local(&secure).to_string(), "--metrics", &local(&health).to_string()]);
    command.arg("--tls-cert").arg(folder.path().join("proxy.crt"));
    command.arg("--tls-key").arg(folder.path().join("proxy.key"));
    let _running = Running::start(command);
    until_it_listens(local(&port)).await;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(local(&secure)).await.expect("a connection"));
    }
    let begun = async || metric(&health, "anarcho_tls_handshakes").await;
    eventually("all places are taken", PATIENCE, async || begun().await == 256.0).await;
    let mut plain = Raw::to(local(&port)).await;
    assert_eq!(plain.ask("SET k v").await, "+OK\r\n", "others are served");
    drop(silent.drain(..100));
    let root_cert = std::fs::read(folder.path().join("ca.crt")).ok();
    let certificates = redis::TlsCertificates { client_tls: None, root_cert };
    let url = format!("rediss://{}", local(&secure));
    let tls = redis::Client::build_with_tls(url, certificates).expect("a client");
    let answers = async || match tls.get_multiplexed_async_connection().await {
        Ok(mut connection) => {
            redis::cmd("GET").arg("k").query_async::<String>(&mut connection).await.is_ok_and(|v| v == "v")
        }
        Err(_) => false,
    };
    eventually("one that speaks gets in", PATIENCE, answers).await;
    assert!(begun().await <= 256.0);
}
