//! Random calls of `admit`: mostly what the node is ready for.

use anarchoredis::script::Name;

use crate::pair::Difference;
use crate::sequence::{Sequence, evalsha, record, text};

const CALLS: [&str; 19] = [
    "look",
    "claim C N a,n R 72713a, 90000",
    "start C F",
    "adopt C N a,n R F E 72713a, 90000",
    "readmit N S F R",
    "demote N F R G",
    "demote x F R G",
    "readmit x S F R",
    "rejoin N E S F",
    "move C N a,n H F S L , 1000",
    "move x N a,n H F S L , 1000",
    "epoch N E F",
    "promote N P R F G",
    "forget G",
    "mark G x 7",
    "swept G text",
    "clean G x 7",
    "clean G x 8",
    "nonsense G",
];

impl Sequence<'_> {
    /// `C` cluster, `N` node, `R` run id, `S` new run id, `E` higher epoch, `H` one of another generation, `L` a generation, `P` the epoch, `F` new fence, `G` the fence.
    async fn admit_with(&mut self, node: usize, call: &str) -> Result<(), Difference> {
        let look = self.tell(node, &evalsha(Name::Admit, &[], text(&["look"]))).await?;
        if look.item(0).to_string() != "NODE" {
            return Ok(());
        }
        let epoch: u64 = look.text(3).parse().unwrap_or(0);
        let mut args = Vec::new();
        for word in call.split(' ') {
            let known =
                |at: usize, else_: &str| if look.text(at).is_empty() { else_.into() } else { look.text(at) };
            let right = match word {
                "C" => known(1, "c"),
                "N" => known(2, "n"),
                "R" => known(5, "r1"),
                "S" => format!("r{}", self.rng.below(1_000)),
                "E" => (epoch + self.rng.below(2)).to_string(),
                "H" => ((epoch / 1_000_000 + self.rng.below(4)) * 1_000_000).to_string(),
                "L" => self.rng.below(epoch / 1_000_000 + 3).to_string(),
                "P" => look.text(3),
                "F" => format!("f{}", self.rng.below(1_000_000)),
                "G" => look.text(7),
                other => other.to_owned(),
            };
            let is_wrong = word.len() == 1 && !matches!(word, "E" | "F" | "H" | "L") && self.rng.percent(4);
            args.push(if is_wrong { b"wrong".to_vec() } else { right.into_bytes() });
        }
        let register = self.register();
        let keys = if call.starts_with("forget") { vec![record(register)] } else { Vec::new() };
        let what = call.split(' ').next().unwrap_or_default();
        let answer = self.tell(node, &evalsha(Name::Admit, &keys, args)).await?;
        self.count(format!("{what} {}", answer.item(0)));
        let fence = self.tell(node, &text(&["GET", "anrcho_fence"])).await?;
        self.fences[node] = if fence.0 == redis::Value::Nil { String::new() } else { fence.to_string() };
        Ok(())
    }

    pub async fn admit(&mut self, node: usize) -> Result<(), Difference> {
        let call = self.rng.pick(&CALLS);
        self.admit_with(node, call).await
    }

    /// An empty node becomes a voter, or a joining one.
    pub async fn join(&mut self, node: usize) -> Result<(), Difference> {
        if self.rng.percent(15) {
            self.admit_with(node, "adopt C N a,n R F E , 90000").await?;
            for _ in 0..4 {
                self.plain(node).await?;
                self.adopt(node).await?;
            }
            return Ok(());
        }
        if self.rng.percent(70) {
            self.admit_with(node, "claim C N a,n R").await?;
            return self.admit_with(node, "start C F").await;
        }
        self.admit_with(node, "move C N a,n H F S L").await
    }

    /// Keys that nobody listed, or that are gone or expire at another time; at times dropped.
    pub async fn adopt(&mut self, node: usize) -> Result<(), Difference> {
        let register = self.register();
        let keys = [vec![record(register)], text(crate::sequence::REGISTERS[register].1)].concat();
        let mut args = self.ticket(node);
        if self.rng.percent(20) {
            args.extend(text(&["drop"]));
        } else {
            let (ballot, op) = (self.ballot(4), format!("{:016x}-{:016x}", 4, self.rng.below(1_000)));
            let anew = self.rng.pick(&["0", "0", "1"]);
            args.extend(text(&["list", &ballot, &op, anew]));
        }
        let answer = self.tell(node, &evalsha(Name::Adopt, &keys, args)).await?;
        self.count(format!("adopt {}", answer.item(0)));
        Ok(())
    }
}
