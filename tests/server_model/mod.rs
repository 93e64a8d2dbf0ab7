//! A server with our scripts, as a value: pure, deterministic, and fast enough for thousands of histories a minute.
//!
//! ```text
//!   run(now, [EVALSHA apply ...]) ──> apply.rs, read.rs, ...  line by line what lua/apply.lua, ... say
//!                                          │ redis.call
//!   run(now, [RPUSH k v]) ──────────> commands/, store.rs     what Redis says of strings, lists, hashes, sets, zsets
//! ```
//!
//! Both keep everything in the same keys and fields, in the same bytes, as a real node does: `tests/model_is_scripts.rs`
//! holds the two against each other on every version. What a real server leaves open has one order here: members,
//! fields and keys come sorted. Streams, and so the form `dump`, do not exist.

// Each test crate compiles this module for itself and uses a part of it.
#![allow(dead_code)]

mod admit;
mod adopt;
mod apply;
mod bunch;
mod commands;
mod copy;
mod digest;
mod fragments;
mod pack;
mod purge;
mod read;
mod record;
mod remembered;
mod reply;
mod session;
mod settle;
mod snapshot;
mod stage;
mod store;
mod value;

use anarchoredis::script::{NAMES, Name, script};

use fragments::{Call, End};
pub use record::Head;
use reply::{Error, Outcome, Reply};
use session::Session;
use store::Store;

/// Fields of a record that has more keys than one call takes.
const MOST_KEYS: i64 = 5_000;
/// One key and no log have fewer.
const FEW_KEYS: i64 = 10;

/// One thing that a server does wrong, for checks that must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// The digest is made of the op ids alone.
    DigestWithoutBallot,
    /// A ballot that was promised is answered again.
    PromiseTwice,
    /// A retry of an op that the history remembers runs again.
    RetryRunsAgain,
    /// A confirmation holds at any digest.
    ConfirmAnyDigest,
    /// The base of a delta is not compared.
    DeltaFromAnyBase,
    /// A key that the record does not list counts as the register's.
    StrayIsTaken,
}

/// One server: its data, which a restart without persistence loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server {
    store: Store,
    mistake: Option<Mistake>,
    takes_few_keys: bool,
}

impl Server {
    pub fn with_mistake(mistake: Mistake) -> Server {
        Server { mistake: Some(mistake), ..Server::default() }
    }

    /// As if a call took the keys of the smallest registers only: what is larger is filled page by page, as one of thousands of keys is.
    pub fn taking_few_keys() -> Server {
        Server { takes_few_keys: true, ..Server::default() }
    }

    /// Runs one command as a server does, scripts included; `now_us` is its own clock, in µs since 1970.
    pub fn run(&mut self, now_us: u64, words: &[&[u8]]) -> redis::Value {
        let most_keys = if self.takes_few_keys { FEW_KEYS } else { MOST_KEYS };
        let mut session = Session { store: &mut self.store, now_us, mistake: self.mistake, most_keys };
        session.store.expire(session.now_ms());
        Reply::from(run(&mut session, words)).into_value()
    }

    /// Changes what a record says, if there is one, for checks that must notice.
    pub fn tamper(&mut self, record: &[u8], change: impl FnOnce(&mut Head)) {
        let mut session = Session { store: &mut self.store, now_us: 0, mistake: None, most_keys: MOST_KEYS };
        if let Ok(Some(mut head)) = session.load_head(record) {
            change(&mut head);
            session.save_head(record, &head, &[]).expect("a record");
        }
    }

    /// It comes back with nothing; the scripts are known all the same.
    pub fn restart_empty(&mut self) {
        self.store.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.store.len() == 0
    }
}

/// What a script packed, with lists in place of Lua's tables.
pub fn unpacked(bytes: &[u8]) -> Option<redis::Value> {
    pack::unpack(bytes).map(Reply::into_value)
}

fn run(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let is = |name: &str| words[0].eq_ignore_ascii_case(name.as_bytes());
    if is("EVALSHA") || is("EVALSHA_RO") {
        return evaluate(session, words);
    }
    match words {
        [_, sub, source] if is("SCRIPT") && sub.eq_ignore_ascii_case(b"LOAD") => {
            Ok(Reply::text(sha1_smol::Sha1::from(source).hexdigest()))
        }
        _ => commands::run(session, words),
    }
}

/// `EVALSHA sha numkeys KEYS... ARGV...`
fn evaluate(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let [_, sha, numkeys, rest @ ..] = words else {
        return Err(Error::new("ERR wrong number of arguments for 'evalsha' command"));
    };
    let numkeys = usize::try_from(commands::number(numkeys)?).unwrap_or(usize::MAX);
    let Some((keys, args)) = rest.split_at_checked(numkeys) else {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    };
    let known = |name: &Name| sha.eq_ignore_ascii_case(script(*name).sha.as_bytes());
    let Some(name) = NAMES.into_iter().find(known) else {
        return Err(Error::new("NOSCRIPT No matching script. Please use EVAL."));
    };
    let body = match name {
        Name::Apply => apply::run,
        Name::Read => read::run,
        Name::Settle => settle::run,
        Name::Snapshot => snapshot::run,
        Name::Stage => stage::run,
        Name::Digest => digest::run,
        Name::Admit => admit::run,
        Name::Purge => purge::run,
        Name::Copy => copy::run,
        Name::Adopt => adopt::run,
        Name::Bunch => bunch::run,
    };
    match body(Call { session, keys, args }) {
        Ok(reply) | Err(End::Answer(reply)) => Ok(reply),
        Err(End::Raised(error)) => Err(Error::new(format!("{} script: {}", error.0, script(name).sha))),
    }
}
