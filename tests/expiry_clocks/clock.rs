//! Servers whose own clock is off, by as much as the test says, and other than it was a moment ago where it says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Server, Setup, Version};

/// The clock of one server. The server reads it from a page of memory that it shares with this file.
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// A clock that is right.
    ///
    /// # Panics
    ///
    /// When `cc` cannot compile it; Rust links with the same program.
    pub fn new() -> Clock {
        let clock = Clock { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(clock.file(), 0_i64.to_ne_bytes()).expect("a clock");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expiry_clocks/clock.c");
        let compiling = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(clock.library())
            .arg(source)
            .output();
        let output = compiling.expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock
    }

    /// From now on it is ahead by so much.
    pub fn set(&self, ahead_ms: i64) {
        // In place, in one write of eight bytes: the server looks at any moment.
        let file = fs::File::options().write(true).open(self.file()).expect("the clock");
        let bytes = (ahead_ms * 1_000).to_ne_bytes();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("setting the clock");
    }

    /// A server that goes by it.
    pub fn server(&self, version: Version) -> Setup {
        let library = self.library();
        Server::with(version)
            .environment("LD_PRELOAD", library.to_str().expect("a path of text"))
            .environment("ANARCHO_CLOCK", self.file().to_str().expect("a path of text"))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }
}
