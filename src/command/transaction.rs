//! Commands that run as one: what stands between MULTI and EXEC.
//!
//! They are one op on one register, so all of them take effect at one moment, or none does. As in Redis, a command that cannot be
//! queued discards the whole; one that fails when it runs answers with its error, and the others go on.

use super::call::{Access, Call, Plan, Shape, lowest_expiry};
use super::chunk::MAX_GIVEN;
use super::fold::Fold;
use super::key::{Register, is_reserved, shown};
use super::publish::Publish;
use super::refusal::Refusal;
use super::table::Table;
use redis::Value;
use std::collections::HashSet;

const CENSUS: &str = "it asks nodes one by one: run it outside of the transaction";
const FLUSH: &str = "it ends the life of all registers, not of one: run it outside of the transaction";
const ASK: &str = "it tells of a server, not of the data: run it outside of the transaction";
const WALK: &str = "its cursor is one node's own: run it outside of the transaction";

/// Commands of one register that are to run as one op.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    call: Option<Call>,
    access: Access,
    steps: Vec<Step>,
}

/// One command of it, as far as its reply goes.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Answered without any node.
    Ready(Value),
    /// Sent once the op is committed.
    Publish(Publish),
    /// The replies of so many of the op's commands.
    Replies(usize, Shape),
}

impl Table {
    /// Plans commands to run as one; the first that cannot be queued is the reason for which all are refused. `now_ms` as for
    /// [`Table::plan`].
    pub fn transaction(&self, commands: &[Vec<&[u8]>], now_ms: u64) -> Result<Transaction, Refusal> {
        let mut transaction = Transaction { call: None, access: Access::Read, steps: Vec::new() };
        let mut keys = HashSet::new();
        for args in commands {
            let step = match self.plan_queued(args, now_ms)? {
                Plan::Local(value) => Step::Ready(value),
                Plan::Read(call) => transaction.take(self, call, &mut keys)?,
                Plan::Write(call) => {
                    transaction.access = Access::Write;
                    transaction.take(self, call, &mut keys)?
                }
                Plan::Pick(pick) => {
                    transaction.access = Access::Write;
                    transaction.take(self, pick.on_each_node(args), &mut keys)?
                }
                // As in Redis: what is not there is not waited for.
                Plan::Block(block) => {
                    transaction.access = Access::Write;
                    transaction.take(self, block.at_once()?, &mut keys)?
                }
                Plan::Publish(publish) => Step::Publish(publish),
                Plan::Census(_) => return Err(Refusal::unsupported(name(args), CENSUS)),
                Plan::Walk(_) => return Err(Refusal::unsupported(name(args), WALK)),
                Plan::Ask(_) => return Err(Refusal::unsupported(name(args), ASK)),
                Plan::Flush => return Err(Refusal::unsupported(name(args), FLUSH)),
                Plan::Split(parts, _) => {
                    let mut calls = parts.iter().map(|part| &part.call);
                    return Err(apart(self, &name(args), calls.next(), calls.next()));
                }
            };
            transaction.steps.push(step);
        }
        let arguments = transaction.call.iter().flat_map(|call| &call.commands).map(Vec::len).sum();
        if arguments > MAX_GIVEN {
            return Err(Refusal::TooManyArguments {
                name: "exec".into(),
                count: arguments,
                limit: MAX_GIVEN,
            });
        }
        Ok(transaction)
    }
}

impl Table {
    fn plan_queued(&self, args: &[&[u8]], now_ms: u64) -> Result<Plan, Refusal> {
        self.check(args)?;
        match self.plan(args, now_ms) {
            // What a server says only when it runs the command: the others go on.
            Err(refusal @ (Refusal::Invalid(_) | Refusal::Arity { .. } | Refusal::NoScript)) => {
                Ok(Plan::Local(refusal.into_reply()))
            }
            // It comes too late between MULTI and EXEC, and is answered all the same.
            Err(_) if args[0].eq_ignore_ascii_case(b"unwatch") => Ok(Plan::Local(Value::Okay)),
            plan => plan,
        }
    }
}

impl Transaction {
    /// What is to run, and whether it may change anything; `None` where no command concerns a register.
    pub fn call(&self) -> Option<(Access, &Call)> {
        self.call.as_ref().map(|call| (self.access, call))
    }

    /// The messages among its commands, which nobody may hear before it is committed.
    pub fn messages(&self) -> impl Iterator<Item = &Publish> {
        self.steps.iter().filter_map(|step| match step {
            Step::Publish(publish) => Some(publish),
            _ => None,
        })
    }

    /// EXEC's reply, from the replies of the call's commands, and to the messages.
    pub fn reply(self, replies: Vec<Value>, published: Vec<Value>) -> Value {
        let (mut replies, mut published) = (replies.into_iter(), published.into_iter());
        let answer = |step| match step {
            Step::Ready(value) => value,
            Step::Publish(_) => published.next().unwrap_or(Value::Int(0)),
            Step::Replies(count, shape) => {
                shape.reply(replies.by_ref().take(count).collect()).unwrap_or_else(Value::ServerError)
            }
        };
        Value::Array(self.steps.into_iter().map(answer).collect())
    }

    /// Puts a call's commands behind those that are there.
    fn take(&mut self, table: &Table, call: Call, keys: &mut HashSet<Vec<u8>>) -> Result<Step, Refusal> {
        let step = Step::Replies(call.commands.len(), call.shape());
        let Some(whole) = &mut self.call else {
            keys.extend(call.keys.iter().cloned());
            self.call = Some(Call { fold: Fold::First, integer_reply: false, ..call });
            return Ok(step);
        };
        if whole.keys.is_empty() {
            // A script without keys goes where the others go.
            whole.register = call.register.clone();
        } else if whole.register != call.register && !call.keys.is_empty() {
            return Err(apart(table, "exec", Some(&*whole), Some(&call)));
        }
        whole.keys.extend(call.keys.into_iter().filter(|key| keys.insert(key.clone())));
        whole.commands.extend(call.commands);
        whole.hash_replies |= call.hash_replies;
        whole.unordered |= call.unordered;
        whole.timed |= call.timed;
        whole.wakes |= call.wakes;
        whole.lowest_expiry_ms = lowest_expiry(whole.lowest_expiry_ms, call.lowest_expiry_ms);
        Ok(step)
    }
}

fn name(args: &[&[u8]]) -> String {
    String::from_utf8_lossy(args.first().copied().unwrap_or_default()).to_ascii_lowercase()
}

/// Two calls that cannot be one.
fn apart(table: &Table, name: &str, one: Option<&Call>, other: Option<&Call>) -> Refusal {
    let key = |call: Option<&Call>| call.and_then(|call| call.keys.first()).cloned().unwrap_or_default();
    table.cross_register(name, &key(one), &key(other))
}

impl Table {
    /// The keys that WATCH names: their register, whose history must stay as it is until EXEC.
    pub fn watched(&self, keys: &[&[u8]]) -> Result<Register, Refusal> {
        if let Some(key) = keys.iter().find(|key| is_reserved(key)) {
            return Err(Refusal::ReservedKey { key: shown(key) });
        }
        let first = keys.first().copied().unwrap_or_default();
        match keys.iter().find(|key| !self.scopes().share(key, first)) {
            Some(second) => Err(self.cross_register("watch", first, second)),
            None => Ok(self.scopes().register_of(first)),
        }
    }

    /// Why a command, a transaction or a watch cannot have both keys.
    pub(crate) fn cross_register(&self, name: &str, first: &[u8], second: &[u8]) -> Refusal {
        Refusal::cross_register(self.scopes(), name, first, second)
    }
}
