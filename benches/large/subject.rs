//! What is large.

use anarchoredis::Client;
use redis::Cmd;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    List,
    Set,
    Hash,
    Zset,
    Stream,
    String,
    /// Many small keys of one scope.
    Scope,
}

/// Elements of one command.
const CHUNK: usize = 2_000;

impl Subject {
    pub const ALL: [Subject; 7] = [
        Subject::List,
        Subject::Set,
        Subject::Hash,
        Subject::Zset,
        Subject::Stream,
        Subject::String,
        Subject::Scope,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Subject::List => "list",
            Subject::Set => "set",
            Subject::Hash => "hash",
            Subject::Zset => "zset",
            Subject::Stream => "stream",
            Subject::String => "string",
            Subject::Scope => "scope",
        }
    }

    /// Makes the value this long: elements, keys, or MiB of a string.
    pub async fn fill(self, client: &Client, key: &str, size: usize) {
        match self {
            Subject::String => {
                let mut cmd = redis::cmd("SET");
                cmd.arg(key).arg(vec![b'x'; size * 1024 * 1024]);
                run(client, &cmd).await;
            }
            Subject::Stream => {
                for first in (0..size).step_by(CHUNK) {
                    let mut pipe = redis::pipe();
                    for number in first..size.min(first + CHUNK) {
                        pipe.cmd("XADD")
                            .arg(key)
                            .arg(format!("1-{}", number + 1))
                            .arg("field")
                            .arg(number)
                            .ignore();
                    }
                    let () = pipe.query_async(&mut client.clone()).await.expect("XADD");
                }
            }
            _ => {
                for first in (0..size).step_by(CHUNK) {
                    let mut cmd = redis::cmd(self.command());
                    if self != Subject::Scope {
                        cmd.arg(key);
                    }
                    (first..size.min(first + CHUNK)).for_each(|number| self.element(&mut cmd, key, number));
                    run(client, &cmd).await;
                }
            }
        }
    }

    fn command(self) -> &'static str {
        match self {
            Subject::List => "RPUSH",
            Subject::Set => "SADD",
            Subject::Hash => "HSET",
            Subject::Zset => "ZADD",
            Subject::Stream => "XADD",
            Subject::String => "APPEND",
            Subject::Scope => "MSET",
        }
    }

    fn element(self, cmd: &mut Cmd, key: &str, number: usize) {
        match self {
            Subject::Hash => cmd.arg(format!("field:{number:08}")).arg(number),
            Subject::Zset => cmd.arg(number).arg(format!("member:{number:08}")),
            Subject::Scope if key == "small" => cmd.arg(format!("small:{number}")).arg(number),
            Subject::Scope => cmd.arg(format!("scope:{number:08}")).arg(number),
            _ => cmd.arg(format!("element:{number:08}")),
        };
    }

    /// One small write to it.
    pub async fn write(self, client: &Client, key: &str, number: usize) {
        let mut cmd = redis::cmd(self.command());
        match self {
            Subject::String => cmd.arg(key).arg("more"),
            Subject::Stream => cmd.arg(key).arg("*").arg("field").arg(number),
            Subject::Scope => {
                self.element(&mut cmd, key, 0 * number);
                &mut cmd
            }
            _ => {
                cmd.arg(key);
                self.element(&mut cmd, key, 50_000_000 + number);
                &mut cmd
            }
        };
        run(client, &cmd).await;
    }
}

async fn run(client: &Client, cmd: &Cmd) {
    client.run_cmd(cmd).await.unwrap_or_else(|error| panic!("{error}"));
}
