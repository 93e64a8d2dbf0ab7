//! Random settles, snapshots, stages and digest pages: states on their way from one node to the other.

use anarchoredis::script::Name;
use redis::Value;

use crate::pair::{Difference, Words};
use crate::reply::Reply;
use crate::sequence::{NEVER, REGISTERS, Sequence, evalsha, record, text};

/// A key of a made-up state.
struct Made(&'static str, &'static [&'static str]);

const MADE: [Made; 12] = [
    Made("string", &["v"]),
    Made("string", &["7"]),
    Made("list", &["a", "b"]),
    Made("set", &["a", "b", "7"]),
    Made("hash", &["a", "1", "b", "x"]),
    Made("zset", &["a", "1", "b", "-2"]),
    Made("gone", &[]),
    Made("gone", &[]),
    Made("gone", &["too much"]),
    Made("hash", &["odd"]),
    Made("dump", &["no dump"]),
    Made("large", &["list", "9"]),
];
const STAGE: &str = "anrcho_stage:s";

fn number(number: usize) -> Words {
    text(&[&number.to_string()])
}

impl Sequence<'_> {
    /// `ARGV[1..9]` of a settle.
    fn settle_head(
        &mut self,
        node: usize,
        ballot: &str,
        position: [&str; 2],
        mode: [&str; 2],
        ops: &[u8],
    ) -> Words {
        let mut args = self.ticket(node);
        args.extend(text(&[ballot, position[0], position[1], mode[0], mode[1]]));
        args.push(ops.to_vec());
        args.extend(text(&[self.rng.pick(&["0", "0", "1"])]));
        args
    }

    async fn settle(&mut self, node: usize, register: usize, args: Words) -> Result<(), Difference> {
        let settle = evalsha(Name::Settle, &[record(register)], args);
        let reply = self.tell(node, &settle).await?;
        if reply.item(0).to_string() == "SETTLED" {
            let word = |at: usize| String::from_utf8_lossy(&settle[at]).into_owned();
            self.count(format!("SETTLED {}", word(9)));
            if settle.iter().any(|word| word == b"staged") {
                self.count("SETTLED staged");
            }
            let held = self.held.entry((node, register)).or_default();
            (held.promised, held.accepted) = (word(6), word(6));
            (held.version, held.digest) = (word(7), word(8));
        }
        Ok(())
    }

    /// A digest that a node has, often this one; a ballot that it has promised, often.
    pub async fn confirm(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let from = if self.rng.percent(70) { node } else { 1 - node };
        let held = self.held(from, register);
        let coordinator = 1 + self.rng.below(3);
        let mut ballot = self.ballot(coordinator);
        if self.rng.percent(60) && !held.promised.is_empty() {
            ballot = held.promised;
        }
        let digest = if self.rng.percent(10) { "f".repeat(32) } else { held.digest };
        if self.rng.percent(50) {
            let shape = self.rng.pick(&["0,0,0,*,c", "0,0,0,*,c", "0,0,0,*,c1"]);
            let limits = ["4096", "600000", "500"];
            let mut args = [self.ticket(node), text(&limits)].concat();
            args.extend(text(&[NEVER, &ballot, &digest, shape]));
            return self.tell(node, &evalsha(Name::Bunch, &[record(register)], args)).await.map(|_| ());
        }
        let version = if held.version.is_empty() { "0".into() } else { held.version };
        let args = self.settle_head(node, &ballot, [&version, &digest], ["confirm", ""], b"");
        self.settle(node, register, args).await
    }

    /// What one node has goes to the other.
    pub async fn copy(&mut self, node: usize) -> Result<(), Difference> {
        let (register, from) = (self.register(), 1 - node);
        let base = self.held(node, register).digest;
        let what = if self.rng.percent(60) { ["since", "100000", &base] } else { ["all", "100000", ""] };
        let mut args = self.ticket(from);
        args.extend(text(&what));
        let reply = self.tell(from, &evalsha(Name::Snapshot, &[record(register)], args)).await?;
        if reply.item(0).to_string() != "SNAPSHOT" {
            return Ok(());
        }
        let coordinator = 1 + self.rng.below(3);
        let mut ballot = self.ballot(coordinator);
        if self.rng.percent(20) {
            ballot = reply.text(1);
        }
        let (version, digest, mode) = (reply.text(4), reply.text(5), reply.text(8));
        let base = if self.rng.percent(5) { digest.clone() } else { base };
        let mut args = self.settle_head(node, &ballot, [&version, &digest], [&mode, &base], &reply.bytes(6));
        args.extend(snapshot_args(&reply));
        self.settle(node, register, args).await
    }

    /// Registers in one call, by name or by a scan.
    pub async fn clones(&mut self, node: usize) -> Result<(), Difference> {
        let from = 1 - node;
        let mut args = self.ticket(from);
        let limit = self.rng.pick(&["1000000", "1000000", "100"]);
        let named = self.rng.percent(50);
        args.extend(text(&["out", limit]));
        // In a scan the nodes would leave others for the limit.
        if !named {
            args[3] = b"1000000".to_vec();
            args.extend(text(&["0", "1000"]));
        }
        let records = if named { vec![record(self.register()), record(self.register())] } else { Vec::new() };
        let reply = self.tell(from, &evalsha(Name::Copy, &records, args)).await?;
        if reply.item(0).to_string() != "COPIES" {
            return Ok(());
        }
        let mut args = self.ticket(node);
        args.extend(text(&["in"]));
        args.push(reply.bytes(3));
        let answer = self.tell(node, &evalsha(Name::Copy, &[], args)).await?;
        let taken = answer.item(0).to_string() == "COPIED" && answer.text(1) != "0";
        self.count(if taken { "copies taken".to_owned() } else { format!("copies {}", answer.item(0)) });
        Ok(())
    }

    /// A state that no history made: every form, and some that are wrong.
    pub async fn made_up(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let held = self.held(node, register);
        let (version, digest) = (1 + self.rng.below(40), format!("{:032x}", self.rng.below(9)));
        let coordinator = 1 + self.rng.below(3);
        let mut ballot = self.ballot(coordinator);
        if self.rng.percent(20) && !held.accepted.is_empty() {
            ballot = held.accepted;
        }
        let mode = self.rng.pick(&["full", "full", "delta"]);
        let base = if self.rng.percent(15) { "e".repeat(32) } else { held.digest };
        let position = [version.to_string().as_str(), digest.as_str()].map(str::to_owned);
        let position = [position[0].as_str(), position[1].as_str()];
        let mut args = self.settle_head(node, &ballot, position, [mode, &base], b"");
        args.extend(text(&["0", "0"]));
        let keys = REGISTERS[register].1;
        let count = 1 + self.rng.below(keys.len() as u64) as usize;
        args.extend(number(count));
        for key in &keys[..count] {
            let state = self.made_state(node, key);
            args.extend(state);
        }
        if self.rng.percent(4) {
            args.extend(text(&["more"]));
        }
        self.settle(node, register, args).await
    }

    fn made_state(&mut self, node: usize, key: &str) -> Words {
        if self.rng.percent(15) {
            let [form, length] = self.staged[node].clone();
            let form = if self.rng.percent(15) { "string".into() } else { form };
            let length = if self.rng.percent(15) { "4".into() } else { length };
            return text(&[key, "staged", "0", "3", STAGE, &form, &length]);
        }
        let bound = if self.rng.percent(80) { 8 } else { MADE.len() as u64 };
        let Made(form, elements) = &MADE[self.rng.below(bound) as usize];
        let expiry_ms = self.material(0).expiry_ms(&mut self.rng).to_string();
        let expiry = if self.rng.percent(60) { "0" } else { &expiry_ms };
        [text(&[key, form, expiry]), number(elements.len()), text(elements)].concat()
    }

    pub async fn snapshot(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let keys = REGISTERS[register].1;
        let mut args = self.ticket(node);
        let mut names = vec![record(register)];
        let small = self.rng.pick(&["0", "1", "3", "20", "1000"]);
        match self.rng.below(4) {
            // What is left for later depends on an order, where there are several keys.
            0 => args.extend(text(&["all", if keys.len() == 1 { small } else { "100000" }])),
            1 => {
                args.extend(text(&["keys", small]));
                names.extend(text(keys));
            }
            2 => {
                let of = self.rng.below(2) as usize;
                let base = self.held(of, register).digest;
                args.extend(text(&["since", "100000", &base]));
            }
            _ => {
                let key = self.rng.pick(keys);
                let kind = self.tell(node, &text(&["TYPE", key])).await?.to_string();
                // What has no order is taken from its beginning, all at once.
                let from =
                    if matches!(kind.as_str(), "set" | "hash") { "0" } else { self.rng.pick(&["0", "1"]) };
                args.extend(text(&[
                    "slice",
                    small,
                    from,
                    self.rng.pick(if from == "0" { &["1000"] } else { &["1", "2"] }),
                ]));
                names.extend(text(&[key]));
            }
        }
        self.tell(node, &evalsha(Name::Snapshot, &names, args)).await.map(|_| ())
    }

    pub async fn stage(&mut self, node: usize) -> Result<(), Difference> {
        let Made(form, elements) = &MADE[self.rng.below(6) as usize];
        let mut args = self.ticket(node);
        let first = if *form == "string" {
            self.rng.pick(&["1", "0", "1@3", "0@0"])
        } else {
            self.rng.pick(&["1", "1", "0"])
        };
        args.extend(text(&[form, first, "600000"]));
        args.extend(text(elements));
        let keys = [record(0), STAGE.into()];
        let reply = self.tell(node, &evalsha(Name::Stage, &keys, args)).await?;
        if reply.item(0).to_string() == "STAGED" {
            self.staged[node] = [form.to_string(), reply.text(1)];
        }
        // The probe lives a millisecond, and a server counts it until it looks.
        let probe = text(&["EXISTS", &format!("{STAGE}:probe")]);
        while self.nodes[node].ask(&probe).await != Value::Int(0) {}
        self.tell(node, &probe).await.map(|_| ())
    }

    pub async fn page(&mut self, node: usize) -> Result<(), Difference> {
        let mut args = self.ticket(node);
        let what = self.rng.pick(&["scan", "of", "dirty"]);
        args.extend(text(&[what, "0", "1000"]));
        let records: Vec<_> = (0..REGISTERS.len()).map(record).collect();
        let keys = if what == "of" { records.as_slice() } else { &[] };
        self.tell(node, &evalsha(Name::Digest, keys, args)).await?;
        self.summaries(node, &records).await
    }

    async fn summaries(&mut self, node: usize, records: &[Vec<u8>]) -> Result<(), Difference> {
        let mark = |record: &Vec<u8>| {
            sha1_smol::Sha1::from(&record[16..record.len() - 1]).hexdigest()[..8].to_owned()
        };
        let picked: String = records.iter().take(2).map(mark).collect();
        for summary in [
            ["sum", "d", "", ""],
            ["sum", "a", "", ""],
            ["marks", "d", "0123456789abcdef", "25"],
            ["marks", "a", "02468ace", "9"],
            ["pick", &picked, "", ""],
        ] {
            let mut args = text(&[&self.fences[node], "99999999999999"]);
            args.extend(text(&[summary[0], "0", "1000"]));
            args.extend(text(&summary[1..]));
            self.tell(node, &evalsha(Name::Digest, &[], args)).await?;
        }
        Ok(())
    }
}

impl Sequence<'_> {
    /// A settled history that leaves no value, and perhaps a promise after it.
    async fn delete(&mut self, node: usize, register: usize) -> Result<(), Difference> {
        let ballot = self.ballot(1);
        let mut args = self.settle_head(node, &ballot, ["7", &"d".repeat(32)], ["full", ""], b"");
        args.extend(text(&["0", "0", "0"]));
        self.settle(node, register, args).await?;
        if self.rng.percent(30) { self.apply(node).await } else { Ok(()) }
    }

    /// Asks for tombstones, and drops one that was found.
    pub async fn purge(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        if self.rng.percent(60) {
            self.delete(node, register).await?;
            // From now on what is older has been purged, or may be.
            let age = self.rng.pick(&["90000", "90000", ""]);
            self.tell(node, &text(&["HSET", "anrcho_node", "purge_age_ms", age])).await?;
        }
        let records = [record(register)];
        let mut args = self.ticket(node);
        if self.rng.percent(30) {
            args.extend(text(&["scan", "0", "1000"]));
            return self.tell(node, &evalsha(Name::Purge, &[], args)).await.map(|_| ());
        }
        args.extend(text(&["of"]));
        let page = self.tell(node, &evalsha(Name::Purge, &records, args)).await?;
        if page.item(0).to_string() != "PAGE" {
            return Ok(());
        }
        let row = page.item(2).item(0);
        self.count(format!("purge {}", row.text(1)));
        let wrong = self.rng.percent(20);
        let version = if wrong { "77".to_owned() } else { row.text(2) };
        let mut args = self.ticket(node);
        args.extend(text(&["drop", &version, &row.text(3), &row.text(4)]));
        let answer = self.tell(node, &evalsha(Name::Purge, &records, args)).await?;
        self.count(format!("drop {}", answer.item(0)));
        Ok(())
    }
}

/// Multi, log and keys of a settle, as a snapshot gave them.
fn snapshot_args(snapshot: &Reply) -> Words {
    let log = strings(&snapshot.item(9));
    let keys = strings_of_states(&snapshot.item(10));
    let count = if let Value::Array(states) = &snapshot.item(10).0 { states.len() } else { 0 };
    [text(&[&snapshot.text(7)]), number(log.len()), log, number(count), keys].concat()
}

fn strings(array: &Reply) -> Words {
    let Value::Array(items) = &array.0 else { panic!("no array: {array}") };
    (0..items.len()).map(|at| array.bytes(at)).collect()
}

fn strings_of_states(states: &Reply) -> Words {
    let Value::Array(items) = &states.0 else { panic!("no array: {states}") };
    let mut all = Words::new();
    for state in items.iter().cloned().map(Reply) {
        let elements = strings(&state.item(3));
        all.extend([state.bytes(0), state.bytes(1), state.bytes(2)]);
        all.extend(number(elements.len()));
        all.extend(elements);
    }
    all
}
