//! Everything that comes from elsewhere and is parsed: replies of nodes, URLs, configuration files. Any bytes are an answer or an error,
//! never a panic, and no error repeats a password.
//!
//! What clients send to the proxy is in tests/proxy_input.rs, calls of the scripts are in tests/scripts/hostile.rs.

mod harness;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anarchoredis::Client;
use anarchoredis::heal::Settings;
use anarchoredis::node::{Configuration, Info, Look};
use anarchoredis::protocol::{Ballot, Digest, OpId};
use anarchoredis::script::{
    ApplyReply, Compared, DigestPage, ReadReply, SettleReply, Slice, SnapshotReply, is_staged, parse_count,
    parse_dirty, parse_marks, parse_purged, parse_sums, purge_page,
};
use harness::Process;
use proptest::collection::vec;
use proptest::prelude::*;
use redis::Value;

/// Words of the contract, and what is nearly one.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "ACK",
        "NACK",
        "READ",
        "ABSENT",
        "SETTLED",
        "NEEDS_STATE",
        "SNAPSHOT",
        "SLICE",
        "LOST",
        "PAGE",
        "SUMS",
        "MARKS",
        "NODE",
        "STAGED",
        "EXPIRING",
        "REFUSED",
        "FENCED",
        "EXPIRED",
        "CONFLICT",
        "STRAY",
        "AHEAD",
        "MISMATCH",
        "OK",
        "full",
        "delta",
        "list",
        "zset",
        "gone",
        "dump",
        "stream",
        "0",
        "1",
        "-1",
        "18446744073709551616",
        "99999999999999999999999",
        "1700000000000000-000000000000000a",
        "1700000000000000-000000000000000g",
        "b9539d328efeb614352dd83d06cb979c",
        "",
        "72713a,",
        ",",
        "zz,",
        "0:0:0",
        "1:2",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ]
}

/// Any reply, of any depth that a server could send.
fn reply() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => word().prop_map(Value::BulkString),
        1 => "[A-Z]{0,8}".prop_map(Value::SimpleString),
        1 => any::<i64>().prop_map(Value::Int),
        1 => Just(Value::Nil),
        1 => Just(Value::Okay),
        1 => any::<f64>().prop_map(Value::Double),
        1 => any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(4, 64, 12, |inner| {
        prop_oneof![
            5 => vec(inner.clone(), 0..14).prop_map(Value::Array),
            1 => vec(inner.clone(), 0..4).prop_map(Value::Set),
            1 => vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

/// An array that begins as the contract's do.
fn answer() -> impl Strategy<Value = Value> {
    (word(), vec(reply(), 0..14)).prop_map(|(word, mut rest)| {
        rest.insert(0, Value::BulkString(word));
        Value::Array(rest)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_reply_of_a_node_is_read_or_malformed(value in prop_oneof![reply(), answer()]) {
        // Shown, as a log line would show it.
        let _ = format!("{:?}", ApplyReply::parse(value.clone()));
        let _ = format!("{:?}", ReadReply::parse(value.clone()));
        let _ = format!("{:?}", SettleReply::parse(value.clone()));
        let _ = format!("{:?}", SnapshotReply::parse(value.clone()));
        let _ = format!("{:?}", Slice::parse(value.clone()).map(|_| ()));
        let _ = format!("{:?}", DigestPage::parse(value.clone()).map(|_| ()));
        let _ = format!("{:?}", Look::parse(value.clone()));
        let _ = format!("{:?}", purge_page(value.clone()).map(|_| ()));
        let _ = (parse_dirty(value.clone()).is_ok(), parse_count(value.clone()).is_ok());
        let _ = (parse_purged(value.clone()).is_ok(), is_staged(value.clone()).is_ok());
        let _ = (parse_sums(value.clone()).is_ok(), parse_marks(value.clone(), Compared::Digests).is_ok());
        let _ = parse_marks(value, Compared::Ballots).is_ok();
    }

    #[test]
    fn a_text_that_is_read_is_written_the_same_again(text in prop_oneof!["[0-9a-f]{0,40}", "[0-9]{16}-[0-9a-f]{16}", "\\PC{0,40}"]) {
        if let Ok(ballot) = text.parse::<Ballot>() {
            prop_assert_eq!(ballot.to_string(), text.clone());
        }
        if let Ok(op) = text.parse::<OpId>() {
            prop_assert_eq!(op.to_string(), text.clone());
        }
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text.clone());
        }
        let _ = Configuration::parse_members(&text);
        let _ = Info::parse(&text).check();
    }

    #[test]
    fn any_file_is_settings_or_an_error(text in prop_oneof![file(), "\\PC{0,200}"]) {
        let _ = toml::from_str::<Settings>(&text).map_err(|error| error.to_string());
    }
}

/// Lines as they stand in a configuration file, with values that need not fit.
fn file() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "nodes",
        "node",
        "interval",
        "drain_every",
        "patience",
        "strict",
        "listen",
        "scope",
        "consistency",
        "max_clients",
        "user",
        "users",
        "requirepass",
        "timeout",
        "operation_timeout",
        "keys_per_second",
        "metrics",
        "unix_socket",
        "tls_cert",
        "log_format",
        "nonsense",
    ]);
    let value = prop_oneof![
        Just("\"60s\"".to_owned()),
        Just("\"linearizable\"".to_owned()),
        Just("[\"redis://:s3cr3t@127.0.0.1:1\"]".to_owned()),
        Just("[]".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("\"\"".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\"name:s3cr3t\"".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("nan".to_owned()),
        "\\PC{0,20}",
    ];
    vec((name, value), 0..6).prop_map(|lines| {
        lines.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect::<String>()
    })
}

/// Nobody listens on these.
fn url() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "redis://",
        "rediss://",
        "unix://",
        "redis+unix:///",
        "http://",
        "",
        "redis:",
        "REDIS://",
    ]);
    let user = prop::sample::select(vec![
        "",
        ":s3cr3t@",
        "user:s3cr3t@",
        "user:s3cr3t%zz@",
        "a:s3cr3t@b@",
        ":s3cr3t:@",
    ]);
    let host = prop::sample::select(vec![
        "127.0.0.1",
        "[::1]",
        "",
        "[",
        "256.256.256.256",
        "127.0.0.1:",
        " ",
        "\u{1F980}",
        "a/../b",
    ]);
    let rest = prop::sample::select(vec![
        "",
        ":1",
        ":0",
        ":99999",
        ":-1",
        ":1/0",
        ":1/99",
        ":1/x",
        ":1/?protocol=resp9",
        ":1#insecure",
    ]);
    (scheme, user, host, rest).prop_map(|(scheme, user, host, rest)| {
        // What stands there in the URL of a socket is a path.
        let user = if scheme.contains("unix") { "" } else { user };
        let rest = if scheme.contains("unix") { "" } else { rest };
        format!("{scheme}{user}{host}{rest}")
    })
}

#[test]
fn any_url_is_refused_or_unreachable_without_its_password_in_the_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = ProptestConfig { cases: 150, ..ProptestConfig::default() };
    proptest!(config, |(urls in vec(url(), 1..4))| {
        let connecting = Client::builder().nodes(&urls).connect_timeout(Duration::from_millis(50)).connect();
        let refused = runtime.block_on(connecting).map(|_| ()).map_err(|error| error.to_string());
        let error = refused.expect_err("nobody is there");
        prop_assert!(!error.contains("s3cr3t"), "{urls:?}: {error}");
    });
}

/// Found by the test above: without a scheme all of the text was repeated.
#[tokio::test]
async fn what_is_no_url_is_named_without_what_may_be_its_password() {
    for url in ["user:s3cr3t@127.0.0.1:1", ":s3cr3t@127.0.0.1", "http://user:s3cr3t@127.0.0.1:1"] {
        let error = Client::builder().nodes([url]).connect().await.expect_err("no URL").to_string();
        assert!(!error.contains("s3cr3t") && error.contains("127.0.0.1"), "{url}: {error}");
    }
}

/// Found by the test below: the message quoted the line, or the value.
#[test]
fn a_wrong_configuration_file_is_told_without_its_lines_and_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any.toml");
    for text in [
        "nodes = []\nnodes = [\"redis://:s3cr3t@127.0.0.1:1\"]\n",
        "nodes = \"redis://:s3cr3t@127.0.0.1:1\"\nnode = \"redis://:s3cr3t@127.0.0.1:1\"\n",
        "user = \"name:s3cr3t\"\nrequirepass = [\"s3cr3t\"]\ninterval = \"s3cr3t\"\n",
        "nodes = [\"redis://:s3cr3t@127.0.0.1:1\"\n",
    ] {
        fs::write(&path, text).expect("a file");
        for program in [env!("CARGO_BIN_EXE_anarcho-heal"), env!("CARGO_BIN_EXE_anarcho-proxy")] {
            let (_, said) = told(program, &["--config", path.to_str().expect("a path")]);
            assert!(said.contains("any.toml") && !said.contains("s3cr3t"), "{program}: {text}: {said}");
        }
    }
}

/// Ends by itself, or is ended after a while; what it said.
fn told(program: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
    let mut process = Process::spawn(command).expect("the program starts");
    for _ in 0..40 {
        if process.has_exited() {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    let ended = process.has_exited();
    process.kill();
    let said = fs::read_to_string(folder.path().join("log")).expect("what it said");
    (ended.then_some(0), said)
}

#[test]
fn any_configuration_file_ends_a_program_with_an_error_or_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any.toml");
    let programs = [env!("CARGO_BIN_EXE_anarcho-heal"), env!("CARGO_BIN_EXE_anarcho-proxy")];
    let config = ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() };
    proptest!(config, |(text in file())| {
        fs::write(&path, &text).expect("a file");
        for program in programs {
            let file = path.to_str().expect("a path");
            let mut arguments = vec!["--config", file];
            if program.ends_with("proxy") {
                arguments.extend(["--listen", "127.0.0.1:0"]);
            }
            let (_, said) = told(program, &arguments);
            prop_assert!(!said.contains("panicked"), "{text}: {said}");
            prop_assert!(!said.contains("s3cr3t"), "{text}: {said}");
        }
    });
}
