//! The server versions that tests run against, and where their programs are.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A line of servers. Ordered by age, so a test can say `version >= Version::V7_0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Whatever server this machine has, for demos and benchmarks: they need one, not a certain one. May be as old as 6.2.
    Any,
    V6_2,
    V7_0,
    V7_4,
    Valkey9,
}

impl Version {
    /// All that tests run against, oldest first.
    pub const ALL: [Version; 4] = [Version::V6_2, Version::V7_0, Version::V7_4, Version::Valkey9];

    /// The server's program.
    ///
    /// # Panics
    ///
    /// When `scripts/get-redis` cannot find or fetch it.
    pub fn program(self) -> &'static Path {
        static ANY: OnceLock<PathBuf> = OnceLock::new();
        static ALL: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
        if self == Version::Any {
            return ANY.get_or_init(|| PathBuf::from(get_redis(&[]).trim_end()));
        }
        let programs = ALL.get_or_init(|| {
            let lines = get_redis(&["--all"]);
            let pairs = lines.lines().filter_map(|line| line.split_once(' '));
            pairs.map(|(name, path)| (name.to_owned(), PathBuf::from(path))).collect()
        });
        programs
            .get(self.name())
            .unwrap_or_else(|| panic!("scripts/get-redis --all said nothing about {self}"))
    }

    /// The name under which `scripts/get-redis --all` lists it.
    fn name(self) -> &'static str {
        match self {
            Version::Any => "any",
            Version::V6_2 => "6.2",
            Version::V7_0 => "7.0",
            Version::V7_4 => "7.4",
            Version::Valkey9 => "valkey9",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn get_redis(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/get-redis");
    let output = Command::new(&script)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "no server to test with: scripts/get-redis failed:\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
