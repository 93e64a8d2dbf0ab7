//! A sweep that names only what differs.
//!
//! ```text
//!   sums    of each node, 16 numbers that all its registers add up to             equal on all nodes: done
//!   marks   of the parts whose sums differ, 8 bytes of each register              equal: done
//!   pick    the names of those whose marks differ, from the pages they were on    compared and mended by name
//! ```
//!
//! Nodes keep keys in orders of their own, so no range of a scan can be compared with another node's; sums do not care for the order,
//! and a part is what the hash of the names makes it. Writes that come between two nodes' pages make registers differ that do not: they
//! are told apart at the end, where all nodes are asked at once.

use super::pace::Pace;
use super::side::Side;
use super::sweep::{Found, PAGE, Swept};
use super::{Pass, Progress, Summary};
use crate::error::Error;
use crate::script::{
    Compared, DigestPage, Mark, PARTS, Sums, Ticket, marks_call, parse_marks, parse_sums, pick_call, sum_call,
};
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a page of sums, and of a row, with the calls that ask for them.
const SUMS_BYTES: u64 = 600;
const ROW_BYTES: u64 = 200;
/// Marks that are held in memory at a time, of each node: of a larger store the parts are compared one after the other.
const MARKS_AT_ONCE: u64 = 8_000_000;
/// A page is looked for on so many pages from its cursor on: a server that makes room for more keys shifts them.
const PAGES_FROM: usize = 4;
/// The digits at which a state's mark may begin.
const DIGITS: u64 = 24;

/// What one node's scan gave of some parts.
type Marked = Vec<MarkedPage>;

/// Where the scan was, how many keys it looked at, and what was there.
struct MarkedPage {
    from: String,
    keys: usize,
    marks: Vec<Mark>,
}

impl Pass {
    /// Compares sums, then marks, then registers.
    pub(super) async fn sweep_by_sums(
        &self,
        swept: &Swept,
        found: &mut Found,
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let seen = AtomicU64::new(0);
        let tell = |more: u64| {
            let seen = seen.fetch_add(more, Ordering::Relaxed) + more;
            let each = seen / swept.nodes.len().max(1) as u64;
            progress.compared(each, swept.about().max(each), 0);
        };
        let sums =
            try_join_all(swept.nodes.iter().map(|side| self.sums(side, swept.compared(), &tell))).await?;
        let most = sums.iter().map(|sums| sums.registers).max().unwrap_or(0);
        found.seen = most;
        let differs = |part: &usize| sums.windows(2).any(|pair| pair[0].parts[*part] != pair[1].parts[*part]);
        let mut parts: Vec<usize> = (0..PARTS).filter(differs).collect();
        let fit = (MARKS_AT_ONCE / (most / PARTS as u64).max(1)).clamp(1, PARTS as u64) as usize;
        while !parts.is_empty() {
            let some: Vec<usize> = parts.drain(..fit.min(parts.len())).collect();
            let names = self.differing(swept, &some, found).await?;
            self.compare(swept, &names, found, summary).await?;
            self.tell(progress, found.seen, swept.about().max(found.seen), summary);
        }
        found.identical = found.seen.saturating_sub(found.differing);
        Ok(())
    }

    /// Sweeps at rest come again and again, and are to move little; a fill comes once, and is to be noticed little.
    async fn summary_pace(&self, side: &Side, compared: Compared) -> Pace {
        let pace = self.pace(side, PAGE).await;
        if compared == Compared::Digests { pace.in_whole_pages() } else { pace }
    }

    async fn sums(&self, side: &Side, compared: Compared, tell: &impl Fn(u64)) -> Result<Sums, Error> {
        let mut pace = self.summary_pace(side, compared).await;
        let (mut sums, mut cursor) = (Sums::default(), Some("0".to_owned()));
        while let Some(from) = cursor {
            pace.give_way().await;
            let keys = pace.keys();
            let encode = |ticket: &Ticket<'_>| sum_call(ticket, &from, keys, compared);
            let (next, page) = pace.timed(keys, self.ask_patiently(side, &encode, parse_sums)).await?;
            sums.add(&page);
            tell(page.registers);
            cursor = next;
            pace.spend(keys as u64, SUMS_BYTES).await;
        }
        Ok(sums)
    }

    /// The names of the registers in these parts that some nodes hold and others do not, or not alike.
    async fn differing(
        &self,
        swept: &Swept,
        parts: &[usize],
        found: &mut Found,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let digit = 1 + self.client.inner().surroundings().random() % DIGITS;
        let compared = swept.compared();
        let marks = swept.nodes.iter().map(|side| self.marks(side, compared, parts, digit));
        let marks: Vec<Marked> = try_join_all(marks).await?;
        let wanted = odd_ones(&marks);
        let picks = swept.nodes.iter().zip(&marks).map(|(side, marked)| self.pick(side, marked, &wanted));
        let mut names = BTreeSet::new();
        for (picked, missing) in try_join_all(picks).await? {
            names.extend(picked);
            // What a voter holds, a joining node must get before it votes; the next sweep finds it.
            found.failed += missing;
        }
        Ok(names.into_iter().collect())
    }

    async fn marks(
        &self,
        side: &Side,
        compared: Compared,
        parts: &[usize],
        digit: u64,
    ) -> Result<Marked, Error> {
        let mut pace = self.summary_pace(side, compared).await;
        let (mut marked, mut cursor) = (Marked::new(), Some("0".to_owned()));
        while let Some(from) = cursor {
            pace.give_way().await;
            let keys = pace.keys();
            let encode = |ticket: &Ticket<'_>| marks_call(ticket, &from, keys, compared, parts, digit);
            let asking = self.ask_patiently(side, &encode, |value| parse_marks(value, compared));
            let (next, marks) = pace.timed(keys, asking).await?;
            pace.spend(keys as u64, SUMS_BYTES + 12 * marks.len() as u64).await;
            marked.push(MarkedPage { from, keys, marks });
            cursor = next;
        }
        Ok(marked)
    }

    /// The names of a node's registers that have one of these marks; and how many of those that it had are not where they were.
    async fn pick(
        &self,
        side: &Side,
        marked: &Marked,
        wanted: &HashSet<u32>,
    ) -> Result<(Vec<Vec<u8>>, u64), Error> {
        let mut pace = self.pace(side, PAGE).await;
        let (mut names, mut missing) = (Vec::new(), 0);
        for MarkedPage { from: cursor, keys, marks } in marked {
            let mut looked_for = LookedFor::of(marks.iter().filter(|mark| wanted.contains(&mark.register)));
            let here: Vec<u32> = looked_for.marks();
            let mut from = Some(cursor.clone());
            for _ in 0..PAGES_FROM {
                let Some(at) = from.take().filter(|_| looked_for.missing() > 0) else { break };
                pace.give_way().await;
                let encode = |ticket: &Ticket<'_>| pick_call(ticket, &at, *keys, &here);
                let page = self.ask_patiently(side, &encode, DigestPage::parse).await?;
                pace.spend(*keys as u64, SUMS_BYTES + ROW_BYTES * page.rows.len() as u64).await;
                page.rows.into_iter().for_each(|row| looked_for.found(row.register));
                from = page.next;
            }
            missing += looked_for.missing();
            names.extend(looked_for.into_names());
        }
        Ok((names, missing))
    }
}

/// The registers of one page whose names are wanted. A scan may give a register twice, and two may have one mark: neither must pass
/// for one that is missing.
#[derive(Default)]
struct LookedFor(BTreeMap<u32, Names>);

/// The registers of one mark.
#[derive(Default)]
struct Names {
    states: BTreeSet<u64>,
    found: BTreeSet<Vec<u8>>,
}

impl LookedFor {
    fn of<'a>(marks: impl Iterator<Item = &'a Mark>) -> LookedFor {
        let mut all = LookedFor::default();
        for mark in marks {
            all.0.entry(mark.register).or_default().states.insert(mark.state);
        }
        all
    }

    fn marks(&self) -> Vec<u32> {
        self.0.keys().copied().collect()
    }

    fn found(&mut self, register: Vec<u8>) {
        if let Some(names) = self.0.get_mut(&Mark::register_of(&register)) {
            names.found.insert(register);
        }
    }

    fn missing(&self) -> u64 {
        self.0.values().map(|names| names.states.len().saturating_sub(names.found.len()) as u64).sum()
    }

    fn into_names(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_values().flat_map(|names| names.found)
    }
}

/// The registers, by their marks, that not all nodes hold in the same states.
fn odd_ones(marks: &[Marked]) -> HashSet<u32> {
    let mut states: HashMap<Mark, u64> = HashMap::new();
    for (place, marked) in marks.iter().enumerate() {
        for mark in marked.iter().flat_map(|page| &page.marks) {
            *states.entry(*mark).or_default() |= 1 << place;
        }
    }
    let all = marks.iter().enumerate().fold(0, |all, (place, _)| all | 1 << place);
    states.into_iter().filter(|(_, holders)| *holders != all).map(|(mark, _)| mark.register).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(marks: &[(u32, u64)]) -> Marked {
        let mark = |(register, state): &(u32, u64)| Mark { register: *register, state: *state };
        vec![MarkedPage { from: "0".into(), keys: PAGE, marks: marks.iter().map(mark).collect() }]
    }

    #[test]
    fn a_register_that_is_found_twice_does_not_stand_for_one_that_is_missing() {
        let register = |name: &str| Mark::register_of(name.as_bytes());
        let page = marked(&[(register("one"), 5), (register("two"), 6), (register("two"), 6)]);
        let mut looked_for = LookedFor::of(page[0].marks.iter());
        assert_eq!(looked_for.missing(), 2, "a scan may name one twice");
        looked_for.found(b"one".to_vec());
        looked_for.found(b"one".to_vec());
        assert_eq!(looked_for.missing(), 1);
        looked_for.found(b"two".to_vec());
        assert_eq!(looked_for.missing(), 0);
        let page = marked(&[(register("one"), 5), (register("one"), 7)]);
        let mut looked_for = LookedFor::of(page[0].marks.iter());
        looked_for.found(b"one".to_vec());
        assert_eq!(looked_for.missing(), 1, "two registers of one mark");
    }

    #[test]
    fn what_not_all_nodes_hold_alike_is_odd_wherever_it_is() {
        let odd = |nodes: &[&[(u32, u64)]]| {
            let nodes: Vec<Marked> = nodes.iter().map(|node| marked(node)).collect();
            odd_ones(&nodes).into_iter().collect::<BTreeSet<_>>()
        };
        assert!(odd(&[&[(1, 5), (2, 6)], &[(2, 6), (1, 5)], &[(1, 5), (2, 6), (2, 6)]]).is_empty());
        assert_eq!(odd(&[&[(1, 5)], &[(1, 5)], &[(1, 7)]]), BTreeSet::from([1]), "another state");
        assert_eq!(odd(&[&[(1, 5)], &[(1, 5), (3, 1)]]), BTreeSet::from([3]), "missing");
        assert_eq!(odd(&[&[(1, 5)], &[]]), BTreeSet::from([1]), "all missing");
    }
}
