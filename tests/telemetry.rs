//! What is counted is what happened; the dashboard asks for what there is.

mod harness;

use anarchoredis::heal::Silent;
use anarchoredis::node::Seat;
use anarchoredis::telemetry::{Telemetry, serve};
use anarchoredis::{Client, Config};
use harness::{Nodes, eventually};
use redis::AsyncCommands;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DASHBOARD: &str = include_str!("../deploy/grafana.json");
const SOON: Duration = Duration::from_secs(20);

/// The sum of all samples of this name whose labels contain all of these.
fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let ours = lines.filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    ours.map(|line| line.rsplit(' ').next().and_then(|word| word.parse::<f64>().ok()).expect("a value")).sum()
}

#[test]
fn the_dashboard_asks_for_every_metric_and_for_no_other() {
    let telemetry = Telemetry::default();
    telemetry.repair_requested("n");
    [true, false].into_iter().for_each(|done| telemetry.repair_ended("n", done));
    let text = telemetry.text(0, std::iter::once(("n", "voter")));
    let mut there = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("name and type");
        let suffix = match kind {
            "counter" => "_total",
            "histogram" => "_bucket",
            _ => "",
        };
        there.insert(format!("{name}{suffix}"));
    }
    let word =
        |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let asked: BTreeSet<String> =
        DASHBOARD.split("anarcho_").skip(1).map(|rest| format!("anarcho_{}", word(rest))).collect();
    assert_eq!(there, asked);
    assert!(there.len() > 15, "{there:?}");
    let _: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_repairs_and_roles_are_counted_and_shown_over_http() {
    let nodes = Nodes::start(3).await;
    // However loaded the machine is, no round goes on without a node that answers: each is decided by the first rule.
    let config = Config { hedge: (SOON, SOON), ..Config::default() };
    let client = Client::builder().nodes(nodes.urls()).config(config).connect().await.expect("a client");
    let mut store = client.clone();
    for number in 0..20 {
        let _: () = store.set(format!("k{number}"), number).await.expect("a write");
    }
    for number in 0..20 {
        let _: i32 = store.get(format!("k{number}")).await.expect("a read");
    }
    let text = client.metrics();
    assert_eq!(sample(&text, "anarcho_rounds_total", &["kind=\"write\"", "rule=\"W1\""]), 20.0, "{text}");
    assert_eq!(sample(&text, "anarcho_rounds_total", &["kind=\"read\"", "rule=\"R1\""]), 20.0, "{text}");
    assert_eq!(sample(&text, "anarcho_operation_seconds_count", &["kind=\"write\""]), 20.0);
    assert_eq!(sample(&text, "anarcho_nodes", &["role=\"voter\""]), 3.0);

    nodes[2].kill();
    let _: () = store.set("k0", "without it").await.expect("a write");
    eventually("the node is shown as away", SOON, || async {
        sample(&client.metrics(), "anarcho_nodes", &["role=\"away\""]) == 1.0
    })
    .await;
    let _: () = store.set("k1", "without it").await.expect("a write");
    let text = client.metrics();
    assert!(sample(&text, "anarcho_rounds_total", &["rule=\"W2\""]) >= 1.0, "{text}");
    assert!(sample(&text, "anarcho_dirty_marked_total", &[]) >= 1.0, "{text}");

    nodes[2].restart_empty().await;
    let is_emptied = |seat: &Seat| matches!(seat, Seat::Away(reason) if reason.contains("lost its data"));
    eventually("the loss is found out", SOON, || async { is_emptied(&client.nodes()[2].seat) }).await;
    let summary = client.healer().once(&Silent).await.expect("a pass");
    assert!(summary.complete, "{summary:?}");
    let text = client.metrics();
    let third = format!("node=\"{}\"", nodes[2].url().trim_start_matches("redis://").trim_end_matches('/'));
    assert!(sample(&text, "anarcho_repairs_done_total", &[&third]) >= 20.0, "{text}");
    assert!(sample(&text, "anarcho_sweep_compared_total", &[]) >= 20.0, "{text}");
    assert_eq!(sample(&text, "anarcho_repair_backlog", &[]), 0.0, "nothing is left at rest");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, move || client.metrics()));
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).await.expect("a page");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("anarcho_rounds_total{"), "{page}");
}
