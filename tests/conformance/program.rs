//! Programs of other languages, as `scripts/get-languages` has put them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::history::Line;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("ANARCHO_LANGUAGES").expect("ANARCHO_LANGUAGES: use `make conformance`"))
}

/// The languages that are there.
pub fn languages() -> Vec<String> {
    let present = std::fs::read_to_string(folder().join("present")).expect("scripts/get-languages");
    present.lines().map(str::to_owned).collect()
}

/// `what` is vectors or load.
fn command(language: &str, what: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = match language {
        "python" => {
            let mut command = Command::new(folder().join("python/bin/python"));
            command.arg(root.join(format!("examples/python/{what}.py")));
            command
        }
        "node" => {
            let mut command = Command::new("node");
            command.arg(folder().join(format!("node/{what}.mjs")));
            command
        }
        "ruby" => {
            let mut command = Command::new("ruby");
            command.arg(root.join(format!("examples/ruby/{what}.rb")));
            command
        }
        _ => Command::new(folder().join("go").join(what)),
    };
    command.env("ANARCHO_LUA", root.join("lua")).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    command
}

/// Replays the vectors; answers what it said.
pub async fn replay(language: &str, url: &str) -> String {
    let mut command = command(language, "vectors");
    let running = command.arg(url).output();
    let output =
        tokio::time::timeout(Duration::from_secs(300), running).await.expect("it ends").expect("it starts");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && said.trim_end().ends_with(" 0 failures"),
        "{language}: {said}\n{error}"
    );
    said.trim_end().to_owned()
}

/// What a coordinator says that cannot connect.
pub async fn refusal(language: &str, urls: &[String]) -> String {
    let mut command = command(language, "load");
    command.args([&urls.join(","), "none", "1"]).stdin(Stdio::null());
    let running = command.output();
    let output =
        tokio::time::timeout(Duration::from_secs(60), running).await.expect("it ends").expect("it starts");
    assert!(!output.status.success(), "{language} connects");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A coordinator at work.
pub struct Program {
    language: String,
    child: Child,
    input: ChildStdin,
    reading: JoinHandle<Vec<Line>>,
}

impl Program {
    /// `turn` tells the programs of one language apart: their clients are called after it.
    pub async fn start(
        language: &str,
        turn: char,
        urls: &[String],
        tasks: usize,
        done: Arc<AtomicU64>,
    ) -> Program {
        let name = format!("{}{turn}", &language[..1]);
        let mut command = command(language, "load");
        command
            .args([&urls.join(","), &name, &tasks.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (input, output) =
            (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let mut lines = BufReader::new(output).lines();
        let first =
            tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.expect("it connects");
        assert_eq!(first.expect("a line").as_deref(), Some("ready"), "{language}");
        Program { language: language.to_owned(), child, input, reading: tokio::spawn(read(lines, done)) }
    }

    /// Lets it end what it has begun, and answers its history.
    pub async fn stop(mut self) -> Vec<Line> {
        drop(self.input);
        let lines = tokio::time::timeout(Duration::from_secs(60), self.reading)
            .await
            .expect("it ends")
            .expect("lines");
        let status = self.child.wait().await.expect("its end");
        assert!(status.success(), "{}: {status}", self.language);
        lines
    }
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, done: Arc<AtomicU64>) -> Vec<Line> {
    let mut all = Vec::new();
    while let Some(line) = lines.next_line().await.expect("a line") {
        all.push(Line::parse(&line));
        done.fetch_add(1, Ordering::Relaxed);
    }
    all
}
