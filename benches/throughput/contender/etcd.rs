//! A client of etcd: put and linearizable range, over HTTP/2 connections that the tasks share.
//!
//! Messages are as in etcd's rpc.proto; fields that are not needed here are left out, as protobuf allows.

use crate::workload::Operation;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::SendRequest;
use hyper::header::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

/// An answer with so much in it does not wait for flow control: the windows of HTTP/2 begin at 64 KiB.
const WINDOW: u32 = 16 * 1024 * 1024;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Linearizable unless it says `serializable`.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

/// Connections to one node.
#[derive(Clone)]
pub struct Etcd {
    connections: Vec<SendRequest<Full<Bytes>>>,
    port: u16,
}

impl Etcd {
    pub async fn connect(port: u16, connections: usize) -> Result<Etcd, String> {
        let mut made = Vec::new();
        for _ in 0..connections {
            made.push(connection(port).await?);
        }
        Ok(Etcd { connections: made, port })
    }

    /// Whether this node leads; `None` while there is no leader.
    pub async fn leads(&self) -> Result<Option<bool>, String> {
        let reply = self.worker(0).call("etcdserverpb.Maintenance/Status", &StatusRequest {}).await?;
        let status = StatusResponse::decode(reply.get(5..).unwrap_or_default());
        let status = status.map_err(|error| error.to_string())?;
        let own = status.header.map(|header| header.member_id);
        Ok((status.leader != 0).then_some(own == Some(status.leader)))
    }

    pub fn worker(&self, task: usize) -> EtcdWorker {
        EtcdWorker { connection: self.connections[task % self.connections.len()].clone(), port: self.port }
    }
}

pub struct EtcdWorker {
    connection: SendRequest<Full<Bytes>>,
    port: u16,
}

impl EtcdWorker {
    pub async fn run(&mut self, operation: Operation, key: &str, value: &[u8]) -> Result<(), String> {
        let key = key.as_bytes().to_vec();
        let reply = match operation {
            Operation::Get => self.call("etcdserverpb.KV/Range", &RangeRequest { key }).await?,
            Operation::Set => {
                self.call("etcdserverpb.KV/Put", &PutRequest { key, value: value.to_vec() }).await?
            }
            _ => return Err("etcd has no such operation".into()),
        };
        std::hint::black_box(reply);
        Ok(())
    }

    /// A call of gRPC: five bytes in front of the message, and the status behind the answer.
    async fn call(&mut self, method: &str, message: &impl Message) -> Result<Bytes, String> {
        let mut body = vec![0; 5];
        message.encode(&mut body).map_err(|error| error.to_string())?;
        let length = u32::try_from(body.len() - 5).map_err(|error| error.to_string())?;
        body[1..5].copy_from_slice(&length.to_be_bytes());
        let request = hyper::Request::post(format!("http://127.0.0.1:{}/{method}", self.port))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        self.connection.ready().await.map_err(|error| error.to_string())?;
        let response = self.connection.send_request(request).await.map_err(|error| error.to_string())?;
        // Without a body the status comes in front.
        succeeded(response.headers(), false)?;
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        if let Some(trailers) = body.trailers() {
            succeeded(trailers, true)?;
        }
        Ok(body.to_bytes())
    }
}

fn succeeded(headers: &HeaderMap, must_tell: bool) -> Result<(), String> {
    match headers.get("grpc-status").map(|status| status.as_bytes()) {
        Some(b"0") => Ok(()),
        None if !must_tell => Ok(()),
        status => Err(format!("gRPC status {status:?}, {:?}", headers.get("grpc-message"))),
    }
}

async fn connection(port: u16) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with the connection; what is under way then fails with it.
    tokio::spawn(driver);
    Ok(sender)
}
