//! The joint history of all coordinators, and its judges.

use std::collections::{BTreeMap, BTreeSet};

use anarchoredis::{Error, Outcome};
use redis::Value;
use serde_json::Value as Json;

use super::linearizable::{Call, End, Sequential, Verdict, check};

/// One operation, with times of the clock that all processes of the machine share, in ns.
#[derive(Debug, Clone)]
pub struct Line {
    pub client: String,
    pub command: Vec<String>,
    pub begin: u64,
    pub end: u64,
    pub ended: Ended,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Replied(Reply),
    NotApplied,
    Indeterminate,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    Number(Option<i64>),
}

/// CLOCK_MONOTONIC.
pub fn now() -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: plain system call that fills in `at`.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) }, 0);
    u64::try_from(at.tv_sec).expect("after the start") * 1_000_000_000
        + u64::try_from(at.tv_nsec).expect("ns")
}

fn reply_of(text: &str) -> Reply {
    if text == "OK" {
        Reply::Done
    } else {
        Reply::Number(Some(text.parse().unwrap_or_else(|_| panic!("{text}"))))
    }
}

impl Ended {
    pub fn of(reply: Result<Value, Error>) -> Ended {
        match reply {
            Ok(Value::Nil) => Ended::Replied(Reply::Number(None)),
            Ok(Value::Int(number)) => Ended::Replied(Reply::Number(Some(number))),
            Ok(Value::Okay) => Ended::Replied(Reply::Done),
            Ok(Value::BulkString(text)) => Ended::Replied(reply_of(&String::from_utf8_lossy(&text))),
            Ok(other) => panic!("{other:?}"),
            Err(error) if error.outcome() == Outcome::Indeterminate => Ended::Indeterminate,
            Err(error) if error.outcome() == Outcome::NotApplied => Ended::NotApplied,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Line {
    /// A line that a program of another language wrote.
    pub fn parse(text: &str) -> Line {
        let json: Json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let command = json["command"].as_array().expect("words");
        let command: Vec<String> =
            command.iter().map(|word| word.as_str().expect("a word").to_owned()).collect();
        let ended = match &json["reply"] {
            _ if json.get("indeterminate").is_some() => Ended::Indeterminate,
            _ if json.get("not_applied").is_some() => Ended::NotApplied,
            Json::Null => Ended::Replied(Reply::Number(None)),
            Json::Number(number) => Ended::Replied(Reply::Number(number.as_i64())),
            Json::String(text) => Ended::Replied(reply_of(text)),
            other => panic!("{other}"),
        };
        let time = |name: &str| json[name].as_u64().expect("a time");
        Line {
            client: json["client"].as_str().expect("a name").into(),
            command,
            begin: time("begin"),
            end: time("end"),
            ended,
        }
    }

    fn is(&self, name: &str, key: &str) -> bool {
        self.command[0] == name && self.command[1] == key
    }
}

/// A number, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Number(Option<i64>);

#[derive(Debug, Clone, PartialEq)]
enum Op {
    Get,
    Set(i64),
    Incr,
}

impl Sequential for Number {
    type Op = Op;
    type Reply = Reply;

    fn apply(&mut self, op: &Op) -> Reply {
        match op {
            Op::Get => return Reply::Number(self.0),
            Op::Set(value) => self.0 = Some(*value),
            Op::Incr => self.0 = Some(self.0.unwrap_or(0) + 1),
        }
        if matches!(op, Op::Set(_)) { Reply::Done } else { Reply::Number(self.0) }
    }

    fn only_reads(op: &Op) -> bool {
        *op == Op::Get
    }
}

/// The calls on one key that may have had an effect, with places in one order in place of times. At the same time begins come first.
fn calls(lines: &[Line], key: &str) -> Vec<Call<Op, Reply>> {
    let of_key: Vec<&Line> =
        lines.iter().filter(|line| line.command[1] == key && line.ended != Ended::NotApplied).collect();
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (number, line) in of_key.iter().enumerate() {
        events.extend([(line.begin, false, number), (line.end, true, number)]);
    }
    events.sort_unstable();
    let mut places = vec![[0, 0]; of_key.len()];
    for (place, (_, is_end, number)) in events.iter().enumerate() {
        places[*number][usize::from(*is_end)] = place as u64 + 1;
    }
    let call = |(line, [invoked, at]): (&&Line, [u64; 2])| Call {
        client: line.client.bytes().fold(0, |sum, byte| sum * 256 + usize::from(byte)),
        op: match line.command[0].as_str() {
            "GET" => Op::Get,
            "SET" => Op::Set(line.command[2].parse().expect("a number")),
            _ => Op::Incr,
        },
        invoked,
        end: match &line.ended {
            Ended::Replied(reply) => End::Returned { at, reply: reply.clone() },
            _ => End::Open,
        },
    };
    of_key.iter().zip(places).map(call).collect()
}

/// Judges the history; `finals`: of each key its counter and its set, as read in the end.
pub fn judge(lines: &[Line], finals: &[(i64, BTreeSet<String>)]) {
    tell(lines);
    let mut reads_of_others = 0;
    for (key, (count, members)) in finals.iter().enumerate() {
        let (number, counter, set) = (format!("n:{key}"), format!("count:{key}"), format!("set:{key}"));
        let history = calls(lines, &number);
        let verdict = check(&Number(None), &history);
        assert!(verdict.is_linearizable(), "{number}: {verdict}");
        assert_control_fails(history);
        let verdict = check(&Number(None), &calls(lines, &counter));
        assert!(verdict.is_linearizable(), "{counter}: {verdict}");
        let increments = |ended: fn(&Ended) -> bool| {
            i64::try_from(lines.iter().filter(|line| line.is("INCR", &counter) && ended(&line.ended)).count())
                .expect("few")
        };
        let acknowledged = increments(|ended| matches!(ended, Ended::Replied(_)));
        let unknown = increments(|ended| *ended == Ended::Indeterminate);
        let range = acknowledged..=acknowledged + unknown;
        assert!(
            range.contains(count),
            "{counter} is {count}, and {acknowledged} were acknowledged, {unknown} unknown"
        );
        for line in lines.iter().filter(|line| line.is("SADD", &set)) {
            let is_there = members.contains(&line.command[2]);
            match &line.ended {
                Ended::Replied(reply) => {
                    assert_eq!(*reply, Reply::Number(Some(1)), "{line:?}");
                    assert!(is_there, "lost: {line:?}");
                }
                Ended::NotApplied => assert!(!is_there, "it was applied: {line:?}"),
                Ended::Indeterminate => {}
            }
        }
        reads_of_others += read_of_others(lines, &number);
    }
    println!("{reads_of_others} reads showed what a coordinator of another language wrote");
    assert!(reads_of_others > 100, "the languages did not meet: {reads_of_others}");
}

/// Reads that show a value which a coordinator of another language set.
fn read_of_others(lines: &[Line], key: &str) -> usize {
    let sets = lines.iter().filter(|line| line.is("SET", key));
    let who: BTreeMap<i64, &str> =
        sets.map(|line| (line.command[2].parse().expect("a number"), &line.client[..1])).collect();
    let of_another = |line: &&Line| match &line.ended {
        Ended::Replied(Reply::Number(Some(value))) => {
            who.get(value).is_some_and(|author| *author != &line.client[..1])
        }
        _ => false,
    };
    lines.iter().filter(|line| line.is("GET", key)).filter(of_another).count()
}

/// A judge that finds nothing wrong in a history with a reply from nowhere proves nothing.
fn assert_control_fails(mut history: Vec<Call<Op, Reply>>) {
    let read =
        history.iter_mut().rev().find(|call| call.op == Op::Get && matches!(call.end, End::Returned { .. }));
    let Some(Call { end: End::Returned { reply, .. }, .. }) = read else { panic!("a read") };
    *reply = Reply::Number(Some(-7));
    assert!(matches!(check(&Number(None), &history), Verdict::Violated(_)), "the judge notices nothing");
}

fn tell(lines: &[Line]) {
    let mut by_language: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for line in lines {
        let place = match line.ended {
            Ended::Replied(_) => 0,
            Ended::NotApplied => 1,
            Ended::Indeterminate => 2,
        };
        by_language.entry(&line.client[..1]).or_default()[place] += 1;
    }
    for (language, [replied, not_applied, indeterminate]) in by_language {
        let longest = lines
            .iter()
            .filter(|line| line.client.starts_with(language))
            .map(|line| line.end - line.begin)
            .max();
        let longest = std::time::Duration::from_nanos(longest.unwrap_or_default());
        println!(
            "{language}: {replied} acknowledged, {not_applied} not applied, {indeterminate} indeterminate, longest {longest:?}"
        );
    }
}
