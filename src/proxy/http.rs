//! Health and metrics over HTTP: `/live`, `/ready`, `/metrics`.

use super::serve::Proxy;
use super::shared::Shared;
use crate::node::Seat;
use crate::telemetry::{answer_all, respond};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// What is asked over HTTP: from before the proxy can serve anybody until after it has closed.
#[derive(Clone, Default)]
pub struct Health(Arc<OnceLock<Arc<Shared>>>);

impl Health {
    /// From now on it is this proxy whose health is told.
    pub fn watch(&self, proxy: &Proxy) {
        // A second one would be a mistake of the program; the first one stays.
        let _ = self.0.set(Arc::clone(proxy.shared()));
    }

    /// Answers until the runtime ends.
    pub async fn serve(self, listener: TcpListener) {
        answer_all(listener, move |request| self.answer(request)).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let shared = self.0.get();
        let reads = request.method() == Method::GET || request.method() == Method::HEAD;
        let (status, text) = match (reads, request.uri().path(), shared) {
            (true, "/live", _) => (StatusCode::OK, "alive\n".to_owned()),
            (true, "/ready", Some(shared)) => ready(shared),
            (true, "/ready", None) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not connected to the nodes yet\n".to_owned())
            }
            (true, "/metrics", shared) => {
                (StatusCode::OK, shared.map_or_else(String::new, |shared| metrics(shared)))
            }
            (true, _, _) => (StatusCode::NOT_FOUND, "there are /live, /ready and /metrics\n".to_owned()),
            (false, _, _) => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        };
        respond(status, "text/plain; version=0.0.4; charset=utf-8", text)
    }
}

fn ready(shared: &Shared) -> (StatusCode, String) {
    let closing = *shared.closing.borrow();
    let status =
        if shared.has_quorum() && !closing { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = format!(
        "{} of {} nodes vote, {} must\n",
        shared.voters(),
        shared.client.nodes().len(),
        shared.majority()
    );
    if closing {
        text.push_str("the proxy is about to end\n");
    }
    for node in shared.client.nodes() {
        if let Seat::Away(reason) = node.seat {
            let _ = writeln!(text, "{}: {reason}", node.address);
        }
    }
    (status, text)
}

/// In Prometheus' text format.
fn metrics(shared: &Shared) -> String {
    let mut text = String::new();
    let stats = &shared.stats;
    let repairs = shared.client.repairs();
    let gauges = [
        ("nodes", shared.client.nodes().len() as u64),
        ("voters", shared.voters() as u64),
        ("majority", shared.majority() as u64),
        ("connected_clients", shared.clients.len() as u64),
        ("blocked_clients", stats.blocked.load(Ordering::Relaxed)),
        ("repairs_waiting", repairs.waiting),
    ];
    for (name, value) in gauges {
        let _ = write!(text, "# TYPE anarcho_{name} gauge\nanarcho_{name} {value}\n");
    }
    let counters = [
        ("connections_total", stats.connections.load(Ordering::Relaxed)),
        ("connections_rejected_total", stats.rejected.load(Ordering::Relaxed)),
        ("requests_total", stats.requests.load(Ordering::Relaxed)),
        ("error_replies_total", stats.failures.load(Ordering::Relaxed)),
        ("input_bytes_total", stats.input.load(Ordering::Relaxed)),
        ("output_bytes_total", stats.output.load(Ordering::Relaxed)),
        ("repairs_done_total", repairs.done),
        ("repairs_failed_total", repairs.failed),
    ];
    for (name, value) in counters {
        let _ = write!(text, "# TYPE anarcho_{name} counter\nanarcho_{name} {value}\n");
    }
    text.push_str("# TYPE anarcho_node_votes gauge\n");
    for node in shared.client.nodes() {
        let votes = u8::from(matches!(node.seat, Seat::Voter(_)));
        let _ = writeln!(text, "anarcho_node_votes{{node=\"{}\"}} {votes}", label(&node.address));
    }
    commands(&mut text, shared);
    text
}

fn commands(text: &mut String, shared: &Shared) {
    let mut rows = [String::new(), String::new(), String::new()];
    shared.stats.each(|name, calls, failed, seconds| {
        let name = label(name);
        let _ = writeln!(rows[0], "anarcho_commands_total{{command=\"{name}\"}} {calls}");
        let _ = writeln!(rows[1], "anarcho_commands_failed_total{{command=\"{name}\"}} {failed}");
        let _ = writeln!(rows[2], "anarcho_commands_seconds_total{{command=\"{name}\"}} {seconds:.6}");
    });
    let names = ["commands_total", "commands_failed_total", "commands_seconds_total"];
    for (name, rows) in names.iter().zip(rows) {
        let _ = write!(text, "# TYPE anarcho_{name} counter\n{rows}");
    }
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
