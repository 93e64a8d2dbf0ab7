//! Clients that write to the same keys around the moments at which these expire, and what they were told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anarchoredis::surroundings::{Machine, Surroundings};
use anarchoredis::{Client, Error, Outcome};
use redis::Value;

use crate::linearizable::{Call, End};
use crate::model::{Form, Op};
use crate::workload::Rng;

/// Clocks are read in whole milliseconds, and a node waits for an expiry that is nearer than 5 ms.
const READING_MS: u64 = 20;

/// Runs its commands as a transaction's, and answers as the model does.
const SCRIPT: &str = "local out = {}
for i, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err then reply = 'ERR'
  elseif type(reply) == 'table' and reply.ok then reply = reply.ok
  elseif type(reply) == 'table' then
    for j = 1, #reply do reply[j] = reply[j] or 'nil' end
    reply = '[' .. table.concat(reply, ' ') .. ']'
  elseif type(reply) == 'number' then reply = string.format('%.0f', reply) end
  out[i] = reply or 'nil'
end
return table.concat(out, ';')";

pub fn now_ms() -> u64 {
    Machine.now_us() / 1_000
}

/// One register with two keys, and all that was done to it.
pub struct Game {
    a: String,
    b: String,
    /// How far clocks may be from the right time.
    apart_ms: u64,
    places: AtomicU64,
    values: AtomicU64,
    /// An expiry that was set lately: others come close to it.
    near: AtomicU64,
    calls: Mutex<Vec<Call<Op, String>>>,
}

impl Game {
    pub fn new(number: usize, apart_ms: u64) -> Arc<Game> {
        Arc::new(Game {
            a: format!("{{r{number}}}a"),
            b: format!("{{r{number}}}b"),
            apart_ms,
            places: AtomicU64::new(1),
            values: AtomicU64::new(1_000),
            near: AtomicU64::new(now_ms()),
            calls: Mutex::default(),
        })
    }

    pub fn calls(&self) -> Vec<Call<Op, String>> {
        self.calls.lock().expect("nobody panics here").clone()
    }

    /// One client's ops, one after the other.
    pub async fn play(self: Arc<Game>, number: usize, client: Client, mut rng: Rng, ops: usize) {
        for _ in 0..ops {
            let (form, commands) = self.some_op(&mut rng);
            let invoked = self.places.fetch_add(1, Ordering::SeqCst);
            let began_ms = now_ms();
            let reply = run_as(form, &client, &self, &commands).await;
            let between = (began_ms - self.apart_ms - READING_MS, now_ms() + self.apart_ms + READING_MS);
            let at = self.places.fetch_add(1, Ordering::SeqCst);
            let Some(end) = end_of(reply, at, &commands) else { continue };
            // What nobody saw the end of may happen as long as calls live.
            let between = if matches!(end, End::Open) { (between.0, u64::MAX) } else { between };
            let call = Call { client: number, op: Op { form, commands, between }, invoked, end };
            self.calls.lock().expect("nobody panics here").push(call);
        }
    }

    fn some_op(&self, rng: &mut Rng) -> (Form, Vec<Vec<String>>) {
        let form = match rng.below(10) {
            0..7 => Form::Alone,
            7 => Form::Transaction,
            8 => Form::Script,
            // Both keys as they are at one moment.
            _ => return (Form::Alone, vec![words(&format!("MGET {} {}", self.a, self.b))]),
        };
        let count = if form == Form::Alone { 1 } else { 2 + rng.below(3) };
        let mut sets_expiry = false;
        let command = |_| loop {
            let line = self.some_command(rng);
            let sets = line.contains(" PXAT ") || line.starts_with("PEXPIREAT ");
            // Scripts do not know COPY. And one expiry for all: of several, a node that runs them as one may see the later one pass
            // first, as a lone Redis may.
            if !(form == Form::Script && line.starts_with("COPY") || sets && sets_expiry) {
                sets_expiry |= sets;
                return words(&line);
            }
        };
        (form, (0..count).map(command).collect())
    }

    fn some_command(&self, rng: &mut Rng) -> String {
        let (key, other) = if rng.below(3) < 2 { (&self.a, &self.b) } else { (&self.b, &self.a) };
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        let condition = ["", " NX", " XX", " GT", " LT"][rng.place(5)];
        match rng.below(30) {
            0..4 => format!("SET {key} {value} PXAT {}", self.some_time(rng)),
            4 => format!("SET {key} {value} KEEPTTL"),
            5 => format!("SET {key} {value} NX PXAT {}", self.some_time(rng)),
            6 => format!("SET {key} {value} XX"),
            7 | 8 => format!("SETNX {key} {value}"),
            9..12 => format!("APPEND {key} {}", 1 + rng.below(9)),
            12 | 13 => format!("INCR {key}"),
            14..16 => format!("GET {key}"),
            16 => format!("EXISTS {key} {other}"),
            17 => format!("PEXPIRETIME {key}"),
            18..22 => format!("PEXPIREAT {key} {}{condition}", self.some_time(rng)),
            22 => format!("PERSIST {key}"),
            23 => format!("GETEX {key} PXAT {}", self.some_time(rng)),
            24 => ["GETEX {} PERSIST", "GETDEL {}", "DEL {}"][rng.place(3)].replace("{}", key),
            25 => format!("GETSET {key} {value}"),
            26 => format!("RENAME{} {key} {other}", ["", "NX"][rng.place(2)]),
            27 => format!("COPY {key} {other}{}", ["", " REPLACE"][rng.place(2)]),
            28 => format!("LPUSH {key} {value}"),
            _ => format!("LRANGE {key} 0 -1"),
        }
    }

    /// Soon, or close to what was set before, or past.
    fn some_time(&self, rng: &mut Rng) -> u64 {
        let at_ms = match rng.below(8) {
            0..5 => now_ms() + 1 + rng.below(300),
            5 | 6 => self.near.load(Ordering::Relaxed) + rng.below(5) - 2,
            _ => now_ms() - rng.below(500),
        };
        self.near.store(at_ms, Ordering::Relaxed);
        at_ms
    }
}

async fn run_as(form: Form, client: &Client, game: &Game, commands: &[Vec<String>]) -> Result<String, Error> {
    match form {
        Form::Alone => Ok(text(&run(client, &commands[0]).await?)),
        Form::Transaction => {
            let session = client.session();
            session.run(&[b"MULTI"]).await?;
            for command in commands {
                session.run(&bytes(command)).await?;
            }
            let Value::Array(replies) = session.run(&[b"EXEC"]).await? else { panic!("EXEC answers a list") };
            Ok(replies.iter().map(text).collect::<Vec<_>>().join(";"))
        }
        Form::Script => {
            // What it uses is named, in part, or not at all.
            let (a, b, other) = (game.a.clone(), game.b.clone(), game.a.clone() + "ny");
            let keys = match game.values.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => vec![a, b],
                1 => vec![b],
                _ => vec![other],
            };
            let mut eval = vec!["EVAL".to_owned(), SCRIPT.into(), keys.len().to_string()];
            eval.extend(keys);
            eval.extend(commands.iter().map(|command| command.join(" ")));
            Ok(text(&run(client, &eval).await?))
        }
    }
}
async fn run(client: &Client, command: &[String]) -> Result<Value, Error> {
    client.run(&bytes(command)).await
}

fn bytes(command: &[String]) -> Vec<&[u8]> {
    command.iter().map(String::as_bytes).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// None where it is known that nothing was done.
fn end_of(reply: Result<String, Error>, at: u64, commands: &[Vec<String>]) -> Option<End<String>> {
    match reply {
        Ok(reply) => Some(End::Returned { at, reply }),
        Err(Error::Command(_)) => Some(End::Returned { at, reply: "ERR".into() }),
        Err(Error::Refused(refusal)) => panic!("{commands:?}: {refusal}"),
        Err(error) => match error.outcome() {
            Outcome::NotApplied => None,
            Outcome::Applied => Some(End::Applied { at }),
            Outcome::Indeterminate => Some(End::Open),
        },
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Int(number) => number.to_string(),
        Value::Okay => "OK".into(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::ServerError(_) => "ERR".into(),
        other => panic!("an unexpected reply: {other:?}"),
    }
}

/// How many calls were answered, how many of these read a value, and how many gave a key a time to live.
pub fn counted<'a>(calls: impl Iterator<Item = &'a Call<Op, String>>) -> [usize; 3] {
    let mut counts = [0; 3];
    for call in calls {
        let End::Returned { reply, .. } = &call.end else { continue };
        let name = call.op.commands[0][0].as_str();
        let has = [true, name == "GET" && reply != "nil", name == "PEXPIREAT" && reply.starts_with('1')];
        for (count, has) in counts.iter_mut().zip(has) {
            *count += usize::from(has);
        }
    }
    counts
}
