//! Everything that a run shares: the hosts, the true time, the random numbers of its seed, and a trace of what happened.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::control::Control;
use super::host::Host;
use super::rng::Rng;
use super::weather::Weather;

/// When the virtual time begins, in µs since 1970.
pub const EPOCH_US: u64 = 1_700_000_000_000_000;

/// Makes the nodes of another system alike.
pub type ForeignHealer = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Debug)]
pub struct World {
    pub weather: Weather,
    pub control: Control,
    hosts: Vec<Mutex<Host>>,
    rng: Mutex<Rng>,
    began: Instant,
    links: Mutex<Vec<Vec<Link>>>,
    /// The network does no harm any more.
    calm: AtomicBool,
    /// Heals instead of our healer, where the nodes are not ours.
    pub healer: OnceLock<ForeignHealer>,
    /// Kept only where somebody will read it.
    trace: Mutex<Option<String>>,
}

/// The way from one party to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    #[default]
    Up,
    /// Connections break, and none opens.
    Cut,
    /// Requests arrive when this is over.
    RequestsHeld,
    /// Answers arrive when this is over.
    AnswersHeld,
}

impl World {
    pub fn new(seed: u64, control: Control, traced: bool) -> Arc<World> {
        let mut rng = Rng::new(seed);
        let weather = control.weather(Weather::draw(&mut rng));
        World::of(seed, rng, weather, control, traced)
    }

    /// A world whose weather is not drawn.
    pub fn in_weather(seed: u64, weather: Weather) -> Arc<World> {
        World::of(seed, Rng::new(seed), weather, Control::Sound, false)
    }

    fn of(seed: u64, mut rng: Rng, weather: Weather, control: Control, traced: bool) -> Arc<World> {
        let skew_us = weather.skew_ms * 1_000;
        let host = |name| {
            let offset_us = (rng.below(2 * skew_us + 1) as i64) - skew_us as i64;
            // In every other schedule registers of several keys are filled page by page.
            Mutex::new(Host::new(name, offset_us, weather.fsyncs, seed % 2 == 1))
        };
        let hosts = (0..weather.nodes).map(host).collect();
        // The last party is the healer.
        let links = vec![vec![Link::Up; weather.nodes]; weather.coordinators + 1];
        let world = World {
            control,
            hosts,
            rng: Mutex::new(rng),
            began: Instant::now(),
            links: Mutex::new(links),
            calm: AtomicBool::new(false),
            healer: OnceLock::new(),
            trace: Mutex::new(traced.then(String::new)),
            weather,
        };
        world.note(|| format!("seed {seed}: {:?}", world.weather));
        Arc::new(world)
    }

    /// The true time, in µs since 1970.
    pub fn now_us(&self) -> u64 {
        EPOCH_US + u64::try_from(self.began.elapsed().as_micros()).expect("a run of less than 500,000 years")
    }

    pub fn host(&self, place: usize) -> MutexGuard<'_, Host> {
        self.hosts[place].lock().expect("no host panics")
    }

    pub fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock().expect("no draw panics")
    }

    pub fn link(&self, party: usize, host: usize) -> Link {
        self.links.lock().expect("no link panics")[party][host]
    }

    pub fn set_link(&self, party: usize, host: usize, link: Link) {
        self.links.lock().expect("no link panics")[party][host] = link;
    }

    /// From now on no connection breaks and no message is late.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        let mut links = self.links.lock().expect("no link panics");
        links.iter_mut().flatten().for_each(|link| *link = Link::Up);
    }

    /// True this many times in a thousand, while the network does harm.
    pub fn harm(&self, permille: u64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.rng().permille(permille)
    }

    /// How long the next message takes.
    pub fn delay(&self) -> Duration {
        let late = self.harm(self.weather.late);
        let mut rng = self.rng();
        Duration::from_millis(if late { rng.within(5..self.weather.late_ms) } else { rng.within(1..4) })
    }

    /// Waits until the host's process runs again, should it stand still; false where it is dead by then.
    pub async fn until_awake(&self, host: usize) -> bool {
        loop {
            let (until, is_up) = {
                let host = self.host(host);
                (host.stands_until_us, host.is_up)
            };
            let left = until.saturating_sub(self.now_us());
            if !is_up || left == 0 {
                return is_up;
            }
            tokio::time::sleep(Duration::from_micros(left)).await;
        }
    }

    /// Adds a line to the trace, where somebody will read it.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let at_us = self.began.elapsed().as_micros();
        if let Some(lines) = &mut *self.trace.lock().expect("no trace panics") {
            let _ = writeln!(lines, "{:>9.3} ms  {}", at_us as f64 / 1_000.0, line());
        }
    }

    pub fn lines(&self) -> String {
        self.trace.lock().expect("no trace panics").clone().unwrap_or_default()
    }
}
