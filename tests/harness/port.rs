//! A port that stays ours while the server behind it is down.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

/// Below the ports that kernels hand out by themselves: an outgoing connection or a listener on "any port" cannot take
/// the port of a killed server before its restart.
const LOWEST: u16 = 10_000;
const HIGHEST: u16 = 32_000;

/// A reserved port of 127.0.0.1.
pub struct Port {
    number: u16,
    /// Bound but never listening: keeps other reservations away and lets a server with SO_REUSEADDR, which Redis sets,
    /// listen next to it.
    _reservation: TcpSocket,
}

impl Port {
    /// Reserves a port that nobody uses.
    pub fn any() -> Port {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Test processes that start together begin at different places.
        let range = HIGHEST - LOWEST;
        let start = std::process::id().wrapping_mul(7919) % u32::from(range);
        for _ in 0..range {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = LOWEST + ((start + u32::from(step)) % u32::from(range)) as u16;
            if let Some(port) = Port::reserve(number) {
                return port;
            }
        }
        panic!("no free port between {LOWEST} and {HIGHEST}");
    }

    /// The port of this number, unless somebody uses it.
    pub fn reserve(number: u16) -> Option<Port> {
        let socket = TcpSocket::new_v4().ok()?;
        // Bound without SO_REUSEADDR it fails if there is any other socket on the port; set afterwards it lets the
        // server in.
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, number))).ok()?;
        socket.set_reuseaddr(true).ok()?;
        Some(Port { number, _reservation: socket })
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}
