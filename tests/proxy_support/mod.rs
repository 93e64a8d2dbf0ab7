//! A proxy over real nodes, and a client of it that says exactly the bytes that a test wants.

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod same;

pub use same::compare;

use anarchoredis::Client;
use anarchoredis::proxy::{Proxy, Settings};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a reply may take; a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy with these settings on a port of its own.
pub async fn proxy_with(client: Client, settings: Settings) -> Proxy {
    let settings = Settings { listen: vec!["127.0.0.1:0".into()], ..settings };
    Proxy::start(client, settings).await.expect("a proxy")
}

/// A proxy on a port of its own.
pub async fn proxy(client: Client) -> Proxy {
    proxy_with(client, Settings::default()).await
}

/// Bytes to and fro.
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub async fn to(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Raw { stream, unread: Vec::new() }
    }

    /// Connects to a proxy's first address.
    pub async fn of(proxy: &Proxy) -> Raw {
        Raw::to(proxy.addresses()[0]).await
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sending");
    }

    /// Sends one command, as words between spaces.
    pub async fn say(&mut self, command: &str) {
        self.send(&encoded(&command.split(' ').collect::<Vec<_>>())).await;
    }

    /// Reads one whole reply, as its bytes.
    pub async fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(length) = reply_length(&self.unread) {
                return self.unread.drain(..length).collect();
            }
            let more = self.read().await;
            assert!(more, "the connection ended within {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Sends a command and reads its reply, as text.
    pub async fn ask(&mut self, command: &str) -> String {
        self.say(command).await;
        String::from_utf8_lossy(&self.reply().await).into_owned()
    }

    /// All that comes until the other side ends the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.unread)
    }

    async fn read(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let reading = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece));
        // An end that is not graceful is an end too.
        let count = reading.await.expect("a reply in time").unwrap_or(0);
        self.unread.extend_from_slice(&piece[..count]);
        count > 0
    }
}

/// A request as clients send it.
pub fn encoded<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.as_ref().len()).bytes());
        bytes.extend_from_slice(word.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// How many bytes the first reply has, if all of it is there.
pub fn reply_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[1..line]).ok()?.parse::<i64>().ok();
    let elements = |count: i64| {
        let mut length = line + 2;
        for _ in 0..count.max(0) {
            length += reply_length(&bytes[length..])?;
        }
        Some(length)
    };
    match bytes[0] {
        b'$' | b'=' => match number()? {
            -1 => Some(line + 2),
            text => {
                let length = line + 2 + usize::try_from(text).ok()? + 2;
                (bytes.len() >= length).then_some(length)
            }
        },
        b'*' | b'~' | b'>' => elements(number()?),
        b'%' => elements(number()? * 2),
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(line + 2),
        other => panic!("no reply begins with {:?}: {:?}", char::from(other), String::from_utf8_lossy(bytes)),
    }
}
