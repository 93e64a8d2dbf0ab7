//! GUARANTEES.md names a test for every claim, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../GUARANTEES.md");

/// Every text between backticks, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The functions of a test crate that are tests: its own file, and those of the folder of its name.
fn tests_of(file: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let main = root.join(file);
    assert!(main.is_file(), "GUARANTEES.md names {file}, which is not there");
    let mut files = vec![main];
    let folder = root.join(file.trim_end_matches(".rs"));
    if folder.is_dir() {
        sources(&folder, &mut files);
    }
    let names = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source");
        let after =
            text.split("\n#[").filter(|part| part.starts_with("test]") || part.starts_with("tokio::test"));
        after
            .filter_map(|part| Some(part.split_once("fn ")?.1.split_once('(')?.0.trim().to_owned()))
            .collect::<Vec<_>>()
    };
    let in_macros = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source");
        let after: Vec<String> = text.split("    #[test]").skip(1).map(str::to_owned).collect();
        after
            .into_iter()
            .filter_map(|part| Some(part.split_once("fn ")?.1.split_once('(')?.0.to_owned()))
            .collect::<Vec<_>>()
    };
    files.iter().flat_map(|path| [names(path), in_macros(path)].concat()).collect()
}

/// File and name of every test that a text names; names without a file are of the file before them.
fn named(text: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut all = Vec::new();
    for word in quoted(text) {
        if word.starts_with("tests/") && word.ends_with(".rs") {
            file = word.to_owned();
        } else if word.matches('_').count() >= 3
            && word.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_')
        {
            all.push((file.clone(), word.to_owned()));
        }
    }
    all
}

#[test]
fn every_test_that_the_page_names_exists() {
    let all = named(PAGE);
    assert!(all.len() > 40, "{} tests are named", all.len());
    for (file, name) in all {
        assert!(tests_of(&file).contains(&name), "GUARANTEES.md names {name}, which is no test of {file}");
    }
}

#[test]
fn every_claim_has_a_test_or_says_that_it_is_none() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && !line.contains("the test that"));
    let (_, claims) = PAGE.split_once("## Level `linearizable`").expect("the claims");
    let rows: Vec<&str> = rows.filter(|row| claims.contains(row)).collect();
    assert!(rows.len() > 25, "{} rows", rows.len());
    for row in rows {
        let is_none = row.starts_with("| *Not promised:*");
        assert!(is_none || !named(row).is_empty(), "a claim without a test: {row}");
    }
}

#[test]
fn a_name_that_is_no_test_is_found_out() {
    let missing = named("`tests/guarantees.rs` `a_test_that_nobody_wrote`");
    assert_eq!(missing, [("tests/guarantees.rs".to_owned(), "a_test_that_nobody_wrote".to_owned())]);
    assert!(!tests_of("tests/guarantees.rs").contains("a_test_that_nobody_wrote"));
    assert!(tests_of("tests/guarantees.rs").contains("a_name_that_is_no_test_is_found_out"));
}
