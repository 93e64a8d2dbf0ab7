//! Registers that live for some operations, and the judgement of each one's history when they have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::book::Book;
use super::model::{Op, Register, Reply, Step};
use super::profile::Profile;
use super::row::Row;
use super::store::{Failure, Store};
use crate::linearizable::{Call, CallOf, End, Verdict, check_within};
use crate::workload::Rng;

/// More than this is not searched: with many open calls a search may have no end.
const BUDGET: usize = 150_000;
/// Who reads a register when it is full.
const LAST_READ: usize = usize::MAX;
const PATIENCE: Duration = Duration::from_secs(60);

/// One workload of registers.
pub struct Histories {
    profile: Profile,
    folder: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: u64,
    live: Vec<Arc<Life>>,
    /// Full, and not judged yet.
    full: Vec<Arc<Life>>,
    row: Option<Row>,
}

/// One register.
struct Life {
    name: String,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    place: u64,
    begun: usize,
    under_way: usize,
    calls: Vec<Option<CallOf<Register>>>,
}

impl Histories {
    /// Bad histories are written to the folder.
    pub fn new(profile: Profile, system: &str, folder: PathBuf) -> Histories {
        let inner = Inner { row: Some(Row::new(system, profile.name)), ..Inner::default() };
        Histories { profile, folder, inner: Mutex::new(inner) }
    }

    /// A register that takes one more operation.
    fn begin(&self, client: usize, rng: &mut Rng) -> (Arc<Life>, usize, Op) {
        let mut inner = self.inner.lock().expect("a lock");
        while inner.live.len() < self.profile.registers {
            inner.numbers += 1;
            let name = format!("{}:{}", self.profile.name, inner.numbers);
            inner.live.push(Arc::new(Life { name, calls: Mutex::default() }));
        }
        let place = rng.place(inner.live.len());
        let life = Arc::clone(&inner.live[place]);
        let mut calls = life.calls.lock().expect("a lock");
        let unique = calls.begun as i64 + 1;
        let op = (self.profile.next)(rng, unique);
        let number = calls.begin(client, op.clone());
        if calls.begun == self.profile.operations {
            inner.live.swap_remove(place);
            inner.full.push(Arc::clone(&life));
        }
        drop(calls);
        (life, number, op)
    }

    /// One operation of a worker.
    pub async fn once(&self, client: usize, rng: &mut Rng, store: &mut Store, book: &Book) {
        let (life, number, op) = self.begin(client, rng);
        let began = book.now();
        let answer = ask(store, &life.name, &op).await;
        book.answered(self.profile.name, began, &answer);
        life.calls.lock().expect("a lock").end(number, answer);
    }

    /// Reads and judges the registers that are full and at rest; at the end all of them.
    pub async fn judge(&self, store: &mut Store, all: bool) {
        let due: Vec<Arc<Life>> = {
            let mut inner = self.inner.lock().expect("a lock");
            if all {
                let live = std::mem::take(&mut inner.live);
                inner.full.extend(live);
            }
            let at_rest = |life: &Arc<Life>| life.calls.lock().expect("a lock").under_way == 0;
            let (due, rest) = std::mem::take(&mut inner.full).into_iter().partition(at_rest);
            inner.full = rest;
            due
        };
        for life in due {
            let patience = if all { PATIENCE } else { Duration::from_secs(1) };
            if self.read_all(&life, store, patience).await || all {
                self.judge_one(life).await;
            } else {
                self.inner.lock().expect("a lock").full.push(life);
            }
        }
    }

    /// The last read.
    async fn read_all(&self, life: &Life, store: &mut Store, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let op = (self.profile.all)();
        loop {
            let number = life.calls.lock().expect("a lock").begin(LAST_READ, op.clone());
            let answer = ask(store, &life.name, &op).await;
            let read = answer.is_ok();
            life.calls.lock().expect("a lock").end(number, answer);
            if read || Instant::now() > deadline {
                return read;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn judge_one(&self, life: Arc<Life>) {
        let calls: Vec<CallOf<Register>> =
            std::mem::take(&mut *life.calls.lock().expect("a lock")).calls.into_iter().flatten().collect();
        let judging = move || {
            let verdict = check_within(&Register::default(), &calls, BUDGET);
            (calls, verdict)
        };
        let (calls, verdict) = tokio::task::spawn_blocking(judging).await.expect("a judgement");
        let mut found = look(&calls);
        if self.profile.adds_up_to_nothing {
            found.sums(&calls);
        }
        let trace = match &verdict {
            Verdict::Violated(counterexample) => Some(counterexample.to_string()),
            _ if found.is_bad() => Some(format!("{found:?}")),
            _ => None,
        };
        let path = trace.map(|trace| self.keep(&life.name, &calls, &trace));
        let mut inner = self.inner.lock().expect("a lock");
        let row = inner.row.as_mut().expect("a row until the end");
        row.histories.0 += 1;
        row.histories.1 += u64::from(verdict.is_violated());
        row.histories.2 += u64::from(matches!(verdict, Verdict::Undecided { .. }));
        found.add_to(row);
        row.complaints.extend(path);
    }

    fn keep(&self, name: &str, calls: &[CallOf<Register>], trace: &str) -> String {
        let path = self.folder.join(format!("bad-{}.txt", name.replace(':', "-")));
        let mut text = format!("{name}\n{trace}\n\n");
        for call in calls {
            text += &format!("{call:?}\n");
        }
        // Where it cannot be kept it is still told.
        let _ = fs::create_dir_all(&self.folder);
        let _ = fs::write(&path, &text);
        let first: String = trace.lines().take(3).collect::<Vec<_>>().join("; ");
        format!("{name}: {first}: see {}", path.display())
    }

    /// Its line of the table; after [`judge`](Histories::judge) with `all`.
    pub fn row(&self, book: &Book) -> Row {
        let mut row = self.inner.lock().expect("a lock").row.take().expect("asked once");
        let count = book.count(self.profile.name);
        (row.total, row.acked, row.unknown) = (count.total(), count.acked, count.unknown);
        row.gap = book.longest_gap(self.profile.name, &[]);
        row
    }
}

async fn ask(store: &mut Store, register: &str, op: &Op) -> Result<Reply, Failure> {
    if let [step] = &op[..] {
        let value = store.call(&step.words(register)).await?;
        return Ok(vec![step.reply(&value)]);
    }
    let commands: Vec<Vec<String>> = op.iter().map(|step| step.words(register)).collect();
    let values = store.together(&commands).await?;
    Ok(op.iter().zip(&values).map(|(step, value)| step.reply(value)).collect())
}

impl Calls {
    fn begin(&mut self, client: usize, op: Op) -> usize {
        self.place += 1;
        self.begun += 1;
        self.under_way += 1;
        self.calls.push(Some(Call { client, op, invoked: self.place, end: End::Open }));
        self.calls.len() - 1
    }

    fn end(&mut self, number: usize, answer: Result<Reply, Failure>) {
        self.place += 1;
        self.under_way -= 1;
        match answer {
            Ok(reply) => {
                let call = self.calls[number].as_mut().expect("a call that ends once");
                call.end = End::Returned { at: self.place, reply };
            }
            // What did not happen is no part of the history; what shows it is a value from nowhere.
            Err(Failure::NotApplied(_)) => self.calls[number] = None,
            Err(Failure::Unknown(_)) => {}
        }
    }
}

/// What a look at lists alone shows, where a search may be too long.
#[derive(Debug, Default)]
struct Found {
    survivors: u64,
    lost: u64,
    surplus: u64,
    doubled: u64,
    invented: u64,
    reordered: u64,
}

impl Found {
    fn is_bad(&self) -> bool {
        self.lost + self.doubled + self.invented + self.reordered > 0
    }

    fn add_to(&self, row: &mut Row) {
        row.survivors += self.survivors;
        row.lost += self.lost;
        row.surplus += self.surplus;
        row.doubled += self.doubled;
        row.invented += self.invented;
        row.reordered += self.reordered;
    }

    /// Money is neither made nor lost.
    fn sums(&mut self, calls: &[CallOf<Register>]) {
        for call in calls {
            if let End::Returned { reply, .. } = &call.end
                && call.op.iter().all(Step::only_reads)
                && reply.iter().flatten().sum::<i64>() != 0
            {
                self.reordered += 1;
            }
        }
    }
}

/// Of registers of lists that are only pushed to: every read is the beginning of the last one, and that has every element once.
fn look(calls: &[CallOf<Register>]) -> Found {
    let mut found = Found::default();
    let only_pushes = |step: &Step| matches!(step, Step::Push(..) | Step::Range(_));
    let by_us = calls.last().filter(|call| call.client == LAST_READ);
    let Some(End::Returned { reply: last, .. }) = by_us.map(|call| &call.end) else { return found };
    if !calls.iter().flat_map(|call| &call.op).all(only_pushes) {
        return found;
    }
    let last: BTreeMap<usize, &Vec<i64>> = last.iter().enumerate().collect();
    let mut begun: BTreeSet<(usize, i64)> = BTreeSet::new();
    let mut acked: BTreeSet<(usize, i64)> = BTreeSet::new();
    for call in calls {
        let returned = matches!(call.end, End::Returned { .. });
        for (place, step) in call.op.iter().enumerate() {
            if let Step::Push(key, element) = step {
                begun.insert((*key, *element));
                if returned {
                    acked.insert((*key, *element));
                }
            }
            if let (Step::Range(key), End::Returned { reply, .. }) = (step, &call.end)
                && !last[key].starts_with(&reply[place])
            {
                found.reordered += 1;
            }
        }
    }
    let mut there = BTreeSet::new();
    for (key, elements) in &last {
        for element in *elements {
            found.doubled += u64::from(!there.insert((*key, *element)));
        }
    }
    found.survivors = acked.intersection(&there).count() as u64;
    found.lost = acked.difference(&there).count() as u64;
    found.invented = there.difference(&begun).count() as u64;
    found.surplus = there.len() as u64 - found.survivors - found.invented;
    found
}
