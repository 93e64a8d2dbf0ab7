//! `/metrics`, and nothing else.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a request's head may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the text of a registry is.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What to wait after a connection that could not be taken: descriptors may be short.
const BREATH: Duration = Duration::from_millis(50);

/// Shows this text at `/metrics` until the runtime ends: `serve(listener, move || client.metrics())`.
pub async fn serve(listener: TcpListener, text: impl Fn() -> String + Send + Sync + 'static) {
    answer_all(listener, move |request| answer(request, &text)).await;
}

/// Answers every request so, until the runtime ends.
pub(crate) async fn answer_all(
    listener: TcpListener,
    answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let answering = service_fn(move |request| {
                let answer = answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // Whoever asked may have left.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answering)
                .await;
        });
    }
}

/// A text of this kind.
pub(crate) fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn answer(request: &Request<Incoming>, text: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let (status, body) = match (reads, request.uri().path()) {
        (true, "/metrics") => (StatusCode::OK, text()),
        (true, _) => (StatusCode::NOT_FOUND, "there is /metrics\n".to_owned()),
        (false, _) => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
    };
    respond(status, OPEN_METRICS, body)
}
