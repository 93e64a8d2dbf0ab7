//! Runs until a signal says stop.

use super::flags::{File, Flags};
use anarchoredis::Config;
use anarchoredis::heal::{Daemon, Healer};
use anarchoredis::telemetry::serve;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long it waits before it tries again to connect: nodes may be started after it.
const BREATH: Duration = Duration::from_secs(2);

/// What it is told from outside.
struct Signals {
    end: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// Heals until SIGTERM or SIGINT.
pub async fn run(flags: &Flags, file: File) -> Result<ExitCode, String> {
    let mut signals = Signals::listen().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let listener = match file.metrics {
        Some(address) => {
            let wrong = |error| format!("cannot serve metrics at {address}: {error}");
            Some(TcpListener::bind(address).await.map_err(wrong)?)
        }
        None => None,
    };
    let Some(healer) = connect(&file, &mut signals).await else {
        return Ok(ExitCode::SUCCESS);
    };
    tracing::info!(nodes = file.nodes.len(), interval = ?file.settings.interval, "heals");
    if let Some(listener) = listener {
        let client = healer.client().clone();
        tokio::spawn(serve(listener, move || client.metrics()));
    }
    let daemon = healer.run(file.settings.clone());
    signals.obey(flags, &daemon).await;
    tracing::info!("ends what is under way");
    daemon.stop().await;
    let drained = healer.client().clone().close().await;
    tracing::info!(drained, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// Tries until it works; nothing where it was told to stop meanwhile.
async fn connect(file: &File, signals: &mut Signals) -> Option<Healer> {
    let mut told = String::new();
    loop {
        match Healer::connect(file.nodes.clone(), Config::default()).await {
            Ok(healer) => return Some(healer),
            Err(error) if error.to_string() == told => {}
            Err(error) => {
                told = error.to_string();
                tracing::warn!("{told}; tries again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BREATH) => {}
            () = signals.ended() => return None,
        }
    }
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            end: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn ended(&mut self) {
        tokio::select! {
            _ = self.end.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reads the file again whenever it is told to; returns when it is told to stop.
    async fn obey(&mut self, flags: &Flags, daemon: &Daemon) {
        loop {
            tokio::select! {
                _ = self.end.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.reload.recv() => match flags.file() {
                    Ok(file) => {
                        tracing::info!(settings = ?file.settings, "read the configuration again; nodes and metrics stay as they were");
                        daemon.set(file.settings);
                    }
                    Err(error) => tracing::error!("the configuration stays as it was: {error}"),
                },
            }
        }
    }
}
