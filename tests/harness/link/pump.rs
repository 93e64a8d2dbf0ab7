//! One connection through a link.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Counters, Direction, Flow, Weather};

/// What the two directions of a connection and its end share.
pub(super) struct Trip {
    /// The era in which it began.
    era: u64,
    sky: watch::Receiver<Weather>,
    counters: Arc<Counters>,
    /// By [`Direction`]: has this connection lost bytes?
    lost: [AtomicBool; 2],
}

/// Carries a client's connection to the server until either closes it or the weather ends it.
pub(super) async fn carry(client: TcpStream, server: u16, trip: Trip) {
    tokio::select! {
        // A reset is an end like any other.
        _ = both_ways(client, server, &trip) => {}
        () = trip.ends() => {}
    }
}

async fn both_ways(client: TcpStream, server: u16, trip: &Trip) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    if trip.may_pass(Direction::Requests).await {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
        server.set_nodelay(true)?;
        let (from_server, to_server) = server.into_split();
        let requests = pump(from_client, to_server, Direction::Requests, trip);
        let answers = pump(from_server, to_client, Direction::Answers, trip);
        tokio::join!(requests, answers);
    } else {
        // The server never hears of a connection that was made during a cut.
        swallow(from_client, trip).await?;
    }
    Ok(())
}

/// Reads and delivers at the same time, so that delayed bytes do not delay those behind them even more.
async fn pump(mut from: OwnedReadHalf, to: OwnedWriteHalf, direction: Direction, trip: &Trip) {
    let (queue, due) = mpsc::unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            trip.count(&trip.counters.seen, direction, count);
            let at = Instant::now() + trip.sky.borrow().delay;
            if queue.send((at, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    };
    // An end by error closes this direction, which is what an error means to the other side.
    let (_, _) = tokio::join!(read, deliver(due, to, direction, trip));
}

async fn deliver(
    mut due: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    direction: Direction,
    trip: &Trip,
) -> io::Result<()> {
    while let Some((at, bytes)) = due.recv().await {
        sleep_until(at).await;
        if trip.may_pass(direction).await {
            to.write_all(&bytes).await?;
            trip.count(&trip.counters.delivered, direction, bytes.len());
        }
    }
    if trip.may_pass(direction).await {
        to.shutdown().await?;
        return Ok(());
    }
    // The end of the stream is lost as well: to the other side the connection is open until the weather ends it.
    std::future::pending().await
}

async fn swallow(mut from: OwnedReadHalf, trip: &Trip) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            count => trip.count(&trip.counters.seen, Direction::Requests, count),
        }
    }
}

impl Trip {
    pub(super) fn new(era: u64, sky: watch::Receiver<Weather>, counters: Arc<Counters>) -> Trip {
        Trip { era, sky, counters, lost: Default::default() }
    }

    /// Waits while the direction is held, then says whether bytes pass now; if not, notes that some were lost.
    async fn may_pass(&self, direction: Direction) -> bool {
        let mut sky = self.sky.clone();
        // Fails when the link is gone, and so will the connection be.
        let Ok(weather) = sky.wait_for(|weather| weather.flow(direction) != Flow::Hold).await else {
            return false;
        };
        let passes =
            weather.flow(direction) == Flow::Pass && !self.lost[direction as usize].load(Ordering::SeqCst);
        if !passes {
            // Under the lock of `weather`: whoever heals the link next sees it.
            self.lost[direction as usize].store(true, Ordering::SeqCst);
        }
        passes
    }

    /// Completes when this connection is to be closed.
    async fn ends(&self) {
        let mut sky = self.sky.clone();
        let ended = |weather: &Weather| {
            let torn = [Direction::Requests, Direction::Answers].into_iter().any(|direction| {
                self.lost[direction as usize].load(Ordering::SeqCst) && weather.flow(direction) != Flow::Lose
            });
            weather.era != self.era || torn
        };
        // An error means that the link is gone.
        let _ = sky.wait_for(ended).await;
    }

    fn count(&self, counters: &[AtomicU64; 2], direction: Direction, bytes: usize) {
        counters[direction as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
