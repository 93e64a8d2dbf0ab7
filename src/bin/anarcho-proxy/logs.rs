//! Log lines on standard error, as text or JSON; what repeats itself is sampled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// So many lines of one place in the code are written in a window; the others are counted.
const LINES: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Lines by the place in the code that they come from.
#[derive(Clone, Default)]
struct Sampler(Arc<Mutex<HashMap<Identifier, (u64, &'static str)>>>);

impl<S: Subscriber> Filter<S> for Sampler {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, _) = seen.entry(metadata.callsite()).or_insert((0, metadata.name()));
        *count += 1;
        *count <= LINES
    }
}

impl Sampler {
    /// Begins a new window, and says what was left out in the last one.
    fn turn(&self) {
        let seen = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (count, place) in seen.into_values().filter(|(count, _)| *count > LINES) {
            tracing::warn!(left_out = count - LINES, place, "repeated lines were left out");
        }
    }
}

/// Starts logging; call it once, in the runtime.
pub fn start(format: Option<&str>) -> Result<(), String> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let sampler = Sampler::default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        None | Some("text") => registry.with(lines.with_filter(sampler.clone())).init(),
        Some("json") => registry.with(lines.json().with_filter(sampler.clone())).init(),
        Some(_) => return Err("--log-format: text or json".into()),
    }
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(WINDOW).await;
            sampler.turn();
        }
    });
    Ok(())
}
