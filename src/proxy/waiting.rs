//! What a connection waits for, each as one future.

use super::dialogue::Later;
use super::lanes::Place;
use super::shared::Pause;
use crate::client::{Delivery, PubSubStream};
use bytes::BytesMut;
use redis::Value;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{broadcast, watch};

/// Buffers that grew beyond this are given back when they are empty.
const KEPT: usize = 16 * 1024;

/// What can carry a client.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// An empty buffer that grew is no use to a client that asks nothing.
pub fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT {
        *buffer = BytesMut::new();
    }
}

/// The command that runs alone.
pub async fn running(alone: &mut Option<(Place, Later)>) -> Value {
    match alone {
        Some((_, later)) => later.await,
        None => std::future::pending().await,
    }
}

/// Writes what there is, or sees it off.
pub async fn send(writer: &mut (impl AsyncWrite + Unpin), output: &BytesMut) -> std::io::Result<usize> {
    if !output.is_empty() {
        return writer.write(output).await;
    }
    writer.flush().await.map(|()| 0)
}

/// A line for who monitors; none where lines were lost, since it reads too slowly.
pub async fn next_line(monitor: &mut Option<broadcast::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match monitor {
        Some(lines) => lines.recv().await.ok(),
        None => std::future::pending().await,
    }
}

/// The next message of a subscription; none where the client did not read them.
pub async fn next_message(stream: &mut Option<PubSubStream>) -> Option<Delivery> {
    match stream {
        Some(stream) => stream.next_delivery().await,
        None => std::future::pending().await,
    }
}

/// Until CLIENT PAUSE is over.
pub async fn end_of_pause(pause: &mut Option<watch::Receiver<Option<Pause>>>) {
    let Some(pause) = pause else { return };
    let until = pause.borrow_and_update().map(|pause| pause.until);
    let Some(until) = until else { return };
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => {}
        _ = pause.changed() => {}
    }
}
