//! What one schedule is like: how lossy, how slow, how many, and what is asked.

use super::rng::Rng;

/// A kind of weather in which one kind of mistake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    Mixed,
    Emptiness,
    LostSettles,
}

/// What one schedule is like, drawn anew for each: schedules that differ in kind find more than equal ones.
#[derive(Debug, Clone)]
pub struct Weather {
    pub coordinators: usize,
    pub ops_each: u64,
    pub loss: u64,
    pub late: u64,
    pub repeated: u64,
    /// How often a settle is lost, beside `loss`.
    pub settle_loss: u64,
    /// How often a settle takes long.
    pub settle_late: u64,
    /// How many of a hundred write rounds never reach one of the nodes.
    pub misses: u64,
    pub refused: u64,
    pub not_sent: u64,
    pub hedge: u64,
    pub timeout: u64,
    pub deadline: u64,
    pub skew: u64,
    pub rounds: u64,
    pub reads: u64,
    pub slow_reads: u64,
    pub quorum_reads: u64,
    pub pops: u64,
    pub conditional: u64,
    pub repairs: u64,
    /// How lossy the link of each coordinator to each node is, in percent, beside `loss`.
    pub links: Vec<u64>,
}

impl Weather {
    /// The weather of a schedule; of a random season, unless one is asked for.
    pub fn draw(rng: &mut Rng, nodes: usize, season: Option<Season>) -> Self {
        let drawn = rng.pick(&[Season::Mixed, Season::Mixed, Season::Emptiness, Season::LostSettles]);
        let mixed = Self::mixed(rng, nodes);
        match season.unwrap_or(drawn) {
            Season::Mixed => mixed,
            Season::Emptiness => mixed.emptiness(rng),
            Season::LostSettles => mixed.lost_settles(rng),
        }
    }

    fn mixed(rng: &mut Rng, nodes: usize) -> Self {
        let coordinators = 2 + rng.below(2) as usize;
        Self {
            coordinators,
            ops_each: 1 + rng.below(4),
            loss: rng.pick(&[0, 0, 3, 10, 30]),
            late: rng.pick(&[0, 5, 20, 50]),
            repeated: rng.pick(&[0, 0, 0, 15]),
            settle_loss: rng.pick(&[0, 0, 30, 60]),
            settle_late: rng.pick(&[0, 5, 20, 50]),
            misses: rng.pick(&[0, 0, 50, 90]),
            refused: rng.pick(&[0, 0, 5]),
            not_sent: rng.pick(&[0, 0, 10, 40]),
            hedge: rng.pick(&[8, 25, 80]),
            timeout: rng.pick(&[30, 100, 300]),
            deadline: rng.pick(&[60, 300, 2_000]),
            skew: rng.pick(&[0, 50, 400]),
            rounds: 1 + rng.below(6),
            reads: rng.pick(&[20, 40, 60]),
            slow_reads: rng.pick(&[0, 20, 60]),
            quorum_reads: rng.pick(&[0, 0, 30]),
            pops: rng.pick(&[0, 0, 30, 60]),
            conditional: rng.pick(&[0, 20, 50]),
            repairs: rng.pick(&[0, 50, 100]),
            links: (0..coordinators * nodes).map(|_| rng.pick(&[0, 0, 0, 20, 90])).collect(),
        }
    }

    /// Short lives: the first ops meet a register that is not there, and calls linger.
    fn emptiness(self, rng: &mut Rng) -> Self {
        Self {
            ops_each: 1,
            loss: 0,
            late: rng.pick(&[10, 25, 60]),
            repeated: rng.pick(&[0, 30]),
            settle_loss: rng.pick(&[50, 100]),
            misses: 0,
            not_sent: 0,
            hedge: rng.pick(&[20, 40]),
            timeout: rng.pick(&[25, 60]),
            deadline: 2_000,
            skew: rng.pick(&[30, 300]),
            rounds: 1 + rng.below(2),
            pops: 50,
            reads: 0,
            conditional: 0,
            links: self.links.iter().map(|_| 0).collect(),
            ..self
        }
    }

    /// Ballots that reach M nodes, and settles that are lost or late: nodes hold equal histories under unequal
    /// ballots.
    fn lost_settles(self, rng: &mut Rng) -> Self {
        Self {
            ops_each: 2 + rng.below(3),
            loss: 0,
            late: rng.pick(&[0, 20]),
            settle_loss: 50,
            settle_late: rng.pick(&[50, 90]),
            misses: rng.pick(&[80, 100]),
            not_sent: 0,
            refused: 0,
            hedge: 25,
            timeout: rng.pick(&[30, 100]),
            deadline: 300,
            rounds: rng.below(3),
            reads: rng.pick(&[50, 75]),
            slow_reads: 50,
            quorum_reads: 0,
            repairs: 0,
            conditional: 0,
            links: self.links.iter().map(|_| 0).collect(),
            ..self
        }
    }
}
