//! What `deploy/` says is what the programs know: flags, variables, paths, ports, and a compose file that holds together.
//!
//! No container is built or run here.

mod harness;

use harness::{Port, eventually};
use serde_yaml_ng::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const COMPOSE: &str = include_str!("../deploy/compose.yaml");
const DOCKERFILE: &str = include_str!("../deploy/Dockerfile");
const UNIT: &str = include_str!("../deploy/anarcho-proxy.service");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_anarcho-proxy")).arg("--help").output().expect("the program");
    String::from_utf8(help.stdout).expect("text")
}

fn compose() -> Value {
    let mut compose: Value = serde_yaml_ng::from_str(COMPOSE).expect("YAML");
    compose.apply_merge().expect("its merged parts");
    compose
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `ANARCHO_X=value` of the image.
fn variables_of_image() -> Vec<(&'static str, &'static str)> {
    let words = DOCKERFILE.split_whitespace();
    words.filter(|word| word.starts_with("ANARCHO_")).filter_map(|word| word.split_once('=')).collect()
}

fn instructions(name: &str) -> impl Iterator<Item = &'static str> {
    DOCKERFILE.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
}

#[test]
fn the_compose_file_names_only_what_there_is() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    let names: BTreeSet<&str> = services.keys().filter_map(Value::as_str).collect();
    assert_eq!(names.len(), 4);
    let volumes = compose["volumes"].as_mapping().expect("volumes");
    let mut used = BTreeSet::new();
    for (name, service) in services {
        for needed in texts(&service["depends_on"]) {
            assert!(names.contains(needed), "{needed}");
        }
        for volume in texts(&service["volumes"]) {
            let (volume, place) = volume.split_once(':').expect("volume:place");
            assert!(volumes.contains_key(volume) && place == "/data", "{name:?}: {volume}:{place}");
            assert!(used.insert(volume), "{volume} is used twice");
        }
    }
    assert_eq!(used.len(), volumes.len());
    let proxy = &compose["services"]["proxy"];
    let from = root().join("deploy").join(proxy["build"]["context"].as_str().expect("a context"));
    assert!(from.join("Cargo.lock").exists());
    assert!(from.join(proxy["build"]["dockerfile"].as_str().expect("a file")).exists());
    let nodes = proxy["environment"]["ANARCHO_NODE"].as_str().expect("nodes").split(',');
    let hosts: BTreeSet<&str> = nodes
        .map(|url| url.strip_prefix("redis://").and_then(|rest| rest.strip_suffix(":6379")).expect(url))
        .collect();
    assert_eq!(hosts, texts(&proxy["depends_on"]).into_iter().collect());
}

#[test]
fn the_variables_of_image_and_compose_file_are_the_programs_and_the_ports_agree() {
    let help = help();
    let compose = compose();
    let environment = compose["services"]["proxy"]["environment"].as_mapping().expect("variables");
    let named = environment.keys().filter_map(Value::as_str);
    for variable in named.chain(variables_of_image().into_iter().map(|(name, _)| name)) {
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
    }
    let inside: BTreeSet<&str> =
        variables_of_image().iter().filter_map(|(_, value)| value.strip_prefix("0.0.0.0:")).collect();
    let exposed: BTreeSet<&str> = instructions("EXPOSE").flat_map(str::split_whitespace).collect();
    let published = texts(&compose["services"]["proxy"]["ports"]);
    let published: BTreeSet<&str> = published
        .iter()
        .map(|port| port.strip_prefix("127.0.0.1:").expect(port))
        .map(|port| port.split_once(':').expect(port).1)
        .collect();
    assert_eq!((inside.len(), &inside, &inside), (2, &exposed, &published));
}

#[test]
fn the_image_copies_programs_that_are_built_and_starts_one_of_them() {
    let copied: Vec<&str> = instructions("COPY --from=build")
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains("/target/"))
        .collect();
    assert_eq!(copied.len(), 2);
    for program in &copied {
        let name = program.strip_prefix("/source/target/release/").expect(program);
        assert!(root().join("src/bin").join(name).join("main.rs").exists(), "{name}");
    }
    let entry = instructions("ENTRYPOINT").next().expect("a start");
    assert_eq!(entry, "[\"/usr/local/bin/anarcho-proxy\"]");
    assert!(instructions("RUN").any(|run| run == "cargo build --release --locked --bins"));
    let ignored = include_str!("../deploy/Dockerfile.dockerignore");
    assert!(ignored.lines().any(|line| line == "target"), "what was built here is not sent along");
}

/// The settings of image and compose file, with addresses of this machine, are taken; a node started by its command keeps every write.
#[tokio::test]
async fn the_proxy_takes_these_variables_and_a_node_this_command() {
    let compose = compose();
    let (listen, health, node) = (Port::any(), Port::any(), Port::any());
    let local = |port: &Port| format!("127.0.0.1:{}", port.number());
    let folder = tempfile::tempdir().expect("a folder");
    let words = texts(&compose["services"]["node-a"]["command"]);
    assert_eq!(words[0], "redis-server");
    let program = std::env::var_os("ANARCHO_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let mut server = Command::new(program);
    server.args(&words[1..]).args(["--port", &node.number().to_string(), "--bind", "127.0.0.1"]);
    let server = server.current_dir(folder.path()).stdout(Stdio::null()).spawn().expect("a server");
    let _server = Ended(server);
    let mut proxy = Command::new(env!("CARGO_BIN_EXE_anarcho-proxy"));
    for (name, value) in variables_of_image() {
        proxy.env(name, value);
    }
    for (name, value) in compose["services"]["proxy"]["environment"].as_mapping().expect("variables") {
        proxy.env(name.as_str().expect("a name"), value.as_str().expect("a text"));
    }
    proxy.env("ANARCHO_NODE", format!("redis://{}", local(&node)));
    proxy.env("ANARCHO_LISTEN", local(&listen)).env("ANARCHO_METRICS", local(&health));
    let _proxy = Ended(proxy.stderr(Stdio::null()).spawn().expect("the proxy"));
    let ask = async |command: &str| -> redis::RedisResult<Vec<String>> {
        let client = redis::Client::open(format!("redis://{}", local(&listen)))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut cmd = redis::Cmd::new();
        for word in command.split(' ') {
            cmd.arg(word);
        }
        cmd.query_async(&mut connection).await
    };
    eventually("it serves", Duration::from_secs(30), async || {
        ask("RPUSH l x").await.is_err() && ask("LRANGE l 0 0").await.is_ok()
    })
    .await;
    let client = redis::Client::open(format!("redis://{}", local(&node))).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("the node");
    for (name, value) in [("appendonly", "yes"), ("appendfsync", "always"), ("save", "")] {
        let found: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await.expect("CONFIG GET");
        assert_eq!(found, [name, value]);
    }
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_unit_starts_the_program_with_flags_that_it_has_and_waits_for_its_end() {
    let value =
        |name: &str| UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect(name);
    let mut start = value("ExecStart").split(' ');
    assert_eq!(start.next(), Some("/usr/local/bin/anarcho-proxy"));
    let help = help();
    for flag in start.filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "{flag}");
    }
    let patience: u64 = value("TimeoutStopSec").parse().expect("seconds");
    let longest = anarchoredis::Config::default().operation_timeout + Duration::from_secs(1);
    assert!(Duration::from_secs(patience) > longest);
    let Ok(verified) = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(root().join("deploy/anarcho-proxy.service"))
        .output()
    else {
        return; // not on every machine
    };
    // That the program is not installed here is all that it may find.
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("anarcho-proxy.service") && !line.contains("is not executable"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
