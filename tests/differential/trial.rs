//! One sequence of commands, told to the store and to the plain server, and everything that must then be the same.

use std::time::{Duration, Instant};

use anarchoredis::command::{Plan, Refusal};
use redis::Value;

use crate::data::{Held, digests, held};
use crate::generate::Words;
use crate::keys;
use crate::pools::RUN;
use crate::question::Question;
use crate::same::Circumstances;
use crate::stores::{Stores, send};

/// How long nodes may take to become the same after the last reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is not the same, in words.
#[derive(Debug)]
pub struct Difference(pub String);

impl Stores {
    pub fn plan(&self, words: &Words) -> Result<Plan, Refusal> {
        let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.table.plan(&args, now_ms())
    }

    /// Runs the sequence on keys that nothing else uses. Answers which of the commands succeeded.
    pub async fn try_out(&self, sequence: &[Words]) -> Result<Vec<bool>, Difference> {
        let run = self.next_run();
        let commands: Vec<Words> = sequence.iter().map(|words| named(words, &run)).collect();
        let started = Instant::now();
        let ours = self.store.run(&commands, &self.nodes).await;
        let question = |(words, reply)| Question::of(words, self.plan(words).err(), reply);
        let questions: Vec<Question> = commands.iter().zip(&ours).map(question).collect();
        let all: Vec<Words> = questions.iter().flat_map(|question| question.commands.clone()).collect();
        let mut plain = send(&mut self.plain.clone(), &all).await.into_iter();
        // Times are cut to whole milliseconds.
        let apart_ms = 1 + started.elapsed().as_millis() as u64;
        let circumstances = Circumstances { apart_ms, has_other_words: self.has_other_words };
        for (place, (words, question)) in commands.iter().zip(&questions).enumerate() {
            let answers: Vec<Value> = plain.by_ref().take(question.commands.len()).collect();
            if let Some(complaint) = question.complaint(words, &ours[place], &answers, circumstances) {
                return Err(Difference(format!("reply {}, {}: {complaint}", place + 1, shown(words))));
            }
        }
        let keys: Vec<Vec<u8>> = keys::all().iter().map(|key| with_run(key, &run)).collect();
        self.same_histories(&keys).await?;
        self.same_data(&keys, apart_ms).await?;
        Ok(ours.iter().map(|reply| !matches!(reply, Value::ServerError(_))).collect())
    }

    /// Every node holds what the plain server holds, and all of them the same to the millisecond.
    async fn same_data(&self, keys: &[Vec<u8>], apart_ms: u64) -> Result<(), Difference> {
        let plain = held(&self.plain, keys).await;
        let mut first: Option<Vec<Held>> = None;
        for (number, node) in self.nodes.iter().enumerate() {
            let data = held(node, keys).await;
            let first = first.get_or_insert_with(|| data.clone());
            for (at, ours) in data.iter().enumerate() {
                let key = keys[at].escape_ascii();
                if !ours.is_near(&plain[at], apart_ms) {
                    let plain = &plain[at];
                    return Err(Difference(format!(
                        "{key}: node {number} holds {ours}, plain Redis {plain}"
                    )));
                }
                if *ours != first[at] {
                    let first = &first[at];
                    return Err(Difference(format!("{key}: node {number} holds {ours}, node 0 {first}")));
                }
            }
        }
        Ok(())
    }

    /// The nodes' records tell the same versions and digests, at once or after the repairs that are under way.
    pub async fn same_histories(&self, keys: &[Vec<u8>]) -> Result<(), Difference> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut all = Vec::new();
            for node in &self.nodes {
                all.push(digests(node, self.table.scopes(), keys).await);
            }
            let differs = |at: &usize| all.iter().any(|node| node[*at] != all[0][*at]);
            let Some(at) = (0..keys.len()).find(differs) else { return Ok(()) };
            if Instant::now() > deadline {
                let each: Vec<_> = all.iter().map(|node| &node[at]).collect();
                return Err(Difference(format!("{}: histories {each:?}", keys[at].escape_ascii())));
            }
            // A read mends what the background has not mended yet.
            send(&mut self.client.clone(), &[vec![b"EXISTS".to_vec(), keys[at].clone()]]).await;
        }
    }
}

pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The command on the keys of a run.
fn named(words: &Words, run: &str) -> Words {
    words.iter().map(|word| with_run(word, run)).collect()
}

fn with_run(word: &[u8], run: &str) -> Vec<u8> {
    let place = word.windows(RUN.len()).position(|part| part == RUN.as_bytes());
    let Some(at) = place else { return word.to_vec() };
    [&word[..at], run.as_bytes(), &word[at + RUN.len()..]].concat()
}

pub fn shown(words: &Words) -> String {
    let quoted = |word: &Vec<u8>| match word.escape_ascii().to_string() {
        text if text.is_empty() || text.contains(' ') => format!("'{text}'"),
        text => text,
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
