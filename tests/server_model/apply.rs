//! lua/apply.lua

use super::Mistake;
use super::fragments::{
    Call, Elements, End, Ended, Field, as_text, entry_field, error_of, give_up, is_refusal, log_field,
    number, register_of,
};
use super::pack::{pack, unpack};
use super::read::commands;
use super::record::Head;
use super::remembered::{Remembered, coordinator_of, ms_of};
use super::reply::{Reply, words};

/// The script's local variables.
struct Apply<'c, 's> {
    call: Call<'c, 's>,
    record: &'c [u8],
    ballot: &'c [u8],
    op: &'c [u8],
    op_ms: i64,
    keep: bool,
    read_only: bool,
    hash: bool,
    exists: bool,
    head: Head,
    filling: bool,
    entries: Vec<Field>,
}

/// Whether a command leaves its key there where it succeeds, and touches no expiry: the table `lasting`.
fn lasts(words: &[&[u8]]) -> bool {
    let count = words.len();
    match words[0] {
        b"SET" => count == 3,
        b"ZADD" => count == 4,
        b"INCR" | b"DECR" => count >= 2,
        b"INCRBY" | b"DECRBY" | b"LPUSH" | b"RPUSH" | b"SADD" | b"APPEND" => count >= 3,
        b"HSET" | b"HINCRBY" => count >= 4,
        _ => false,
    }
}

type Command<'c> = &'c [&'c [u8]];

/// Fields of the record, with what they become.
type Entries = Vec<(Vec<u8>, String)>;

/// The digest that the op holds at, and from when on it holds no more.
fn expectation(text: &[u8]) -> Ended<(&[u8], Option<i64>)> {
    match text.iter().position(|byte| *byte == b'<') {
        Some(at) => Ok((&text[..at], Some(number(&text[at + 1..])?))),
        None => Ok((text, None)),
    }
}

/// What the commands did.
struct Ran {
    replies: Vec<Reply>,
    succeeded: bool,
    refusals_here: String,
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    if call.arg(3)?.len() != 33 || call.arg(4)?.len() != 33 {
        return give_up(words!["REFUSED", "ERR no ballot or op id"]);
    }
    let mut apply = Apply::load(call)?;
    apply.check_ballot()?;
    if apply.filling {
        apply.promise()?;
        return apply.only_promised();
    }
    let mut remembered = apply.recall()?;
    let (commands, due) = apply.decide()?;
    for key in due {
        apply.call.session.call(&[b"DEL", key])?;
    }
    let ran = apply.execute(&commands)?;
    if apply.read_only || !ran.succeeded {
        return apply.promise_only(ran.replies);
    }
    let (fields, lost, alive) = apply.changed_entries(&commands, &ran)?;
    if !apply.exists && !alive && !apply.keep {
        return Ok(words!["ABSENT", ran.replies]);
    }
    let base = apply.extend(&ran, &mut remembered)?;
    apply.write(&fields, &lost, &remembered)?;
    apply.ack(apply.ballot, &base, ran.replies.into())
}

impl<'c, 's> Apply<'c, 's> {
    fn load(mut call: Call<'c, 's>) -> Ended<Apply<'c, 's>> {
        let (ballot, op, flags) = (call.arg(3)?, call.arg(4)?, call.arg(5)?);
        let (head, entries) = call.load_record()?;
        let filling = call.is_filling()?;
        Ok(Apply {
            record: call.key(1)?,
            ballot,
            op,
            op_ms: ms_of(ballot)?,
            keep: flags.contains(&b'k'),
            read_only: flags.contains(&b'r'),
            hash: flags.contains(&b'h'),
            exists: head.is_some(),
            head: head.unwrap_or_default(),
            filling,
            entries,
            call,
        })
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.call.session.mistake == Some(mistake)
    }

    fn check_ballot(&mut self) -> Ended<()> {
        let is_again = self.ballot == self.head.promised && self.has(Mistake::PromiseTwice);
        if self.ballot <= self.head.promised.as_slice() && !is_again {
            return give_up(words!["NACK", self.head.promised.clone()]); // I1
        }
        let now_ms = self.call.session.now_ms();
        if self.op_ms > now_ms + self.call.number(10)? {
            return give_up(words!["AHEAD", as_text(now_ms)]);
        }
        if !self.exists {
            self.call.refuse_old(self.ballot)?;
        }
        Ok(())
    }

    fn states(&mut self) -> Ended<Vec<Reply>> {
        let limit = self.call.number(7)?;
        let (mut all, mut total) = (Vec::new(), 0);
        if limit == 0 {
            return Ok(all);
        }
        for key in self.call.user_keys() {
            let session = &mut *self.call.session;
            let form = session.form_of(key);
            let (elements, size) = session.elements_within(key, form, limit - total, limit)?;
            let Some(elements) = elements.filter(|_| total + size <= limit) else { return Ok(Vec::new()) };
            total += size;
            let expiry = as_text(session.expiry_of(key)?.max(0));
            all.push(words![*key, form, expiry, Reply::strings(elements)]);
        }
        Ok(all)
    }

    fn ack(&mut self, ran: &[u8], base: &[u8], replies: Reply) -> Ended<Reply> {
        let states = self.states()?;
        let (accepted, settled) = (self.head.accepted.clone(), self.head.settled.clone());
        let (version, digest) = (self.head.version.clone(), self.head.digest.clone());
        Ok(words!["ACK", accepted, settled, version, digest, ran, base, replies, states])
    }

    /// Of a register that is being filled: it has no history here.
    fn only_promised(&self) -> Ended<Reply> {
        let (accepted, settled) = (self.head.accepted.clone(), self.head.settled.clone());
        let (version, digest) = (self.head.version.clone(), self.head.digest.clone());
        let none = Reply::Array(Vec::new());
        Ok(words!["ACK", accepted, settled, version, digest.clone(), "", digest, "MISMATCH", none])
    }

    fn promise(&mut self) -> Ended<()> {
        self.head.promise(self.ballot)?;
        self.call.session.save_head(self.record, &self.head, &[])
    }

    /// The other coordinators' ops; ends with a retry or an older op of this one. (I5)
    fn recall(&mut self) -> Ended<Vec<Remembered>> {
        if self.read_only {
            return Ok(Vec::new());
        }
        let coordinator = &self.op[..self.op.len().min(16)];
        let sequence = coordinator_of(self.op);
        let oldest_ms = self.op_ms - self.call.number(9)?;
        let mut remembered = Vec::new();
        for entry in self.head.remembered()? {
            if coordinator_of(&entry.ballot) != coordinator {
                if ms_of(&entry.ballot)? >= oldest_ms {
                    remembered.push(entry);
                }
            } else if entry.sequence == sequence && !self.has(Mistake::RetryRunsAgain) {
                self.promise()?;
                let replies = entry.replies.and_then(|packed| unpack(&packed)).unwrap_or(Reply::Nil);
                return give_up(self.ack(&entry.ballot, b"", replies)?);
            } else if sequence < entry.sequence.as_slice() {
                return give_up(words!["NACK", self.head.promised.clone()]);
            }
        }
        Ok(remembered)
    }

    /// All checks stand above the first write: the commands, and the keys that are due.
    fn decide(&mut self) -> Ended<(Vec<Command<'c>>, Vec<&'c [u8]>)> {
        let commands = commands(&self.call, 12)?;
        if let Some(long) = commands.iter().find(|command| command.len() > 7900) {
            let text = format!("ERR a command of {} arguments: a script takes 7900, split it", long.len());
            return give_up(words!["REFUSED", text]);
        }
        let mut due = Vec::new();
        for (key, entry) in self.call.user_keys().iter().zip(&self.entries) {
            if entry.is_none() && self.has(Mistake::StrayIsTaken) {
                continue;
            }
            if self.call.is_due(entry.as_deref(), key, self.op_ms)? {
                due.push(*key);
            }
        }
        let lowest_expiry_ms = self.call.number(11)?;
        if lowest_expiry_ms > self.op_ms && lowest_expiry_ms <= self.call.session.now_ms() + 5 {
            return give_up(words!["EXPIRING", self.call.arg(11)?]);
        }
        let (expected, until_ms) = expectation(self.call.arg(6)?)?;
        if (expected != b"*" && expected != self.head.digest) || until_ms.is_some_and(|ms| self.op_ms >= ms) {
            return Err(End::Answer(self.promise_only("MISMATCH")?));
        }
        Ok((commands, due))
    }

    /// Nothing enters the history; an absent register stays absent.
    fn promise_only(&mut self, replies: impl Into<Reply>) -> Ended<Reply> {
        let replies = replies.into();
        if !self.exists && !self.keep {
            return Ok(words!["ABSENT", replies]);
        }
        self.promise()?;
        let digest = self.head.digest.clone();
        self.ack(b"", &digest, replies)
    }

    fn execute(&mut self, commands: &[&[&[u8]]]) -> Ended<Ran> {
        let mut ran = Ran { replies: Vec::new(), succeeded: false, refusals_here: String::new() };
        let lowest_ms = self.call.number(11)?;
        let near = lowest_ms > 0 && lowest_ms <= self.call.session.now_ms() + 5 && commands.len() > 1;
        let passed = lowest_ms > 0 && lowest_ms <= self.op_ms && commands.len() > 1;
        for (at, command) in commands.iter().enumerate() {
            let mut reply = self.call.session.pcall(command);
            match error_of(&reply) {
                None => {
                    ran.succeeded = true;
                    reply = self.exact(reply, command)?;
                }
                Some(failure) if !ran.succeeded && is_refusal(failure) => {
                    return give_up(words!["REFUSED", failure]);
                }
                Some(failure) if is_refusal(failure) => {
                    ran.refusals_here.push_str(&format!("{}{failure}", at + 1));
                }
                Some(_) => {}
            }
            for key in self.call.user_keys().iter().filter(|_| passed) {
                let expiry = self.call.session.expiry_of(key)?;
                if expiry >= 0 && expiry <= self.op_ms {
                    self.call.session.call(&[b"DEL", key])?;
                }
            }
            for key in self.call.user_keys().iter().filter(|_| near) {
                let exists = self.call.session.call(&[b"EXISTS", key])?;
                ran.refusals_here.push_str(if exists == Reply::Int(1) { "1" } else { "0" });
            }
            ran.replies.push(reply);
        }
        Ok(ran)
    }

    /// Integers are exact to 2^53; beyond it the value itself is read back as text.
    fn exact(&mut self, reply: Reply, command: &[&[u8]]) -> Ended<Reply> {
        let Reply::Int(number) = reply else { return Ok(reply) };
        let double = number as f64;
        if double.abs() < 9_007_199_254_740_992.0 {
            return Ok(reply);
        }
        let name = command[0].to_ascii_uppercase();
        if name == b"HINCRBY" {
            return Ok(self.call.session.call(&[b"HGET", command[1], command[2]])?);
        }
        if name.starts_with(b"INCR") || name.starts_with(b"DECR") {
            return Ok(self.call.session.call(&[b"GET", command[1]])?);
        }
        Ok(format!("{double:.0}").into())
    }

    /// The record's entries that change, those that go, and whether a key is alive.
    fn changed_entries(&mut self, commands: &[Command<'c>], ran: &Ran) -> Ended<(Entries, Elements, bool)> {
        let (mut fields, mut lost, mut alive) = (Vec::new(), Vec::new(), false);
        let succeeded = !ran.replies.iter().any(|reply| error_of(reply).is_some());
        let lasts =
            self.call.user_keys().len() == 1 && succeeded && commands.iter().all(|words| lasts(words));
        let clears = commands.iter().any(|words| words[0] == b"SET");
        for (at, key) in self.call.user_keys().iter().enumerate() {
            let is_known = clears || self.entries[at].as_deref().is_none_or(|entry| entry == b"0");
            let mut expiry = if lasts && is_known { -1 } else { self.call.session.expiry_of(key)? };
            if expiry >= 0 && expiry <= self.op_ms {
                self.call.session.call(&[b"DEL", key])?;
                expiry = -2;
            }
            let entry = if expiry == -1 { "0".to_owned() } else { as_text(expiry) };
            if expiry != -2 {
                alive = true;
                if self.entries[at].as_deref() != Some(entry.as_bytes()) {
                    fields.push((entry_field(key), entry));
                }
            } else if self.entries[at].is_some() {
                lost.push(entry_field(key));
            }
        }
        Ok((fields, lost, alive))
    }

    /// The next version; answers the digest before. (I2)
    fn extend(&mut self, ran: &Ran, remembered: &mut Vec<Remembered>) -> Ended<Vec<u8>> {
        let packed = pack(&Reply::Array(ran.replies.clone()));
        let hashed: &[u8] = if self.hash { &packed } else { b"" };
        let ballot: &[u8] = if self.has(Mistake::DigestWithoutBallot) { b"" } else { self.ballot };
        let over = [&self.head.digest, self.op, ballot, hashed, ran.refusals_here.as_bytes()].concat();
        let digest = sha1_smol::Sha1::from(over).hexdigest().into_bytes()[..32].to_vec();
        let base = std::mem::replace(&mut self.head.digest, digest);
        self.head.version = as_text(number(&self.head.version)? + 1).into_bytes();
        let is_short = packed.len() as i64 <= self.call.number(8)?;
        let (sequence, ballot) = (coordinator_of(self.op).to_vec(), self.ballot.to_vec());
        remembered.push(Remembered { sequence, ballot, replies: is_short.then_some(packed) });
        Ok(base)
    }

    fn write(&mut self, fields: &[(Vec<u8>, String)], lost: &[Vec<u8>], ops: &[Remembered]) -> Ended<()> {
        let user_keys = self.call.user_keys();
        let id = register_of(self.record);
        let many = self.head.is_many() || user_keys.iter().any(|key| *key != id);
        self.head.promised = self.ballot.to_vec();
        self.head.remember(ops);
        if many {
            self.head.list_many();
        } else if let Some((_, entry)) = fields.first() {
            self.head.entry = entry.clone().into_bytes();
        } else if !lost.is_empty() || (!user_keys.is_empty() && self.entries[0].is_none()) {
            self.head.entry = Vec::new();
        }
        let (session, record) = (&mut *self.call.session, self.record);
        session.save_head(record, &self.head, &[])?;
        if many {
            let (version, digest) = (self.head.version.clone(), self.head.digest.clone());
            let entry = words![version, digest, Reply::strings(user_keys)];
            let length = session.log_length(record)?;
            session.set_field(record, &log_field(number(&self.head.version)?, length), &pack(&entry))?;
            for (field, entry) in fields {
                session.set_field(record, field, entry.as_bytes())?;
            }
            for field in lost {
                session.call(&[b"HDEL", record, field])?;
            }
        }
        Ok(())
    }
}
