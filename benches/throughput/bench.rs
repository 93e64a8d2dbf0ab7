//! Measures, round by round.

use crate::contender::Contender;
use crate::load::{Load, Subject, Worker};
use crate::processor::Used;
use crate::record::{Cell, Measure, Place};
use crate::workload::{Draw, Workload};
use anarchoredis::Client;
use anarchoredis::heal::Silent;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// How many tasks prepare the keys.
const FILLERS: usize = 64;
/// From this length on a tenth of the keys is enough, for the sake of memory.
const LARGE: usize = 4_096;

/// How long nodes may take to be the same again.
const REST: Duration = Duration::from_secs(20);
/// Between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is to be done, and what has been measured.
pub struct Bench {
    /// How many keys there are of each kind.
    pub keys: usize,
    pub rounds: usize,
    /// Length of a measure.
    pub length: Duration,
    pub cells: Vec<Cell>,
    pub remarks: Vec<String>,
}

impl Bench {
    pub fn load(&self, workload: Workload, bytes: usize, tasks: usize) -> Load {
        let keys = if bytes < LARGE { self.keys } else { self.keys / 10 };
        Load { workload, keys, tasks, length: self.length, offered: None }
    }

    /// All contenders in each round; nobody is always the one that comes after the slowest.
    pub async fn take_turns(&mut self, place: &Place, load: &Load, contenders: &[Contender]) {
        for round in 0..self.rounds {
            for turn in 0..contenders.len() {
                let contender = &contenders[(round + turn) % contenders.len()];
                let measure = self.warm(place, load, contender).await;
                self.note(place, &contender.name, measure);
            }
        }
        crate::table::print(place, &self.cells);
    }

    /// One measure after a tenth of its time to warm up.
    pub async fn warm(&mut self, place: &Place, load: &Load, contender: &Contender) -> Measure {
        Load { length: load.length / 10, ..*load }.run(contender).await;
        self.measure(place, load, contender, &contender.servers).await
    }

    /// One measure, with the processor time of these processes. What fails is a remark.
    pub async fn measure(
        &mut self,
        place: &Place,
        load: &Load,
        subject: &impl Subject,
        servers: &[u32],
    ) -> Measure {
        let before = Used::now(servers);
        let (measure, said) = load.run(subject).await;
        let used = Used::now(servers) - before;
        if let Some(said) = said {
            self.remark(format!(
                "{}, {}, {}: {} of {} operations of a round failed, one of them so: {said}",
                place.section,
                place.workload,
                place.condition,
                measure.failed,
                measure.failed + measure.done
            ));
        }
        let each = 1e6 / measure.done.max(1) as f64;
        Measure { client: used.client * each, servers: used.servers.max(0.0) * each, ..measure }
    }

    /// Waits until these clients have nothing to repair and the nodes are the same, or what one measure leaves would be in the next. A
    /// register that the clients have left to a healer gets one. Where that is not done in time it is a remark.
    pub async fn rest(&mut self, place: &Place, clients: &[&Client]) {
        let began = Instant::now();
        let healer = clients[0].healer();
        while began.elapsed() < REST {
            if clients.iter().all(|client| client.repairs().waiting == 0) {
                match healer.look(&Silent).await {
                    Ok(found) if found.complete => return,
                    // What is still differing is repaired here, as it would be by the healer that every store has.
                    _ => drop(healer.once(&Silent).await),
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.remark(format!(
            "{}, {}, {}: nodes were not the same {} s after a measure",
            place.section,
            place.workload,
            place.condition,
            REST.as_secs()
        ));
    }

    pub fn note(&mut self, place: &Place, contender: &str, measure: Measure) {
        let known = self.cells.iter_mut().find(|cell| cell.place == *place && cell.contender == contender);
        match known {
            Some(cell) => cell.rounds.push(measure.rounded()),
            None => self.cells.push(Cell {
                place: place.clone(),
                contender: contender.to_owned(),
                rounds: vec![measure.rounded()],
            }),
        }
    }

    pub fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            eprintln!("  {remark}");
            self.remarks.push(remark);
        }
    }
}

/// Makes all keys of the workload exist: a first write to a key is another thing than a further one.
pub async fn fill(contender: &Contender, load: &Load) {
    for operation in load.workload.makers() {
        let fillers = (0..FILLERS).map(async |first| {
            let mut worker = contender.worker(first);
            for key in (first..load.keys).step_by(FILLERS) {
                let draw = Draw { operation: *operation, key };
                worker.run(draw).await.expect("a key is written before it is measured");
            }
        });
        join_all(fillers).await;
    }
}

/// Tasks in turn on several subjects: coordinators of one store.
pub struct Several(pub Vec<Contender>);

impl Subject for Several {
    type Worker = <Contender as Subject>::Worker;

    fn worker(&self, task: usize) -> Self::Worker {
        self.0[task % self.0.len()].worker(task)
    }
}
