//! What the README claims in lists and tables is what the code does.

use anarchoredis::{Config, Consistency};
use std::collections::BTreeSet;
use std::time::Duration;

const README: &str = include_str!("../README.md");
const ROWS: &str = include_str!("../src/command/rows.rs");

/// Every text between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The commands that have a row, as a user writes them.
fn commands_that_run() -> BTreeSet<String> {
    let starts = ["read(\"", "write(\"", "local(\"", "row(\"", "ask(\""];
    let names = starts.iter().flat_map(|start| {
        let calls = ROWS.split(start).skip(1);
        calls.filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
    });
    names.map(|name| name.to_uppercase().replace('|', " ")).collect()
}

/// The second column of the settings' table.
fn default_of(setting: &str) -> &'static str {
    let start = format!("| `{setting}` | ");
    let row = README.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("the README has no row for {setting}"));
    row.split(" | ").next().unwrap_or_default()
}

fn in_words(time: Duration) -> String {
    let milliseconds = time.as_millis();
    if milliseconds.is_multiple_of(1_000) {
        return format!("{} s", milliseconds / 1_000);
    }
    format!("{milliseconds} ms")
}

#[test]
fn the_readme_lists_exactly_the_commands_that_run() {
    let (_, rest) = README.split_once("<!-- commands: begin -->").expect("the beginning of the list");
    let (list, _) = rest.split_once("<!-- commands: end -->").expect("the end of the list");
    let (listed, run) = (quoted(list), commands_that_run());
    assert!(run.len() > 100, "{} commands were found in rows.rs", run.len());
    assert_eq!(listed.difference(&run).collect::<Vec<_>>(), Vec::<&String>::new(), "listed, but not run");
    assert_eq!(run.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "run, but not listed");
}

#[test]
fn the_readme_tells_the_defaults_that_a_client_has() {
    // All fields by name: one more in `Config` does not compile here, and then belongs in the README.
    let Config {
        consistency,
        scopes,
        tls,
        operation_timeout,
        connect_timeout,
        answer_timeout,
        hedge: (shortest, longest),
        max_clock_offset,
        retry_window,
        remembered_reply,
        max_command,
        batch,
        repair_queue,
        repairs_at_once,
        purge_age,
        surroundings: _, // what simulations replace; nothing to set
    } = Config::default();
    assert_eq!(default_of("consistency"), format!("`{consistency:?}`"));
    assert_eq!(default_of("scopes"), "those of the nodes");
    assert_eq!(scopes, None);
    assert!(tls.root_certificate.is_none() && tls.client_certificate.is_none());
    assert_eq!(default_of("tls"), "the machine's certificate store");
    assert_eq!(default_of("operation_timeout"), in_words(operation_timeout));
    assert_eq!(default_of("connect_timeout"), in_words(connect_timeout));
    assert_eq!(default_of("answer_timeout"), in_words(answer_timeout));
    assert_eq!(default_of("hedge"), format!("{} to {}", in_words(shortest), in_words(longest)));
    assert_eq!(default_of("max_clock_offset"), in_words(max_clock_offset));
    assert_eq!(default_of("retry_window"), in_words(retry_window));
    assert_eq!(default_of("remembered_reply"), format!("{} KiB", remembered_reply / 1024));
    assert_eq!(default_of("max_command"), format!("{} MiB", max_command / 1024 / 1024));
    assert_eq!(default_of("batch"), batch.to_string());
    assert_eq!(default_of("repair_queue").replace(',', ""), repair_queue.to_string());
    assert_eq!(default_of("repairs_at_once"), repairs_at_once.to_string());
    assert_eq!(default_of("purge_age"), in_words(purge_age));
}

#[test]
fn the_readme_explains_every_consistency_level() {
    for level in [Consistency::Linearizable, Consistency::Quorum, Consistency::One] {
        assert!(README.contains(&format!("\n| `{level:?}`")), "{level:?}");
    }
}

#[test]
fn the_files_that_the_readme_names_are_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let files = links.filter(|target| !target.starts_with("http"));
    let (_, layout) = README.split_once("## The source").expect("the layout");
    let first_words = layout.lines().filter_map(|line| line.split_whitespace().next());
    let folders = first_words.filter(|word| word.ends_with('/'));
    let mut seen = 0;
    for path in files.chain(folders).chain(["lua/README.md", "scripts/get-redis"]) {
        assert!(folder.join(path).exists(), "{path} is named and not there");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} files were found in the README");
}
