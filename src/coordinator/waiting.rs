//! Whom a round waits for.
//!
//! Once a majority has answered, the others have the hedge delay to do so. A node that hangs is found out by the first round that has
//! waited for it in vain: those that come to this point later go on at once, until it answers anybody.

use super::attempt::Attempt;
use super::read::Reading;
use crate::protocol::{ApplyAnswer, NodeIndex, ReadAnswer, ReadStep, WriteStep};
use crate::script::Executed;

impl Attempt {
    pub(super) fn has_majority(&self) -> bool {
        let is_word = |answer: &ApplyAnswer<Executed>| !matches!(answer, ApplyAnswer::NoVote(_));
        let heard = self.view.indices().filter(|index| self.round.answer(*index).is_some_and(is_word));
        heard.count() >= self.view.quorum.majority()
    }

    /// Whether another round has waited already for a node that owes an answer to this one.
    pub(super) fn lacks_a_silent_one(&self) -> bool {
        let is_silent = |index| self.view.node(index).is_silent(self.hedge);
        self.view.indices().any(|index| self.round.answer(index).is_none() && is_silent(index))
    }

    /// Without those who have not answered.
    pub(super) fn go_on(&mut self) -> WriteStep {
        for index in self.view.indices() {
            if self.round.answer(index).is_none() {
                self.view.node(index).missed();
                self.dirty = true;
            }
        }
        self.round.on_hedge()
    }
}

impl Reading {
    pub(super) fn has_majority(&self) -> bool {
        let is_word =
            |index: &NodeIndex| !matches!(self.round.answer(*index), None | Some(ReadAnswer::NoVote));
        self.view.indices().filter(is_word).count() >= self.view.quorum.majority()
    }

    /// As of a write.
    pub(super) fn lacks_a_silent_one(&self) -> bool {
        let is_silent = |index| self.view.node(index).is_silent(self.hedge);
        self.view.indices().any(|index| self.round.answer(index).is_none() && is_silent(index))
    }

    /// Without those who have not answered.
    pub(super) fn go_on(&mut self) -> ReadStep {
        for index in self.view.indices() {
            if self.round.answer(index).is_none() {
                self.view.node(index).missed();
            }
        }
        self.round.on_hedge()
    }
}
