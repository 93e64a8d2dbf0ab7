//! The task that keeps a node connected: opens, admits, probes while it hangs, and starts over when the connection breaks.

use super::admission::admit;
use super::remote::{RemoteNode, State};
use super::session::{Session, look_at, open};
use crate::protocol::Role;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The first pause after a failed connect; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How often a joining or hanging node is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a healthy one is: finds a server that turned into a replica, or an admission that changed while no call was made (P45).
const LOOK_AT_REST_EVERY: Duration = Duration::from_secs(5);

/// Runs until the last handle to the node is gone.
pub(super) async fn supervise(node: Weak<RemoteNode>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(strong) = node.upgrade() else { return };
        let state = connect(&strong).await;
        strong.set(state);
        let connected = strong.session().is_some();
        let surroundings = Arc::clone(&strong.config.surroundings);
        drop(strong);
        if connected {
            pause = FIRST_PAUSE;
            stay_connected(&node).await;
            continue;
        }
        let jittered = pause.mul_f64(0.5 + 0.5 * surroundings.fraction());
        wait_for_wake(&node, jittered).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn connect(node: &Arc<RemoteNode>) -> State {
    let admitted = match open(&node.client, &node.config).await {
        Ok(opened) => admit(&*node.config.surroundings, opened, &node.cluster).await,
        Err(refusal) => Err(refusal),
    };
    match admitted {
        Ok(session) => State::Up(Arc::new(session)),
        Err(refusal) => State::Away(refusal),
    }
}

async fn wait_for_wake(node: &Weak<RemoteNode>, at_most: Duration) {
    let Some(strong) = node.upgrade() else { return };
    // Whether it was woken or the time is over, what follows is the same.
    let _ = tokio::time::timeout(at_most, strong.wake.notified()).await;
}

/// Looks at the node over its present connection whenever it is woken or the time has come; returns when that connection is of no use.
async fn stay_connected(node: &Weak<RemoteNode>) {
    loop {
        let Some(strong) = node.upgrade() else { return };
        let Some(session) = strong.session() else { return };
        let restless = session.role == Role::Joining || strong.hangs();
        drop(strong);
        wait_for_wake(node, if restless { LOOK_EVERY } else { LOOK_AT_REST_EVERY }).await;
        let Some(strong) = node.upgrade() else { return };
        let Some(session) = strong.session() else { return };
        let looked = match look_at(session.connection.clone(), &strong.config).await {
            Ok(opened) => admit(&*strong.config.surroundings, opened, &strong.cluster).await,
            Err(refusal) => Err(refusal),
        };
        match looked {
            Ok(looked) => {
                strong.answered_probe();
                // The connection is the same one: a call that finds it broken must be able to say so.
                let native_reads = AtomicBool::new(session.reads_natively());
                let looked = Session { number: session.number, native_reads, ..looked };
                strong.set(State::Up(Arc::new(looked)));
            }
            Err(refusal) => {
                strong.set(State::Away(refusal));
                return;
            }
        }
    }
}
