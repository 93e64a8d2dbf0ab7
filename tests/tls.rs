//! Nodes behind TLS: `rediss://`, a private certificate authority, users and passwords.

mod harness;

use anarchoredis::{Client, Tls};
use harness::{Port, Server, Version};
use redis::AsyncCommands;
use std::path::Path;
use std::process::Command;

/// A certificate authority and a server certificate for 127.0.0.1, made for this test alone.
fn make_certificates(folder: &Path) {
    let openssl = |args: &str| {
        let done =
            Command::new("openssl").args(args.split(' ')).current_dir(folder).output().expect("openssl runs");
        assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
    };
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .expect("a file");
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=node -keyout node.key -out node.csr");
    openssl(
        "x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out node.crt",
    );
}

async fn tls_server(folder: &Path, port: &Port) -> Server {
    let file = |name: &str| folder.join(name).display().to_string();
    Server::with(Version::V7_0)
        .config("tls-port", &port.number().to_string())
        .config("tls-cert-file", &file("node.crt"))
        .config("tls-key-file", &file("node.key"))
        .config("tls-ca-cert-file", &file("ca.crt"))
        .config("tls-auth-clients", "no")
        .requirepass("s3cret")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reaches_nodes_over_tls_and_refuses_an_authority_that_it_does_not_know() {
    let folder = tempfile::tempdir().expect("a folder");
    make_certificates(folder.path());
    let ports = [Port::any(), Port::any(), Port::any()];
    let mut servers = Vec::new();
    for port in &ports {
        servers.push(tls_server(folder.path(), port).await);
    }
    let urls = || ports.iter().map(|port| format!("rediss://:s3cret@127.0.0.1:{}", port.number()));

    let stranger =
        Client::builder().nodes(urls()).connect().await.expect_err("an unknown authority").to_string();
    assert!(stranger.contains("not reachable") && !stranger.contains("s3cret"), "{stranger}");

    let root_certificate = std::fs::read(folder.path().join("ca.crt")).ok();
    let tls = Tls { root_certificate, client_certificate: None };
    let mut store = Client::builder().nodes(urls()).tls(tls).connect().await.expect("a client");
    let _: () = store.set("k", "v").await.expect("a write");
    let value: String = store.get("k").await.expect("a read");
    assert_eq!(value, "v");
}
