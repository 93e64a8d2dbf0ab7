//! Health and metrics over HTTP: `/live`, `/ready`, `/metrics`.

use super::metrics::metrics;
use super::serve::Proxy;
use super::shared::Shared;
use crate::node::Seat;
use crate::telemetry::{OPEN_METRICS, answer_all, respond};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use std::fmt::Write as _;
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
                let text = shared.map_or_else(|| "# EOF\n".to_owned(), metrics);
                return respond(StatusCode::OK, OPEN_METRICS, text);
            }
            (true, _, _) => (StatusCode::NOT_FOUND, "there are /live, /ready and /metrics\n".to_owned()),
            (false, _, _) => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        };
        respond(status, "text/plain; charset=utf-8", text)
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
