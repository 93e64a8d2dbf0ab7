//! Nodes and coordinators of different contracts of the scripts do not work together, and are told what to do.

mod harness;

use std::time::Duration;

use anarchoredis::Client;
use harness::{Nodes, Server, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

async fn raise(server: &Server) {
    // As the tool that brings a new contract would: another fence, so that who is connected has to look again.
    server.run::<()>(&["HSET", "anrcho_node", "contract", "99"]).await.expect("HSET");
    server.run::<()>(&["SET", "anrcho_fence", "0000000001-00000000000000ff"]).await.expect("SET");
}

#[tokio::test]
async fn nodes_of_another_contract_are_refused_by_name_and_keep_their_data() {
    let nodes = Nodes::start(3).await;
    let client = Client::builder().nodes(nodes.urls()).connect().await.expect("a client");
    client.run(&[b"SET".as_slice(), b"k", b"v"]).await.expect("a write");
    for node in nodes.iter() {
        raise(node).await;
    }
    let error = Client::builder()
        .nodes(nodes.urls())
        .connect()
        .await
        .expect_err("it keeps another contract")
        .to_string();
    assert!(error.contains("contract 99") && error.contains("use a version of this program"), "{error}");
    // Who was connected is turned away at the next call.
    let refused = async || client.run(&[b"SET".as_slice(), b"k", b"w"]).await.is_err();
    eventually("the client is turned away", PATIENCE, refused).await;
    for node in nodes.iter() {
        let value: String = node.run(&["GET", "k"]).await.expect("GET");
        assert_eq!(value, "v");
    }
}

#[tokio::test]
async fn one_node_of_another_contract_is_left_alone() {
    let nodes = Nodes::start(3).await;
    drop(Client::builder().nodes(nodes.urls()).connect().await.expect("a client"));
    raise(&nodes[1]).await;
    let client = Client::builder().nodes(nodes.urls()).connect().await.expect("two nodes are a majority");
    client.run(&[b"SET".as_slice(), b"k", b"v"]).await.expect("a write");
    let value: Option<String> = nodes[1].run(&["GET", "k"]).await.expect("GET");
    assert_eq!(value, None);
}
