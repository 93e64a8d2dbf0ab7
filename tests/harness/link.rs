//! A network between the layer and one node, which the test can break.
//!
//! A TCP proxy: whatever is between two connections passes, waits or is lost, each way by itself. What TCP cannot do does
//! not happen here either: after lost bytes a stream does not go on with later ones, so a connection that has lost
//! something ends when its direction is no longer cut.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Server;
use pump::{Trip, carry};

mod pump;

/// A proxy in front of one server. Dropping it closes its connections.
pub struct Link {
    port: u16,
    url: String,
    weather: watch::Sender<Weather>,
    counters: Arc<Counters>,
    _close: CloseOnDrop,
}

/// Ends the task that accepts connections.
struct CloseOnDrop(AbortHandle);

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Pass,
    /// Kept, in order, until the direction passes again.
    Hold,
    Lose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests = 0,
    Answers = 1,
}

/// The state of the network that the test has asked for.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// By [`Direction`].
    flows: [Flow; 2],
    delay: Duration,
    refuses: bool,
    /// Connections of an earlier era are to be closed.
    era: u64,
}

impl Weather {
    fn flow(&self, direction: Direction) -> Flow {
        self.flows[direction as usize]
    }
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    /// By [`Direction`].
    seen: [AtomicU64; 2],
    delivered: [AtomicU64; 2],
}

/// What a link has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that it accepted.
    pub connections: u64,
    /// Bytes that came from the client, whatever became of them.
    pub requests_seen: u64,
    /// Bytes that it gave to the server.
    pub requests_delivered: u64,
    /// Bytes that came from the server, whatever became of them.
    pub answers_seen: u64,
    /// Bytes that it gave to the client.
    pub answers_delivered: u64,
}

impl Link {
    /// A link in front of `server`, on which everything passes.
    pub async fn before(server: &Server) -> Link {
        let link = Link::to(server.port()).await;
        Link { url: server.url_at(link.port), ..link }
    }

    /// A link in front of whatever listens on this port of 127.0.0.1, on which everything passes.
    pub async fn to(target: u16) -> Link {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the link");
        let port = listener.local_addr().expect("the address of the link").port();
        let clear = Weather { flows: [Flow::Pass; 2], delay: Duration::ZERO, refuses: false, era: 0 };
        let (weather, sky) = watch::channel(clear);
        let counters = Arc::new(Counters::default());
        let accepting = accept(listener, target, sky, counters.clone());
        let close = CloseOnDrop(tokio::spawn(accepting).abort_handle());
        Link { port, url: format!("redis://127.0.0.1:{port}/"), weather, counters, _close: close }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's URL by way of this link.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// A black hole: connections are accepted and stay open, everything is lost both ways.
    pub fn cut(&self) {
        self.set_flows([Flow::Lose, Flow::Lose]);
    }

    /// Requests are lost; answers to what has arrived still pass.
    pub fn cut_requests(&self) {
        self.set_flows([Flow::Lose, Flow::Pass]);
    }

    /// Requests arrive and are carried out; their answers are lost.
    pub fn cut_answers(&self) {
        self.set_flows([Flow::Pass, Flow::Lose]);
    }

    /// Everything waits, and arrives late when the link heals: the packet that sits in a buffer.
    pub fn hold(&self) {
        self.set_flows([Flow::Hold, Flow::Hold]);
    }

    /// Requests wait, and arrive late when the link heals, even if who sent them has given up.
    pub fn hold_requests(&self) {
        self.set_flows([Flow::Hold, Flow::Pass]);
    }

    /// Requests are carried out at once; their answers arrive when the link heals.
    pub fn hold_answers(&self) {
        self.set_flows([Flow::Pass, Flow::Hold]);
    }

    /// All connections are closed, and new ones as soon as they are made.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| {
            weather.refuses = true;
            weather.era += 1;
        });
    }

    /// From now on bytes take this much longer, each way.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Everything passes again, without delay: held bytes arrive, connections that have lost bytes are closed.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            *weather =
                Weather { flows: [Flow::Pass; 2], delay: Duration::ZERO, refuses: false, era: weather.era };
        });
    }

    /// Closes all connections; new ones are welcome.
    pub fn close_all(&self) {
        self.weather.send_modify(|weather| weather.era += 1);
    }

    pub fn traffic(&self) -> Traffic {
        let Counters { connections, seen, delivered } = &*self.counters;
        let [requests_seen, answers_seen] = [&seen[0], &seen[1]].map(|count| count.load(Ordering::Relaxed));
        let [requests_delivered, answers_delivered] =
            [&delivered[0], &delivered[1]].map(|count| count.load(Ordering::Relaxed));
        Traffic {
            connections: connections.load(Ordering::Relaxed),
            requests_seen,
            requests_delivered,
            answers_seen,
            answers_delivered,
        }
    }

    fn set_flows(&self, flows: [Flow; 2]) {
        self.weather.send_modify(|weather| weather.flows = flows);
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, server: u16, sky: watch::Receiver<Weather>, counters: Arc<Counters>) {
    while let Ok((client, _)) = listener.accept().await {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let weather = *sky.borrow();
        if !weather.refuses {
            tokio::spawn(carry(client, server, Trip::new(weather.era, sky.clone(), counters.clone())));
        }
    }
}
