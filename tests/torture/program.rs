//! Our own programs as processes: killed, stopped and started again like everything else.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::harness::Process;

/// A program of ours. Dropping it kills it.
pub struct Program {
    file: &'static str,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Program {
    /// Not started yet. What it says goes to the log.
    pub fn new(file: &'static str, log: PathBuf) -> Program {
        Program { file, log, process: Mutex::new(None) }
    }

    /// Starts it anew.
    pub fn start(&self, arguments: &[String]) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Command::new(self.file);
        command
            .args(arguments)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        let process = Process::spawn(command).expect("starting the program");
        *self.process.lock().expect("a lock") = Some(process);
    }

    pub fn kill(&self) {
        self.process.lock().expect("a lock").take();
    }

    pub fn pause(&self) {
        if let Some(process) = self.process.lock().expect("a lock").as_mut() {
            process.pause();
        }
    }

    pub fn resume(&self) {
        if let Some(process) = self.process.lock().expect("a lock").as_mut() {
            process.resume();
        }
    }
}
