//! The session in `lua/README.md` is what happens on the model, too.

use anarchoredis::script::{NAMES, script};

use crate::reply::Reply;
use crate::server_model::Server;

const README: &str = include_str!("../../lua/README.md");
const NOW_US: u64 = 1_760_000_000_000_000;

/// `> script KEYS | ARGV` as the words of an `EVALSHA`.
fn evalsha(line: &str) -> Vec<&[u8]> {
    let (call, args) = line.trim_start_matches("> ").split_once('|').expect("KEYS | ARGV");
    let (name, keys) = call.trim().split_once(' ').unwrap_or((call.trim(), ""));
    let name = NAMES.into_iter().find(|known| known.as_str() == name).expect("the name of a script");
    let numkeys = ["0", "1", "2", "3"][keys.split_whitespace().count()];
    let rest = keys.split_whitespace().chain(args.split_whitespace());
    let rest = rest.map(|word| if word == "''" { "" } else { word });
    ["EVALSHA", &script(name).sha, numkeys].into_iter().chain(rest).map(str::as_bytes).collect()
}

#[test]
fn the_session_of_the_readme_runs_on_the_model() {
    let blocks = README.split("```text\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let session = blocks.map(|(block, _)| block).find(|block| block.starts_with("> "));
    let (mut server, mut reply, mut compared) = (Server::default(), String::new(), 0);
    for line in session.expect("a block of calls").lines() {
        if line.starts_with("> ") {
            reply = Reply(server.run(NOW_US, &evalsha(line))).to_string();
        } else {
            assert_eq!(reply, line);
            compared += 1;
        }
    }
    assert!(compared >= 14, "{compared} replies were compared");
}
