//! Commands that wait until there is something to take: how often they are tried is the client's affair, what a try is stands here.
//!
//! A try is one op on the keys of one register. It takes from the first key that has something, in the order of the request, and
//! where none has it leaves no version behind: nothing is written, so that waiting costs the others nothing. Nodes know such tries as the
//! commands TAKE and TAKEMOVE (`lua/lib/take.lua`).

use super::call::Call;
use super::key::Register;
use super::plan::unique;
use super::refusal::Refusal;
use super::scopes::Scopes;
use redis::{ServerError, Value};
use std::time::Duration;

/// A command that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// How long at most; none for ever.
    pub timeout: Option<Duration>,
    keys: Vec<Vec<u8>>,
    what: What,
    scopes: Scopes,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// The first key of a kind, counted and taken from by these commands.
    Take {
        count_by: &'static str,
        take_by: &'static str,
        at_most: Vec<u8>,
    },
    Move {
        to: Vec<u8>,
        command: Vec<Vec<u8>>,
    },
    /// The words up to STREAMS, an id for each key, and the group of XREADGROUP.
    Read {
        head: Vec<Vec<u8>>,
        ids: Vec<Vec<u8>>,
        group: Option<Vec<u8>>,
    },
}

/// What a try took.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The reply to the caller.
    pub reply: Value,
    /// From which key, where only one was taken from and it has nothing left.
    pub emptied: Option<usize>,
}

impl Block {
    pub(super) fn take(
        timeout: Option<Duration>,
        keys: Vec<Vec<u8>>,
        (count_by, take_by): (&'static str, &'static str),
        at_most: Vec<u8>,
    ) -> Block {
        Block { timeout, keys, what: What::Take { count_by, take_by, at_most }, scopes: Scopes::default() }
    }

    pub(super) fn relocate(
        timeout: Option<Duration>,
        from: &[u8],
        to: &[u8],
        command: Vec<Vec<u8>>,
    ) -> Block {
        let what = What::Move { to: to.to_vec(), command };
        Block { timeout, keys: vec![from.to_vec()], what, scopes: Scopes::default() }
    }

    pub(super) fn read(
        timeout: Option<Duration>,
        keys: Vec<Vec<u8>>,
        head: Vec<Vec<u8>>,
        ids: Vec<Vec<u8>>,
        group: Option<Vec<u8>>,
    ) -> Block {
        Block { timeout, keys, what: What::Read { head, ids, group }, scopes: Scopes::default() }
    }

    /// Where these scopes say which keys are one register.
    pub(super) fn within(self, scopes: &Scopes) -> Block {
        Block { scopes: scopes.clone(), ..self }
    }

    /// The keys that it waits for, in the order of the request; a place is an index of this list.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// The registers that it waits for, in the order of their first mention, with the places of their keys.
    pub fn registers(&self) -> Vec<(Register, Vec<usize>)> {
        let mut all: Vec<(Register, Vec<usize>)> = Vec::new();
        for (place, key) in self.keys.iter().enumerate() {
            let register = self.scopes.register_of(key);
            match all.iter_mut().find(|(known, _)| *known == register) {
                Some((_, places)) => places.push(place),
                None => all.push((register, vec![place])),
            }
        }
        all
    }

    /// Where it stands in line for a key: all that take the same things stand in the same. None where nothing is taken.
    pub fn line(&self, place: usize) -> Option<Vec<u8>> {
        let key = self.keys.get(place)?;
        match &self.what {
            What::Take { count_by, .. } => Some([count_by.as_bytes(), key].concat()),
            What::Move { .. } => Some([b"LLEN", key.as_slice()].concat()),
            What::Read { group: Some(group), .. } => {
                Some([&group.len().to_be_bytes()[..], group, key].concat())
            }
            What::Read { group: None, .. } => None,
        }
    }

    /// A try on these places, all of one register. In a `later` one a key of another type only has nothing yet, as for a client that
    /// Redis has put to sleep.
    pub fn call(&self, places: &[usize], later: bool) -> Call {
        self.try_on(places, later, true)
    }

    /// The one try that there is inside of a transaction.
    pub(super) fn at_once(&self) -> Result<Call, Refusal> {
        if let [(_, first), (_, second), ..] = self.registers().as_slice() {
            let key = |places: &[usize]| places.first().and_then(|place| self.keys.get(*place)).cloned();
            let (first, second) = (key(first).unwrap_or_default(), key(second).unwrap_or_default());
            return Err(Refusal::cross_register(&self.scopes, "exec", &first, &second));
        }
        Ok(self.try_on(&(0..self.keys.len()).collect::<Vec<_>>(), false, false))
    }

    fn try_on(&self, places: &[usize], later: bool, tells: bool) -> Call {
        let chosen: Vec<&[u8]> =
            places.iter().filter_map(|place| self.keys.get(*place)).map(Vec::as_slice).collect();
        let flag = |set: bool| if set { b"1".to_vec() } else { Vec::new() };
        let (mut keys, mut unordered, mut timed, mut wakes) =
            (unique(chosen.iter().copied()), false, false, false);
        let command = match &self.what {
            What::Take { count_by, take_by, at_most } => {
                unordered = *count_by == "ZCARD";
                let how = [b"TAKE", count_by.as_bytes(), take_by.as_bytes(), at_most];
                let how = how.into_iter().map(<[u8]>::to_vec).chain([flag(later), flag(tells)]);
                how.chain(keys.iter().cloned()).collect()
            }
            What::Move { to, command } => {
                wakes = true;
                let both = [keys.clone(), vec![to.clone()]].concat();
                keys = unique(both.iter().map(Vec::as_slice));
                let (name, ends) = command.split_at(1);
                let how = [b"TAKEMOVE".to_vec(), flag(later), flag(tells)];
                how.into_iter().chain([name, &both, ends].concat()).collect()
            }
            What::Read { head, ids, .. } => {
                timed = true;
                unordered = ids.iter().any(|id| id == b"+");
                let ids = places.iter().filter_map(|place| ids.get(*place)).cloned();
                head.iter().cloned().chain(chosen.iter().map(|key| key.to_vec())).chain(ids).collect()
            }
        };
        Call { unordered, timed, wakes, ..Call::plain(&self.scopes, keys, vec![command]) }
    }

    /// What a try's reply says; none if there was nothing.
    pub fn taken(&self, reply: Value) -> Option<Taken> {
        let (reply, left) = match (reply, &self.what) {
            (Value::Nil, _) => return None,
            (reply, What::Read { .. }) => return Some(Taken { reply, emptied: None }),
            (Value::Array(fields), _) => {
                let mut fields = fields.into_iter();
                (fields.next().unwrap_or(Value::Nil), fields.next())
            }
            (reply, _) => (reply, None),
        };
        let emptied = match (&reply, &self.what) {
            _ if left != Some(Value::Int(0)) => None,
            (Value::Array(fields), What::Take { .. }) => match fields.first() {
                Some(Value::BulkString(key)) => self.keys.iter().position(|known| known == key),
                _ => None,
            },
            _ => Some(0),
        };
        Some(Taken { reply, emptied })
    }

    /// Whether an error of a later try ends the waiting; Redis lets a reader sleep on while its key is of another type.
    pub fn is_ended_by(&self, error: &ServerError) -> bool {
        let sleeps_on = matches!(self.what, What::Read { group: None, .. }) && error.code() == "WRONGTYPE";
        !sleeps_on
    }

    /// The places whose id is `$`, what came before the call: it must be known before the first try.
    pub fn unresolved(&self) -> Vec<usize> {
        match &self.what {
            What::Read { ids, group: None, .. } => {
                (0..ids.len()).filter(|place| ids[*place] == b"$").collect()
            }
            _ => Vec::new(),
        }
    }

    /// The command that tells what `$` stands for.
    pub fn last_id(&self, place: usize) -> Vec<Vec<u8>> {
        let key = self.keys.get(place).cloned().unwrap_or_default();
        vec![b"XINFO".to_vec(), b"STREAM".to_vec(), key]
    }

    /// Takes its reply.
    pub fn resolve(&mut self, place: usize, told: Value) -> Result<(), ServerError> {
        let id = match told {
            Value::ServerError(error) if error.details().is_some_and(|text| text.contains("no such key")) => {
                b"0-0".to_vec()
            }
            Value::ServerError(error) => return Err(error),
            Value::Array(fields) => generated(fields).unwrap_or_else(|| b"0-0".to_vec()),
            _ => b"0-0".to_vec(),
        };
        if let What::Read { ids, .. } = &mut self.what
            && let Some(slot) = ids.get_mut(place)
        {
            *slot = id;
        }
        Ok(())
    }
}

fn generated(fields: Vec<Value>) -> Option<Vec<u8>> {
    let mut fields = fields.into_iter();
    fields.find(|field| *field == Value::BulkString(b"last-generated-id".to_vec()))?;
    match fields.next()? {
        Value::BulkString(id) => Some(id),
        _ => None,
    }
}
