//! What most calls are, in a bunch: several ops on a register of one key, and reads of it.

use anarchoredis::script::Name;

use crate::pair::{Difference, Words};
use crate::sequence::{NEVER, REGISTERS, Sequence, evalsha, record, text};

const FOREVER: &str = "1000000000000";

const READS: [&str; 4] = ["GET K", "HGET K f", "LLEN K", "EXISTS K"];
const WRITES: [&str; 15] = [
    "SET K v",
    "SET K 9007199254740991",
    "INCR K",
    "INCRBY K 5",
    "DECR K",
    "APPEND K 1",
    "LPUSH K a b",
    "RPUSH K c",
    "SADD K a",
    "HSET K f 9007199254740991",
    "HINCRBY K f 1",
    "ZADD K 1 a",
    "ZADD K 1 a 2 b",
    "GETDEL K",
    "DEL K",
];

impl Sequence<'_> {
    /// Registers of one key only.
    pub async fn usual(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.rng.below(2) as usize;
        let key = REGISTERS[register].1[0];
        let mut coordinator = 1 + self.rng.below(3);
        let limits =
            [self.rng.pick(&["4096", "4096", "3"]), self.rng.pick(&["600000", "600000", "2"]), FOREVER];
        let mut args = [self.ticket(node), text(&limits)].concat();
        let mut keys = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            if self.rng.percent(30) {
                coordinator = 1 + self.rng.below(3);
            }
            let is_read = self.rng.percent(20);
            let lines: &[&str] = if is_read { &READS } else { &WRITES };
            let command = words(self.rng.pick(lines), key);
            let shape = self.rng.pick(&["1,1,0,*,", "1,1,0,*,", "1,1,0,*,w"]);
            let head = if is_read {
                ["".to_owned(), self.base_ms.to_string()]
            } else {
                let sequence = self.next_sequence(coordinator, register, &command);
                [self.ballot(coordinator), format!("{coordinator:016x}-{sequence:016x}")]
            };
            args.extend(text(&[NEVER, &head[0], &head[1], shape, &command.len().to_string()]));
            args.extend(command);
            keys.extend([record(register), key.as_bytes().to_vec()]);
        }
        self.tell(node, &evalsha(Name::Bunch, &keys, args)).await.map(|_| ())
    }
}

fn words(line: &str, key: &str) -> Words {
    line.split(' ').map(|word| if word == "K" { key } else { word }.as_bytes().to_vec()).collect()
}
