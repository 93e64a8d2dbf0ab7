//! lua/lib/record.lua

use super::fragments::{Ended, Field, entry_field, error_of, give_up, register_of};
use super::remembered::{Remembered, pack_ops, unpack_ops};
use super::reply::{Reply, words};
use super::session::Session;

/// What a register's record says, whatever bytes hold it.
#[derive(Clone)]
pub struct Head {
    pub promised: Vec<u8>,
    pub version: Vec<u8>,
    /// Of the key that is the register's id: its expiry, `0`, nothing where it is not there; or `m`: many.
    pub entry: Vec<u8>,
    pub digest: Vec<u8>,
    ops: Vec<u8>,
    /// What the field `o` holds, where `ops` is `*`.
    list: Vec<u8>,
    had_list: bool,
    pub accepted: Vec<u8>,
    pub settled: Vec<u8>,
    moved: Vec<u8>,
}

impl Default for Head {
    /// What a register is before its first op.
    fn default() -> Head {
        let [version, settled] = [b"0".to_vec(), b"0".to_vec()];
        let none = Vec::new;
        let [promised, entry, digest, ops, list, accepted, moved] =
            [none(), none(), none(), none(), none(), none(), none()];
        let had_list = false;
        Head { promised, version, entry, digest, ops, list, had_list, accepted, settled, moved }
    }
}

impl Head {
    pub fn parse([h, d, a, o]: [&Field; 4]) -> Option<Head> {
        let (promised, rest) = h.as_ref()?.split_at_checked(33)?;
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let (version, entry) = (rest[..space].to_vec(), rest[space + 1..].to_vec());
        let mut head = Head { promised: promised.to_vec(), version, entry, ..Head::default() };
        if let Some((digest, ops)) = d.as_ref().and_then(|field| field.split_at_checked(32)) {
            (head.digest, head.ops) = (digest.to_vec(), ops.to_vec());
            head.list = o.clone().unwrap_or_default();
            head.had_list = head.ops == b"*";
        }
        if let Some((accepted, settled)) = a.as_ref().and_then(|field| field.split_at_checked(33)) {
            (head.accepted, head.settled) = (accepted.to_vec(), settled.to_vec());
        }
        Some(head)
    }

    pub fn is_many(&self) -> bool {
        self.entry == b"m"
    }

    pub fn remembered(&self) -> Ended<Vec<Remembered>> {
        match self.ops.as_slice() {
            [] => Ok(Vec::new()),
            b"*" => unpack_ops(&self.list),
            ops => {
                let (sequence, packed) = ops.split_at(16);
                let replies = (packed != b"-").then(|| packed.to_vec());
                Ok(vec![Remembered { sequence: sequence.to_vec(), ballot: self.promised.clone(), replies }])
            }
        }
    }

    pub fn remember(&mut self, ops: &[Remembered]) {
        self.ops = match ops {
            [] => Vec::new(),
            [op] if op.ballot == self.promised
                && op.replies.as_ref().is_none_or(|reply| reply.len() <= 16) =>
            {
                [&op.sequence, op.replies.as_deref().unwrap_or(b"-")].concat()
            }
            ops => {
                self.list = pack_ops(ops);
                b"*".to_vec()
            }
        };
    }

    pub fn promise(&mut self, ballot: &[u8]) -> Ended<()> {
        if ballot != self.promised {
            let ops = self.remembered()?;
            self.promised = ballot.to_vec();
            self.remember(&ops);
        }
        Ok(())
    }

    /// From here on each key has a field of its own.
    pub fn list_many(&mut self) {
        if !self.is_many() {
            self.moved = std::mem::replace(&mut self.entry, b"m".to_vec());
        }
    }
}

impl Session<'_> {
    pub fn load_head(&mut self, record: &[u8]) -> Ended<Option<Head>> {
        let found = self.call_strings(&[b"HMGET", record, b"h", b"d", b"a", b"o"])?;
        Ok(Head::parse([&found[0], &found[1], &found[2], &found[3]]))
    }

    /// Gives up where the node would not write it; `more` are other fields.
    pub fn save_head(&mut self, record: &[u8], head: &Head, more: &[&[u8]]) -> Ended<()> {
        let h = [&head.promised[..], &head.version, b" ", &head.entry].concat();
        let d = [&head.digest[..], &head.ops].concat();
        let a = [&head.accepted[..], &head.settled].concat();
        let own = entry_field(register_of(record));
        let mut words: Vec<&[u8]> = vec![b"HSET", record, b"h", &h];
        words.extend(more);
        let mut add = |is_there: bool, field: &'static [u8], value| {
            if is_there {
                words.extend([field, value]);
            }
        };
        add(!head.digest.is_empty(), b"d", &d);
        add(!head.accepted.is_empty(), b"a", &a);
        let has_list = !head.digest.is_empty() && head.ops == b"*";
        add(has_list, b"o", &head.list);
        if !head.moved.is_empty() {
            words.extend([&own[..], &head.moved]);
        }
        match error_of(&self.pcall(&words)) {
            Some(refused) => give_up(words!["REFUSED", refused]),
            None if head.had_list && head.ops != b"*" => {
                self.call(&[b"HDEL", record, b"o"])?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What the record says of a key.
    pub fn entry_of(&mut self, record: &[u8], head: Option<&Head>, key: &[u8]) -> Ended<Field> {
        let Some(head) = head else { return Ok(None) };
        if head.is_many() {
            return Ok(self.call_string(&[b"HGET", record, &entry_field(key)])?);
        }
        let is_there = !head.entry.is_empty() && key == register_of(record);
        Ok(is_there.then(|| head.entry.clone()))
    }

    pub fn keys_of(&mut self, record: &[u8], head: Option<&Head>) -> Ended<Vec<Vec<u8>>> {
        let Some(head) = head else { return Ok(Vec::new()) };
        if head.is_many() {
            let fields = self.fields(record)?;
            return Ok(fields
                .iter()
                .filter_map(|field| field.strip_prefix(b"k"))
                .map(<[u8]>::to_vec)
                .collect());
        }
        let own = (!head.entry.is_empty()).then(|| register_of(record).to_vec());
        Ok(own.into_iter().collect())
    }
}
