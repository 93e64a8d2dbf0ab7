//! `anarcho-proxy`: a RESP server over the nodes of one store. Flags, logging and signals; the work is in `anarchoredis::proxy`.

mod flags;
mod logs;

use anarchoredis::heal::Daemon;
use anarchoredis::node::ConnectError;
use anarchoredis::proxy::{Health, Proxy, Settings};
use anarchoredis::{Client, Config, Error};
use flags::Flags;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long to wait before the nodes are tried again that could not be used at the start.
const AGAIN: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = match Flags::read() {
        Ok(flags) => flags,
        Err(why) => return wrong_use(&why),
    };
    if let Err(why) = logs::start(flags.log_format.as_deref()) {
        return wrong_use(&why);
    }
    let (config, settings) = match flags.client_config().and_then(|config| Ok((config, flags.settings()?))) {
        Ok(told) => told,
        Err(why) => return wrong_use(&why),
    };
    let started = tokio::select! {
        started = start(&flags, &config, settings) => started,
        () = ending() => return ExitCode::SUCCESS, // nothing is under way yet
    };
    let (proxy, healer) = match started {
        Ok(started) => started,
        Err(why) => {
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    ending().await;
    tracing::info!("ending: what is under way is finished first");
    if let Some(healer) = healer {
        healer.stop().await;
    }
    if proxy.close().await {
        return ExitCode::SUCCESS;
    }
    tracing::error!("ended before everything was done");
    ExitCode::FAILURE
}

fn wrong_use(why: &str) -> ExitCode {
    eprintln!("anarcho-proxy: {why}");
    ExitCode::from(2)
}

async fn start(
    flags: &Flags,
    config: &Config,
    settings: Settings,
) -> Result<(Proxy, Option<Daemon>), String> {
    let health = Health::default();
    if let Some(address) = &flags.metrics {
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        tracing::info!(%address, "health and metrics");
        tokio::spawn(health.clone().serve(listener));
    }
    let client = connect(flags, config).await?;
    let healer = flags.heal.unwrap_or_default().then(|| client.healer().run(flags.healer.clone()));
    let proxy = Proxy::start(client, settings).await.map_err(|error| error.to_string())?;
    health.watch(&proxy);
    for address in proxy.addresses() {
        tracing::info!(%address, "listening");
    }
    if let Some(path) = &flags.unix_socket {
        tracing::info!(path = %path.display(), "listening");
    }
    Ok((proxy, healer))
}

/// Nodes may be started after the proxy: it tries until a majority can be used.
async fn connect(flags: &Flags, config: &Config) -> Result<Client, String> {
    let mut told = false;
    loop {
        let nodes = flags.node.iter().cloned();
        let builder = Client::builder().nodes(nodes).config(config.clone()).scopes(&flags.scope);
        match builder.clone().connect().await {
            Ok(client) => return Ok(client),
            Err(Error::Connect(error)) if may_pass(&error) => {
                // Where too few vote it takes a healer to mend that, and it is in here.
                if flags.heal == Some(true)
                    && let Ok(client) = builder.even_without_quorum().connect().await
                {
                    return Ok(client);
                }
                if !told {
                    tracing::warn!(%error, "the nodes cannot be used yet; trying again every second");
                }
                told = true;
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn may_pass(error: &ConnectError) -> bool {
    matches!(error, ConnectError::NotAllThere(_) | ConnectError::NoQuorum { .. } | ConnectError::TimedOut(_))
}

/// SIGTERM or SIGINT.
async fn ending() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
