//! What one schedule is like. Schedules that differ in kind find more than equal ones.

use super::control::Topic;
use super::rng::Rng;

/// The longest that an op is tried: everything else is measured by it.
pub const DEADLINE: u64 = 300;

#[derive(Debug, Clone)]
pub struct Weather {
    pub topic: Topic,
    pub coordinators: usize,
    pub ops_each: u64,
    pub loss: u64,
    pub late: u64,
    pub settle_loss: u64,
    pub settle_late: u64,
    pub hedge: u64,
    pub patience: u64,
    /// How long a coordinator may pause between two ops.
    pub pause: u64,
    /// How long a repair may wait in its queue.
    pub queue: u64,
    /// How long a state may be on its way between two nodes, before the settle that carries it is sent.
    pub stage: u64,
    /// How many of a hundred write rounds do not reach one node.
    pub misses: u64,
    pub reads: u64,
    pub slow_reads: u64,
    pub pops: u64,
    pub deletes: u64,
    pub expiries: u64,
    /// How many of a hundred retries come after the coordinator's machine stood still.
    pub suspends: u64,
    pub crashes: u64,
    /// How long a server may be down.
    pub downtime: u64,
    pub passes: u64,
    /// A pass follows each crash at once.
    pub prompt: bool,
    pub purges: u64,
    /// How many servers are no members at first.
    pub spares: usize,
    /// How many healers change the membership.
    pub changes: u64,
    /// How many of a hundred purges wait for what they mended.
    pub mends: u64,
    /// How far clocks may be from the true time, to either side.
    pub offset: u64,
    pub refused: u64,
    /// How often all servers end at once.
    pub outages: u64,
}

impl Weather {
    pub fn draw(rng: &mut Rng, topic: Topic) -> Self {
        let base = Self::base(rng, topic);
        match topic {
            Topic::Fences => base.fences(rng),
            Topic::Purge => base.purge(rng),
            Topic::Expiry => base.expiry(rng),
            Topic::Members => base.members(rng),
            Topic::Recovery => base.recovery(rng),
        }
    }

    fn base(rng: &mut Rng, topic: Topic) -> Self {
        Self {
            topic,
            coordinators: 2 + rng.below(2) as usize,
            ops_each: 1 + rng.below(3),
            loss: rng.pick(&[0, 0, 3, 10]),
            late: rng.pick(&[0, 10, 30]),
            settle_loss: rng.pick(&[0, 0, 30, 60]),
            settle_late: rng.pick(&[0, 20, 60]),
            hedge: rng.pick(&[8, 25]),
            patience: rng.pick(&[40, 120]),
            pause: rng.pick(&[1, 60, 300]),
            queue: rng.pick(&[1, 50, 400]),
            stage: 1,
            misses: rng.pick(&[0, 40, 80]),
            reads: rng.pick(&[20, 40]),
            slow_reads: rng.pick(&[0, 30]),
            pops: rng.pick(&[0, 0, 30]),
            deletes: 0,
            expiries: 0,
            suspends: 0,
            crashes: 0,
            downtime: 100,
            passes: 0,
            prompt: false,
            purges: 0,
            spares: 0,
            changes: 0,
            mends: 0,
            offset: 0,
            refused: rng.pick(&[0, 0, 5]),
            outages: 0,
        }
    }

    fn fences(self, rng: &mut Rng) -> Self {
        if rng.percent(40) {
            return self.prompt(rng);
        }
        Self {
            crashes: 1 + rng.below(4),
            passes: 1 + rng.below(4),
            patience: rng.pick(&[40, 120, DEADLINE]),
            stage: rng.pick(&[1, 1, 250]),
            offset: rng.pick(&[0, 100, 300]),
            ..self
        }
    }

    /// Nodes are back as voters while the settles of rounds that they were in before are still on their way.
    fn prompt(self, rng: &mut Rng) -> Self {
        Self {
            crashes: 1 + rng.below(2),
            prompt: true,
            coordinators: 3,
            ops_each: 1 + rng.below(2),
            loss: rng.pick(&[0, 5, 10]),
            late: rng.pick(&[0, 10]),
            settle_loss: rng.pick(&[0, 20]),
            settle_late: rng.pick(&[60, 90]),
            hedge: 8,
            patience: DEADLINE,
            pause: rng.pick(&[1, 60]),
            misses: rng.pick(&[50, 90]),
            offset: rng.pick(&[0, 0, 200]),
            refused: 0,
            ..self
        }
    }

    fn purge(self, rng: &mut Rng) -> Self {
        Self {
            deletes: rng.pick(&[40, 70]),
            reads: rng.pick(&[10, 30]),
            pops: rng.pick(&[0, 30]),
            pause: rng.pick(&[60, 900, 2_000]),
            queue: rng.pick(&[1, 400, 1_500]),
            stage: rng.pick(&[1, DEADLINE, 10 * DEADLINE]),
            suspends: rng.pick(&[0, 0, 20]),
            purges: 3 + rng.below(6),
            mends: rng.pick(&[40, 90]),
            crashes: rng.pick(&[0, 0, 1, 3]),
            passes: rng.pick(&[0, 1, 3]),
            prompt: rng.percent(30),
            downtime: rng.pick(&[100, 4_000]),
            offset: rng.pick(&[0, 20]),
            ops_each: 1 + rng.below(4),
            ..self
        }
    }

    fn members(self, rng: &mut Rng) -> Self {
        Self {
            spares: rng.below(2) as usize,
            changes: 1 + rng.below(3),
            crashes: rng.pick(&[0, 0, 1, 2]),
            passes: rng.pick(&[1, 2]),
            pause: rng.pick(&[1, 100, 300]),
            stage: rng.pick(&[1, 1, 250]),
            offset: rng.pick(&[0, 0, 100]),
            coordinators: 2,
            ops_each: 2 + rng.below(3),
            ..self
        }
    }

    fn recovery(self, rng: &mut Rng) -> Self {
        Self {
            outages: 1,
            passes: 2 + rng.below(4),
            // An outage leaves many ops open, and who judges the history tries all orders of them.
            coordinators: 2,
            patience: rng.pick(&[40, 120]),
            pause: rng.pick(&[1, 60, 200]),
            stage: rng.pick(&[1, 250]),
            offset: rng.pick(&[0, 100, 300]),
            ops_each: 2 + rng.below(2),
            ..self
        }
    }

    fn expiry(self, rng: &mut Rng) -> Self {
        Self {
            expiries: 60,
            offset: rng.pick(&[20, 60]),
            reads: rng.pick(&[20, 50]),
            pause: rng.pick(&[1, 30, 80]),
            pops: 0,
            ops_each: 2 + rng.below(3),
            ..self
        }
    }
}
