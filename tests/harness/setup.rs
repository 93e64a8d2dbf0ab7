//! What a server is started with.

use std::fmt::Write as _;
use std::path::Path;

use super::{Server, Version};

/// The options of a server that is not started yet: `Server::with(version).appendonly("always").start().await`.
#[derive(Debug, Clone)]
pub struct Setup {
    pub(super) version: Version,
    pub(super) port: Option<u16>,
    pub(super) password: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) own_disk: bool,
    directives: Vec<(String, String)>,
}

impl Setup {
    pub(super) fn new(version: Version) -> Setup {
        Setup {
            version,
            port: None,
            password: None,
            environment: Vec::new(),
            own_disk: false,
            directives: Vec::new(),
        }
    }

    /// Any line of redis.conf, with its value as it is written there: `config("replicaof", "127.0.0.1 7000")`,
    /// `config("user", "app on >secret ~* +@all")`. A name that is given again is written again.
    pub fn config(mut self, name: &str, value: &str) -> Setup {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of the server's environment.
    pub fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps an append-only file; `fsync` is `always`, `everysec` or `no`.
    pub fn appendonly(self, fsync: &str) -> Setup {
        self.config("appendonly", "yes").config("appendfsync", fsync)
    }

    /// A memory limit such as `2mb`, and what happens at it, such as `noeviction` or `allkeys-lru`.
    pub fn maxmemory(self, limit: &str, policy: &str) -> Setup {
        self.config("maxmemory", limit).config("maxmemory-policy", policy)
    }

    /// A password for the default user; the server's `url()` carries it.
    pub fn requirepass(mut self, password: &str) -> Setup {
        self.password = Some(password.to_owned());
        self.config("requirepass", &format!("\"{password}\""))
    }

    /// Save points such as `60 1`. Without them a server keeps nothing that it is not asked to save.
    pub fn save(self, points: &str) -> Setup {
        self.config("save", points)
    }

    /// A file system of its own, where that is possible: see [`Server::disk`].
    pub fn own_disk(mut self) -> Setup {
        self.own_disk = true;
        self
    }

    /// A port that must be free, instead of any.
    pub fn port(mut self, port: u16) -> Setup {
        self.port = Some(port);
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Server {
        Server::from_setup(self).await
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.directives.iter().any(|(given, _)| given == name)
    }

    /// Does the server write an append-only file?
    pub(super) fn is_appending(&self) -> bool {
        self.directives.iter().any(|(name, value)| name == "appendonly" && value == "yes")
    }

    /// The text of redis.conf. With `loading_rdb` the append-only file is off: a server that has it on does not look at
    /// dump.rdb.
    pub(super) fn redis_conf(&self, port: u16, folder: &Path, loading_rdb: bool) -> String {
        let mut text = format!("port {port}\ndir \"{}\"\ndaemonize no\n", folder.display());
        let defaults = [("bind", "127.0.0.1"), ("save", "\"\""), ("appendonly", "no")];
        let debug = [("enable-debug-command", "yes")];
        let debug = if self.version >= Version::V7_0 { &debug[..] } else { &[] };
        for (name, value) in defaults.iter().chain(debug).filter(|(name, _)| !self.has(name)) {
            writeln!(text, "{name} {value}").expect("writing to a string");
        }
        for (name, value) in self.directives.iter().filter(|(name, _)| !(loading_rdb && name == "appendonly"))
        {
            writeln!(text, "{name} {value}").expect("writing to a string");
        }
        text
    }
}
