//! Read repair: what a node needs in order to hold what was decided.
//!
//! A repair is a settle of a history that a settle already chose, at the same ballot, so it can only repeat the truth
//! (I3). The ballot is the round's own after W2, and the accepted ballot of the winner after R2.

use super::quorum::NodeIndex;
use super::version::{Position, Standing};

/// What to send to a node so that it holds the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairNeed {
    /// A settle without state: the node holds, or may hold, this history and only needs to know that it is settled.
    /// It answers NEEDS_STATE, having changed nothing, where it does not hold it.
    Confirm,
    /// A settle with the state (or the delta): the node holds another history, or none.
    State,
}

impl RepairNeed {
    /// What a node needs that is known to stand at `position` (`None`: absent, or not known) to hold `decided`.
    pub fn towards(decided: Position, position: Option<Position>) -> Self {
        match position {
            Some(held) if held == decided => Self::Confirm,
            _ => Self::State,
        }
    }

    /// What a node that reported `standing` needs in order to hold what `decided` has settled; `None`: nothing.
    pub fn of_standing(decided: &Standing, standing: &Standing) -> Option<Self> {
        (standing != decided).then(|| Self::towards(decided.position, Some(standing.position)))
    }
}

/// Which nodes need what, in the order of the nodes.
pub type Repairs = Vec<(NodeIndex, RepairNeed)>;
