//! Awaiting a condition instead of sleeping for as long as it usually takes.

use std::panic::Location;
use std::time::{Duration, Instant};

/// How long to wait between two looks.
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// ```ignore
/// eventually("the killed node is back", Duration::from_secs(5), || async { client.reachable() == 3 }).await;
/// ```
///
/// # Panics
///
/// When `condition` does not hold within `timeout`, also when a single look at it takes longer than that. The message
/// names `what` was waited for and where.
#[track_caller]
pub fn eventually(
    what: &str,
    timeout: Duration,
    condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    wait_until(what, timeout, condition, Location::caller())
}

async fn wait_until(
    what: &str,
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> bool,
    caller: &Location<'_>,
) {
    let started = Instant::now();
    let mut looks = 0;
    let wait = async {
        loop {
            looks += 1;
            if condition().await {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(timeout, wait).await.is_err() {
        let waited = started.elapsed();
        panic!("{caller}: waited {waited:?} and looked {looks} times, but it never held that {what}");
    }
}
