//! What a proxy is told, with defaults.

use super::request::Limits;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a proxy. Every field has a default; no client is let in by them but over the addresses that they name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on, `host:port`.
    pub listen: Vec<String>,
    /// Addresses on which TLS is spoken.
    pub listen_tls: Vec<String>,
    /// A socket in the file system.
    pub unix_socket: Option<PathBuf>,
    /// Certificate chain and key, in PEM, for [`listen_tls`](Self::listen_tls).
    pub certificate: Option<Certificate>,
    /// The password of the user `default`; without one, and without users, everybody is let in.
    pub password: Option<Secret>,
    /// Further users and their passwords.
    pub users: Vec<(String, Secret)>,
    /// Most clients at a time. Default 10,000.
    pub max_clients: usize,
    /// After how long a client that asks nothing is let go. Default: never.
    pub idle: Option<Duration>,
    /// What one client may send.
    pub limits: Limits,
    /// How many commands of one client are under way at a time. Default 1,024.
    pub under_way: usize,
    /// How many bytes of replies may wait for a client to read them before no more of its requests are read. Default 256 KiB.
    pub unread: usize,
}

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// Its key.
    pub key: Secret,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// What no log, no reply and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.as_bytes().to_vec())
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            unix_socket: None,
            certificate: None,
            password: None,
            users: Vec::new(),
            max_clients: 10_000,
            idle: None,
            limits: Limits { words: 1024 * 1024, word: 300 * 1024 * 1024, request: 300 * 1024 * 1024 },
            under_way: 1_024,
            unread: 256 * 1024,
        }
    }
}
