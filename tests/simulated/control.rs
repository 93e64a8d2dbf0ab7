//! What a run does wrong on purpose: each of these must be seen by the same judge that finds nothing wrong with the real thing.

use anarchoredis::script::{Name, script};
use redis::Value;

use super::host::Host;
use super::weather::Weather;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing.
    Sound,
    /// The network delivers any call twice, an apply in its first round too.
    FirstApplyTwice,
    /// Nodes do not remember which ops they ran.
    OpsForgotten,
    /// Nodes do not remember when keys are due.
    ExpiriesForgotten,
    /// Nodes do not keep what they promised.
    PromisesForgotten,
    /// A server that comes back with older data says that it fsyncs every write, so it votes.
    OlderDataVotes,
    /// A majority comes back empty, one after the other, before anything is healed.
    MajorityForgets,
}

impl Control {
    /// The weather in which the control shows.
    pub fn weather(self, drawn: Weather) -> Weather {
        match self {
            Control::Sound => drawn,
            Control::FirstApplyTwice => Weather {
                repeated: 500,
                late: 300,
                late_ms: 60,
                think_ms: 1,
                tasks: 2,
                overtaking: true,
                keys: 1,
                ..drawn
            },
            Control::OpsForgotten => Weather { breaks: 30, late: 100, ..drawn },
            Control::ExpiriesForgotten => Weather { skew_ms: 200, ..drawn },
            Control::PromisesForgotten => Weather { late: 200, late_ms: 300, overtaking: true, ..drawn },
            Control::OlderDataVotes => Weather {
                fsyncs: true,
                fault_ms: 100,
                tasks: 2,
                ops_each: 12,
                think_ms: 200,
                keys: 1,
                ..drawn
            },
            Control::MajorityForgets => Weather { fsyncs: false, fault_ms: 300, nodes: 3, ..drawn },
        }
    }

    pub fn repeats_applies(self) -> bool {
        self == Control::FirstApplyTwice
    }

    /// Whether a server that fsyncs every write may come back with older data.
    pub fn lies_about_disks(self) -> bool {
        self == Control::OlderDataVotes
    }

    /// Whether nodes may forget before the last one that forgot was filled.
    pub fn forgets_at_will(self) -> bool {
        self == Control::MajorityForgets
    }

    /// Runs one command on a host.
    pub fn run(self, host: &mut Host, now_us: u64, words: &[&[u8]]) -> Value {
        let ops = registers(words);
        if self == Control::OpsForgotten {
            for (record, _) in &ops {
                host.server.tamper(record, |head| head.remember(&[]));
            }
        }
        let reply = host.run(now_us, words);
        for (record, keys) in ops {
            self.forget(host, now_us, record, keys);
        }
        reply
    }

    fn forget(self, host: &mut Host, now_us: u64, record: &[u8], keys: &[&[u8]]) {
        if self == Control::ExpiriesForgotten {
            host.server.tamper(record, |head| {
                if !head.is_many() && !head.entry.is_empty() {
                    head.entry = b"0".to_vec();
                }
            });
            for key in keys {
                let field = [b"k", *key].concat();
                if host.run(now_us, &[b"HEXISTS", record, &field]) == Value::Int(1) {
                    host.run(now_us, &[b"HSET", record, &field, b"0"]);
                }
            }
        }
        if self == Control::PromisesForgotten {
            host.server.tamper(record, |head| {
                head.promise(b"0000000000000000-0000000000000000").expect("ops that were packed here");
            });
        }
    }
}

/// The registers on which a call runs ops, each its record and its keys; none where it is another call.
fn registers<'w>(words: &'w [&'w [u8]]) -> Vec<(&'w [u8], &'w [&'w [u8]])> {
    let is = |name: Name| words[0] == b"EVALSHA" && words[1] == script(name).sha.as_bytes();
    if !is(Name::Apply) && !is(Name::Bunch) {
        return Vec::new();
    }
    let count: usize = std::str::from_utf8(words[2]).expect("a number").parse().expect("a number");
    let mut all = Vec::new();
    let mut rest = &words[3..3 + count];
    while let [record, following @ ..] = rest {
        let is_record = |key: &&[u8]| key.starts_with(b"anrcho_version:");
        let keys = following.iter().position(is_record).unwrap_or(following.len());
        all.push((*record, &following[..keys]));
        rest = &following[keys..];
    }
    all
}
