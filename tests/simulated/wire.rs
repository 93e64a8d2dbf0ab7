//! Connections of the simulation: what a party sends reaches a host later, or not at all, and so does the answer.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anarchoredis::script::{NAMES, Name, script};
use anarchoredis::surroundings::{Connection, Patience, Pending, Surroundings, Wire};
use redis::{Arg, Client, Cmd, Pipeline, RedisError, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::rng::Rng;
use super::world::{Link, World};

/// One coordinator's or healer's view of the world: a clock that is a little wrong, random numbers, and links.
#[derive(Debug)]
pub struct Party {
    world: Arc<World>,
    place: usize,
    offset_us: i64,
    rng: Mutex<Rng>,
}

impl Party {
    pub fn new(world: &Arc<World>, place: usize) -> Party {
        let skew_us = world.weather.skew_ms * 1_000;
        let mut rng = world.rng();
        let offset_us = (rng.below(2 * skew_us + 1) as i64) - skew_us as i64;
        let own = Rng::new(rng.next());
        drop(rng);
        Party { world: Arc::clone(world), place, offset_us, rng: Mutex::new(own) }
    }
}

impl Surroundings for Party {
    fn now_us(&self) -> u64 {
        self.world.now_us().saturating_add_signed(self.offset_us)
    }

    fn random(&self) -> u64 {
        self.rng.lock().expect("no draw panics").next()
    }

    fn dial<'a>(&'a self, client: &'a Client, patience: Patience) -> Pending<'a, Connection> {
        let address = client.get_connection_info().addr().to_string();
        let host = address.trim_start_matches("node").split(':').next().and_then(|n| n.parse().ok());
        let host: usize = host.expect("an address of the simulation");
        Box::pin(async move {
            let opening = async {
                tokio::time::sleep(self.world.delay()).await;
                while matches!(self.world.link(self.place, host), Link::RequestsHeld | Link::AnswersHeld) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let open =
                    self.world.until_awake(host).await && self.world.link(self.place, host) == Link::Up;
                open.then(|| self.line(host, patience.answer)).ok_or_else(|| gone("refused"))
            };
            let late = |_| Err(RedisError::from(std::io::Error::from(ErrorKind::TimedOut)));
            tokio::time::timeout(patience.connect, opening).await.unwrap_or_else(late)
        })
    }
}

impl Party {
    fn line(&self, host: usize, patience: Duration) -> Connection {
        let runs = self.world.host(host).runs;
        let (world, party) = (Arc::clone(&self.world), self.place);
        let line = Line {
            world,
            party,
            host,
            runs,
            patience,
            is_broken: AtomicBool::new(false),
            broken: Notify::new(),
            last_arrival: Mutex::new(None),
            sent: AtomicU64::new(0),
        };
        Connection::Other(Arc::new(Handle(Arc::new(line))))
    }
}

/// What the library holds: the calls under way outlive it, as on a network.
#[derive(Debug)]
struct Handle(Arc<Line>);

#[derive(Debug)]
struct Line {
    world: Arc<World>,
    party: usize,
    host: usize,
    /// The process at the other end: another one is another connection.
    runs: u64,
    patience: Duration,
    is_broken: AtomicBool,
    /// Tells those who wait for answers that there will be none. (A watch channel would wake them in an order of its own.)
    broken: Notify,
    /// When the last request arrived, for networks that keep the order.
    last_arrival: Mutex<Option<Instant>>,
    sent: AtomicU64,
}

fn gone(text: &str) -> RedisError {
    RedisError::from(std::io::Error::new(ErrorKind::BrokenPipe, text.to_owned()))
}

/// What is sent at once: one command, or those of a transaction.
type Request = Vec<Vec<Vec<u8>>>;

impl Wire for Handle {
    fn send<'a>(&'a self, cmd: &'a Cmd) -> Pending<'a, Value> {
        self.ask(vec![words_of(cmd)])
    }

    fn pipeline<'a>(&'a self, pipeline: &'a Pipeline) -> Pending<'a, Vec<Value>> {
        let asking = self.ask(pipeline.cmd_iter().map(words_of).collect());
        Box::pin(async move {
            match asking.await? {
                Value::Array(replies) => Ok(replies),
                other => Ok(vec![other]),
            }
        })
    }
}

fn words_of(cmd: &Cmd) -> Vec<Vec<u8>> {
    let word = |arg: Arg<&[u8]>| match arg {
        Arg::Simple(bytes) => bytes.to_vec(),
        _ => panic!("a cursor is no argument of ours"),
    };
    cmd.args_iter().map(word).collect()
}

impl Handle {
    fn ask(&self, request: Request) -> Pending<'static, Value> {
        let line = Arc::clone(&self.0);
        Box::pin(async move {
            let broken = line.broken.notified();
            if line.is_broken.load(Ordering::Relaxed) || line.is_stale() {
                line.tear();
                return Err(gone("the connection was closed"));
            }
            let (answer, answered) = oneshot::channel();
            tokio::spawn(Arc::clone(&line).carry(Arc::new(request), answer));
            let waiting = async {
                tokio::select! {
                    biased;
                    answer = answered => answer.map_err(|_| gone("the connection broke")),
                    () = broken => Err(gone("the connection broke")),
                }
            };
            let late = |_| Err(RedisError::from(std::io::Error::from(ErrorKind::TimedOut)));
            tokio::time::timeout(line.patience, waiting).await.unwrap_or_else(late)
        })
    }
}

impl Line {
    fn tear(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.broken.notify_waiters();
    }

    /// The process at the other end is gone, or the way to it.
    fn is_stale(&self) -> bool {
        let host = self.world.host(self.host);
        !host.is_up || host.runs != self.runs || self.world.link(self.party, self.host) == Link::Cut
    }

    /// Takes one request to the host and its answer back.
    async fn carry(self: Arc<Line>, request: Arc<Request>, answer: oneshot::Sender<Value>) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let weather = &self.world.weather;
        let breaks = self.world.harm(weather.breaks).then(|| self.world.harm(500));
        let repeated = self.world.harm(weather.repeated);
        if breaks == Some(true) {
            self.tear();
            return;
        }
        if repeated && (is_repeatable(&request[0]) || self.world.control.repeats_applies()) {
            let again = Arc::clone(&self);
            let request = Arc::clone(&request);
            tokio::spawn(async move { again.deliver(&request, number).await });
        }
        let Some(reply) = self.deliver(&request, number).await else { return };
        if breaks == Some(false) {
            self.tear();
            return;
        }
        tokio::time::sleep(self.world.delay()).await;
        self.until_free(Link::AnswersHeld).await;
        if self.is_stale() {
            self.tear();
            return;
        }
        // Whoever asked may have given up.
        let _ = answer.send(reply);
    }

    /// What the host answers; none where the request does not arrive.
    async fn deliver(&self, request: &Request, number: u64) -> Option<Value> {
        self.arrive().await;
        self.until_free(Link::RequestsHeld).await;
        if !self.world.until_awake(self.host).await || self.is_stale() {
            self.tear();
            return None;
        }
        let now_us = self.world.now_us();
        let run = |words: &Vec<Vec<u8>>| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let reply = self.world.control.run(&mut self.world.host(self.host), now_us, &words);
            self.world.note(|| {
                let (party, host) = (self.party, self.host);
                format!("party {party} call {number} at node{host}: {} -> {}", shown(&words), brief(&reply))
            });
            reply
        };
        match request.as_slice() {
            [words] => Some(run(words)),
            // A transaction, which is all that comes in several commands: nothing is between them here anyway.
            [_, queued @ .., _] => Some(Value::Array(vec![Value::Array(queued.iter().map(run).collect())])),
            [] => None,
        }
    }

    async fn arrive(&self) {
        let mut at = Instant::now() + self.world.delay();
        if !self.world.weather.overtaking {
            let mut last = self.last_arrival.lock().expect("no arrival panics");
            at = last.map_or(at, |last| last.max(at));
            *last = Some(at);
        }
        tokio::time::sleep_until(at).await;
    }

    async fn until_free(&self, held: Link) {
        while self.world.link(self.party, self.host) == held {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether a network may deliver a call twice: an apply must not be, in its op's first round (it has no flag `k`), and neither
/// what a naive coordinator sends.
fn is_repeatable(words: &[Vec<u8>]) -> bool {
    if words[0] == b"EVAL" {
        return false;
    }
    let is = |name: Name| words.get(1).is_some_and(|sha| *sha == script(name).sha.as_bytes());
    if is(Name::Bunch) {
        return false;
    }
    let is_apply = is(Name::Apply);
    let keys: usize = words.get(2).and_then(|n| std::str::from_utf8(n).ok()?.parse().ok()).unwrap_or(0);
    let flags = words.get(3 + keys + 4);
    !is_apply || flags.is_some_and(|flags| flags.contains(&b'k'))
}

fn shown(words: &[&[u8]]) -> String {
    let is_called = |name: &Name| words.get(1).is_some_and(|sha| *sha == script(*name).sha.as_bytes());
    let (first, rest) = match NAMES.into_iter().find(is_called) {
        Some(name) => (name.as_str(), &words[3..]),
        None => ("", words),
    };
    let rest: Vec<String> =
        rest.iter().map(|word| word.get(..40).unwrap_or(word).escape_ascii().to_string()).collect();
    format!("{first} {}", rest.join(" "))
}

fn brief(reply: &Value) -> String {
    let text = format!("{reply:?}");
    text.chars().take(300).collect()
}
