//! Random stream commands on every version at once, and next to them on a lone server: one history, one state, one reply.

use super::support::*;
use crate::harness::Version;
use crate::streams_support::try_essence;
use redis::Value;

const SEEDS: u64 = 25;
const STEPS: u64 = 50;

/// A small generator (xorshift64*), so that a seed is all that a run depends on.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % sides
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.roll(4)).expect("small")
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.roll(choices.len() as u64)).expect("small");
        choices[index]
    }

    fn id(&mut self) -> String {
        match self.roll(4) {
            0 => "0".into(),
            1 => self.roll(12).to_string(),
            _ => format!("{}-{}", self.roll(12), self.roll(4)),
        }
    }

    /// Idle times are none or for ever, so that a lone server decides by its clock what ours decide by the op.
    fn command(&mut self) -> String {
        let (key, group) = (self.one_of(&["x", "x", "x", "{x}y"]), self.one_of(&["g", "g", "h", "none"]));
        let (consumer, idle) = (self.one_of(&["a", "b", "c"]), self.one_of(&["0", "0", "99999999"]));
        let (id, other) = (self.id(), self.id());
        match self.roll(16) {
            0..4 => {
                let option = self.one_of(&["", "", "NOMKSTREAM ", "MAXLEN = 4 ", "MINID = 7 "]);
                let later = format!("{}-{}", 5 + self.roll(35), self.roll(6));
                let id = if self.roll(3) == 0 { id } else { later };
                format!("XADD {key} {option}{id} f {}", self.roll(9))
            }
            4..7 => {
                let options = self.one_of(&["", "", "COUNT 1 ", "COUNT 3 ", "NOACK ", "COUNT 2 NOACK "]);
                let id = if self.roll(3) == 0 { id.as_str() } else { ">" };
                format!("XREADGROUP GROUP {group} {consumer} {options}STREAMS {key} {id}")
            }
            7 => format!("XREADGROUP GROUP {group} {consumer} STREAMS x {{x}}y > {id}"),
            8 => format!("XACK {key} {group} {id} {other}"),
            9 => format!("XDEL {key} {id} {other}"),
            10 | 11 => {
                let options =
                    ["", " JUSTID", " FORCE", " FORCE JUSTID", " RETRYCOUNT 7", " TIME 5", " LASTID 3"];
                let option = self.one_of(&options);
                format!("XCLAIM {key} {group} {consumer} {idle} {id} {other}{option}")
            }
            12 => {
                let option = self.one_of(&["", " COUNT 1", " COUNT 2", " JUSTID"]);
                let from = self.one_of(&["-", "0", "(1-1", "3"]);
                format!("XAUTOCLAIM {key} {group} {consumer} {idle} {from}{option}")
            }
            13 => {
                let option = self.one_of(&["", " MKSTREAM"]);
                format!("XGROUP CREATE {key} {group} {}{option}", if self.roll(2) == 0 { "$" } else { &id })
            }
            14 => match self.roll(4) {
                0 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
                1 => format!("XGROUP SETID {key} {group} {id}"),
                2 => format!("XTRIM {key} MINID = {id}"),
                _ => format!("XGROUP DESTROY {key} {group}"),
            },
            _ => format!("XPENDING {key} {group}"),
        }
    }
}

/// What the nodes answer to an op; `timed` is whether it takes its time from itself.
async fn answers(nodes: &[Node], number: u64, commands: &[String], timed: bool) -> Vec<Reply> {
    let user_keys = Some(vec![b"x".to_vec(), b"{x}y".to_vec()]);
    let flags = if timed { format!("t{}", ballot(0).time_ms() - 100_000 + number) } else { String::new() };
    let apply = Apply { user_keys, ..Apply::new("x", number, &commands.join(";")).flags(flags) };
    let mut answers = Vec::new();
    for node in nodes {
        answers.push(node.apply(&apply).await);
    }
    answers
}

async fn assert_same(nodes: &[Node], after: &str) {
    for key in ["x", "{x}y"] {
        let held = try_essence(&nodes[0].server, key).await;
        for node in nodes {
            assert_eq!(try_essence(&node.server, key).await, held, "{} after {after}", node.version());
        }
    }
}

/// Rebuilds one node's streams from another's, in the form that every version takes.
async fn bring(from: &Node, to: &Node, number: u64) {
    let snapshot = from.snapshot("x", &["x", "{x}y"], "streams 1000000").await;
    if snapshot.is("SNAPSHOT") {
        let settle = Settle { mode: "full", ..Settle::from_snapshot("x", ballot(number), &snapshot, "") };
        assert_eq!(to.settle(&settle).await.to_string(), "[SETTLED]");
    }
}

async fn run(seeds: std::ops::Range<u64>, timed: bool) {
    let mut nodes = Vec::new();
    for version in Version::ALL {
        nodes.push(Node::start(version).await);
    }
    let lone = Node::unclaimed(Version::V7_0).await;
    let mut number = 0;
    for seed in seeds {
        println!("seed {seed}");
        for node in &nodes {
            node.line("DEL x {x}y anrcho_version:{x}").await;
        }
        lone.line("FLUSHALL").await;
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..STEPS {
            number += 1;
            let commands: Vec<String> = (0..=dice.roll(3)).map(|_| dice.command()).collect();
            let ours = answers(&nodes, number, &commands, timed).await;
            let mut theirs = Vec::new();
            for command in &commands {
                theirs.push(lone.run(command.split(' ')).await.0);
            }
            for (node, answer) in nodes.iter().zip(&ours) {
                assert_eq!(answer.to_string(), ours[0].to_string(), "{}: {commands:?}", node.version());
                assert_eq!(answer.replies(), Reply(Value::Array(theirs.clone())).to_string(), "{commands:?}");
            }
            assert_same(&nodes, &format!("{commands:?}")).await;
        }
        let (from, to) = (dice.node(), dice.node());
        bring(&nodes[from], &nodes[to], number).await;
        assert_same(&nodes, &format!("from {} to {}", nodes[from].version(), nodes[to].version())).await;
    }
}

#[tokio::test]
async fn random_commands_give_one_history_one_state_and_the_replies_of_a_lone_server() {
    run(1..SEEDS, true).await;
}

/// The comparison that the test above relies on: by the nodes' own clocks they differ at once.
#[tokio::test]
#[should_panic(expected = "left == right")]
async fn nodes_that_go_by_their_own_clocks_are_noticed() {
    run(1..SEEDS, false).await;
}
