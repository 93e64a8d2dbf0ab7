//! From a sequence that shows a difference to a short one that does.

use crate::generate::Words;
use crate::stores::Stores;
use crate::trial::Difference;

/// How many shorter ones are tried.
const TRIES: usize = 400;

/// Leaves out ever smaller parts while what is left still shows a difference (Zeller's delta debugging, without its
/// complements). What happens only now and then may not be shown again: then the sequence stays as it is.
pub async fn shrink(
    stores: &Stores,
    mut sequence: Vec<Words>,
    mut seen: Difference,
) -> (Vec<Words>, Difference) {
    let (mut size, mut tries) = (sequence.len() / 2, 0);
    while size > 0 && tries < TRIES {
        let mut at = 0;
        while at < sequence.len() && tries < TRIES {
            let end = (at + size).min(sequence.len());
            let shorter = [&sequence[..at], &sequence[end..]].concat();
            tries += 1;
            match stores.try_out(&shorter).await {
                Err(difference) => (sequence, seen) = (shorter, difference),
                Ok(_) => at = end,
            }
        }
        size /= 2;
    }
    (sequence, seen)
}
