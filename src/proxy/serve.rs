//! Listens, lets clients in, and ends in good order.

use super::connection::Connection;
use super::dialogue::Dialogue;
use super::settings::Settings;
use super::shared::Shared;
use super::tls;
use super::waiting::Socket;
use crate::client::Client;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// How long a client may take to begin to speak TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// So many may be about to at a time: whoever says nothing costs a little memory, and the others wait where that costs the system nothing.
const HANDSHAKES: usize = 256;
/// After a failed accept, as where there are too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// A running proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    unix_socket: Option<PathBuf>,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// As it was given.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("the certificate or its key cannot be used: {0}")]
    Certificate(String),
}

fn cannot(address: &str) -> impl FnOnce(io::Error) -> StartError + '_ {
    move |error| StartError::Listen { address: address.to_owned(), error }
}

impl Proxy {
    /// Listens on all addresses, and serves the store to whoever comes.
    pub async fn start(client: Client, mut settings: Settings) -> Result<Proxy, StartError> {
        let (mut plain, mut secure, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for (given, listeners) in
            [(&mut settings.listen, &mut plain), (&mut settings.listen_tls, &mut secure)]
        {
            for address in given {
                let listener = TcpListener::bind(address.as_str()).await.map_err(cannot(address))?;
                let bound = listener.local_addr().map_err(cannot(address))?;
                addresses.push(bound);
                // Port 0 is any port; INFO tells which one.
                *address = bound.to_string();
                listeners.push(listener);
            }
        }
        let acceptor = tls::acceptor(settings.certificate.as_ref(), !secure.is_empty())?;
        let unix_socket = settings.unix_socket.clone();
        let unix = unix_socket.as_ref().map(bind_unix).transpose()?;
        let shared = Arc::new(Shared::new(client, settings));
        shared.learn().await;
        plain
            .into_iter()
            .for_each(|listener| drop(tokio::spawn(accept(Arc::clone(&shared), listener, None))));
        for listener in secure {
            tokio::spawn(accept(Arc::clone(&shared), listener, acceptor.clone()));
        }
        if let (Some(listener), Some(path)) = (unix, &unix_socket) {
            tokio::spawn(accept_unix(Arc::clone(&shared), listener, path.display().to_string()));
        }
        tokio::spawn(let_idle_ones_go(Arc::clone(&shared)));
        Ok(Proxy { shared, addresses, unix_socket })
    }

    /// Where it listens, first without TLS, then with it, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What its connections share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Lets nobody in, reads no further requests, finishes what is under way, and closes the store. Says whether all was done.
    pub async fn close(self) -> bool {
        self.shared.closing.send_replace(true);
        if let Some(path) = &self.unix_socket {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
        let patience = self.shared.client.config().operation_timeout + Duration::from_secs(1);
        let deadline = Instant::now() + patience;
        while !self.shared.clients.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = self.shared.clients.all();
        left.iter().for_each(|peer| peer.kill());
        self.shared.client.clone().close().await && left.is_empty()
    }
}

/// A socket that a proxy left behind is taken over; one that somebody listens on is not.
fn bind_unix(path: &PathBuf) -> Result<UnixListener, StartError> {
    let shown = path.display().to_string();
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).map_err(cannot(&shown))?;
    }
    UnixListener::bind(path).map_err(cannot(&shown))
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let local = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let mut closing = shared.closing.subscribe();
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let (accepted, place) = tokio::select! {
            accepted = accept_in(&listener, &room, tls.is_some()) => accepted,
            _ = closing.changed() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                // Replies go out when they are ready.
                let _ = stream.set_nodelay(true);
                let (shared, local, tls) = (Arc::clone(&shared), local.clone(), tls.clone());
                tokio::spawn(async move {
                    let begun = &shared.stats.handshakes;
                    begun.fetch_add(u64::from(place.is_some()), Ordering::Relaxed);
                    let socket = shake_hands(stream, tls).await;
                    begun.fetch_sub(u64::from(place.is_some()), Ordering::Relaxed);
                    drop(place);
                    if let Some(socket) = socket {
                        serve(shared, socket, address.to_string(), local).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// A client, and where it must speak TLS its place among those that begin to.
async fn accept_in(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    secure: bool,
) -> (io::Result<(TcpStream, SocketAddr)>, Option<OwnedSemaphorePermit>) {
    // It is never closed.
    let place = if secure { Arc::clone(room).acquire_owned().await.ok() } else { None };
    (listener.accept().await, place)
}

async fn accept_unix(shared: Arc<Shared>, listener: UnixListener, path: String) {
    let mut closing = shared.closing.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (shared, path) = (Arc::clone(&shared), path.clone());
                tokio::spawn(async move { serve(shared, Box::new(stream), format!("{path}:0"), path).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn shake_hands(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Box<dyn Socket>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::info!(%error, "a client did not get to speak TLS");
            None
        }
        Err(_) => None,
    }
}

async fn serve(shared: Arc<Shared>, mut socket: Box<dyn Socket>, address: String, local: String) {
    let Some(peer) = shared.clients.admit(shared.settings.max_clients, address, local) else {
        shared.stats.rejected.fetch_add(1, Ordering::Relaxed);
        // It may not even listen.
        let _ = socket.write_all(b"-ERR max number of clients reached\r\n").await;
        return;
    };
    shared.stats.connections.fetch_add(1, Ordering::Relaxed);
    let here = Registered { shared: Arc::clone(&shared), id: peer.id };
    Box::pin(Connection::new(Dialogue::new(shared, peer)).serve(socket)).await;
    drop(here);
}

/// Takes a client off the list however its task ends.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.clients.forget(self.id);
    }
}

async fn let_idle_ones_go(shared: Arc<Shared>) {
    let mut closing = shared.closing.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = closing.changed() => return,
        }
        let seconds = shared.idle_seconds.load(Ordering::Relaxed);
        if seconds == 0 {
            continue;
        }
        for peer in shared.clients.all() {
            let waits = peer.busy.load(Ordering::Relaxed) || peer.told().monitors;
            if !waits && peer.idle() >= Duration::from_secs(seconds) {
                peer.kill();
            }
        }
    }
}
