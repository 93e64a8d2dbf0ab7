//! What the proxy is told: flags, else environment variables, else a file, else defaults.

use anarchoredis::config::Tls;
use anarchoredis::proxy::{Certificate, Secret, Settings, level};
use anarchoredis::{Config, Consistency, heal};
use clap::Parser;
use clap::builder::BoolishValueParser;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Redis for any client in any language, and no leader behind it: serves the store of several independent Redis servers.
///
/// Each flag has an environment variable and a line in the file of --config (the flag's name, lists as arrays); a flag goes before
/// the variable, and that before the file. Exit code 0: ended by SIGTERM or SIGINT with everything done. 1: could not start, or not
/// all was done in time. 2: wrong use.
#[derive(Default, Deserialize, Parser)]
#[command(version, name = "anarcho-proxy")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flags {
    /// A TOML file with these settings.
    #[arg(long, value_name = "FILE", env = "ANARCHO_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// A node's URL, such as redis://127.0.0.1:6379 or rediss://user:password@host; once for each node, all of them. [variable: separated by commas]
    #[arg(long, value_name = "URL", env = "ANARCHO_NODE", value_delimiter = ',', hide_env_values = true)]
    pub node: Vec<String>,
    /// A prefix whose keys are one register, atomic together: '' for the whole database; any number of times. Those of the cluster
    /// if not given; a new cluster has none then.
    #[arg(long, value_name = "PREFIX", env = "ANARCHO_SCOPE", value_delimiter = ',')]
    pub scope: Vec<String>,
    /// Where to listen, host:port; any number of times. Default 127.0.0.1:6380.
    #[arg(long, value_name = "ADDR", env = "ANARCHO_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// Where to listen for TLS. Where there is a certificate and none of this, every --listen speaks TLS.
    #[arg(long, value_name = "ADDR", env = "ANARCHO_TLS_LISTEN", value_delimiter = ',')]
    pub tls_listen: Vec<String>,
    /// A socket in the file system to listen on.
    #[arg(long, value_name = "PATH", env = "ANARCHO_UNIX_SOCKET")]
    pub unix_socket: Option<PathBuf>,
    /// The certificate chain that clients see, in PEM.
    #[arg(long, value_name = "FILE", env = "ANARCHO_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", env = "ANARCHO_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// The authority that signed the nodes' certificates, in PEM, for rediss:// URLs. Default: the machine's store.
    #[arg(long, value_name = "FILE", env = "ANARCHO_NODE_TLS_CA")]
    pub node_tls_ca: Option<PathBuf>,
    /// The password of the user "default". Flags can be seen by others on the machine: better the variable or the file.
    #[arg(long, value_name = "PASSWORD", env = "ANARCHO_REQUIREPASS", hide_env_values = true)]
    pub requirepass: Option<String>,
    /// A further user, as name:password; any number of times.
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        env = "ANARCHO_USER",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub user: Vec<String>,
    /// Most clients at a time. Default 10000.
    #[arg(long, value_name = "COUNT", env = "ANARCHO_MAX_CLIENTS")]
    pub max_clients: Option<usize>,
    /// After how many seconds a client that asks nothing is let go. Default 0: never.
    #[arg(long, value_name = "SECONDS", env = "ANARCHO_TIMEOUT")]
    pub timeout: Option<u64>,
    /// What replies promise where a connection does not say: linearizable (or high), quorum (medium), one (low).
    #[arg(long, value_name = "LEVEL", env = "ANARCHO_CONSISTENCY")]
    pub consistency: Option<String>,
    /// After how many milliseconds an operation gives up. Default 5000.
    #[arg(long, value_name = "MILLISECONDS", env = "ANARCHO_OPERATION_TIMEOUT")]
    pub operation_timeout: Option<u64>,
    /// Keep all nodes identical too, as anarcho-heal does: then this process is all that the nodes need. [variable: true or false]
    #[arg(long, env = "ANARCHO_HEAL", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub heal: Option<bool>,
    /// What the healer may spend; a table of the file alone.
    #[arg(skip)]
    pub healer: heal::Settings,
    /// Where to serve /live, /ready and /metrics over HTTP.
    #[arg(long, value_name = "ADDR", env = "ANARCHO_METRICS")]
    pub metrics: Option<String>,
    /// text or json. Default text. RUST_LOG filters, as in RUST_LOG=debug.
    #[arg(long, value_name = "FORMAT", env = "ANARCHO_LOG_FORMAT")]
    pub log_format: Option<String>,
}

impl Flags {
    /// Flags and variables, and the file for what they leave open.
    pub fn read() -> Result<Flags, String> {
        let flags = Flags::parse();
        let Some(path) = &flags.config else { return Ok(flags) };
        let text = String::from_utf8(file(path)?).map_err(|_| format!("{} is not text", path.display()))?;
        let from_file: Flags = toml::from_str(&text).map_err(|error| {
            // The whole message would quote the line, and with it a password.
            format!("{}: {}", path.display(), anarchoredis::config::without_the_value(error.message()))
        })?;
        Ok(flags.or(from_file))
    }

    fn or(self, other: Flags) -> Flags {
        let list = |mine: Vec<String>, theirs| if mine.is_empty() { theirs } else { mine };
        Flags {
            config: self.config,
            node: list(self.node, other.node),
            scope: list(self.scope, other.scope),
            listen: list(self.listen, other.listen),
            tls_listen: list(self.tls_listen, other.tls_listen),
            unix_socket: self.unix_socket.or(other.unix_socket),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            node_tls_ca: self.node_tls_ca.or(other.node_tls_ca),
            requirepass: self.requirepass.or(other.requirepass),
            user: list(self.user, other.user),
            max_clients: self.max_clients.or(other.max_clients),
            timeout: self.timeout.or(other.timeout),
            consistency: self.consistency.or(other.consistency),
            operation_timeout: self.operation_timeout.or(other.operation_timeout),
            heal: self.heal.or(other.heal),
            healer: other.healer,
            metrics: self.metrics.or(other.metrics),
            log_format: self.log_format.or(other.log_format),
        }
    }

    /// How to reach the nodes.
    pub fn client_config(&self) -> Result<Config, String> {
        let mut config = Config::default();
        if self.node.is_empty() {
            return Err("no nodes: give --node once for each of them".into());
        }
        if let Some(name) = &self.consistency {
            config.consistency = level(name.as_bytes())
                .ok_or("--consistency: linearizable (high), quorum (medium) or one (low)")?;
        }
        if let Some(millis) = self.operation_timeout {
            config.operation_timeout = Duration::from_millis(millis);
        }
        if let Some(path) = &self.node_tls_ca {
            config.tls = Tls { root_certificate: Some(file(path)?), ..Tls::default() };
        }
        if config.consistency == Consistency::One {
            tracing::warn!("level one: acknowledged writes may be lost, and reads be stale");
        }
        Ok(config)
    }

    /// How to serve clients.
    pub fn settings(&self) -> Result<Settings, String> {
        let certificate = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Some(Certificate { chain: file(chain)?, key: Secret(file(key)?) }),
            (None, None) => None,
            _ => return Err("--tls-cert and --tls-key belong together".into()),
        };
        let mut settings = Settings {
            listen: self.listen.clone(),
            listen_tls: self.tls_listen.clone(),
            unix_socket: self.unix_socket.clone(),
            password: self.requirepass.as_deref().map(Secret::from),
            users: self.user.iter().map(|user| named(user)).collect::<Result<_, _>>()?,
            idle: self.timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            ..Settings::default()
        };
        settings.max_clients = self.max_clients.unwrap_or(settings.max_clients);
        if settings.listen.is_empty() && settings.listen_tls.is_empty() && settings.unix_socket.is_none() {
            settings.listen.push("127.0.0.1:6380".into());
        }
        if certificate.is_some() && settings.listen_tls.is_empty() {
            settings.listen_tls = std::mem::take(&mut settings.listen);
        }
        settings.certificate = certificate;
        Ok(settings)
    }
}

fn named(user: &str) -> Result<(String, Secret), String> {
    let (name, password) = user.split_once(':').ok_or("--user: write name:password")?;
    if name.is_empty() || password.is_empty() {
        return Err("--user: neither name nor password may be empty".into());
    }
    Ok((name.to_owned(), Secret::from(password)))
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
