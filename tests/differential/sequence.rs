//! A random sequence of commands: few of them, often, so that they meet.

use std::collections::BTreeSet;

use anarchoredis::command::Plan;

use crate::docs::Command;
use crate::generate::{Words, phrase, spoil};
use crate::keys;
use crate::limits::{is_alike_on_all_versions, is_allowed, is_by_lex, is_long};
use crate::rng::Rng;
use crate::stores::Stores;
use crate::trial::now_ms;

pub const LENGTH: u64 = 120;
/// How many of a sequence's commands are wrong or odd, in percent.
const SPOILED: u64 = 15;

/// The sequence of a seed.
pub fn sequence(seed: u64, stores: &Stores) -> Vec<Words> {
    let mut rng = Rng::new(seed);
    let own: BTreeSet<Vec<u8>> = keys::all().into_iter().collect();
    let favourites: Vec<&Command> = (0..12).map(|_| any(&mut rng, stores)).collect();
    let by_lex = rng.percent(50);
    (0..LENGTH).map(|_| one(&mut rng, stores, &favourites, &own, by_lex)).collect()
}

fn any<'a>(rng: &mut Rng, stores: &'a Stores) -> &'a Command {
    &stores.commands[rng.below(stores.commands.len() as u64) as usize]
}

fn one(
    rng: &mut Rng,
    stores: &Stores,
    favourites: &[&Command],
    own: &BTreeSet<Vec<u8>>,
    by_lex: bool,
) -> Words {
    loop {
        let command = if rng.percent(60) { rng.pick(favourites) } else { any(rng, stores) };
        let mut words = phrase(rng, command, &stores.payloads);
        // What is wrong is refused in an order and in words that each version has of its own.
        while !stores.is_mixed && rng.percent(SPOILED) {
            spoil(rng, &mut words);
        }
        // Either ranges by lex, or members that sorted sets hold in skip lists.
        let is_out_of_place = if by_lex { is_long(&words) } else { is_by_lex(&words) };
        if is_out_of_place {
            continue;
        }
        if stores.has_other_words && !is_alike_on_all_versions(&words) {
            continue;
        }
        if is_allowed(&words, now_ms()) && can_be_told(stores, &words) && names_only(own, stores, &words) {
            return words;
        }
    }
}

/// Servers repeat what they do not understand, Valkey also places that are not there, and redis-rs ends the connection to the
/// plain server where an error is not UTF-8.
fn can_be_told(stores: &Stores, words: &Words) -> bool {
    let is_text = words.iter().all(|word| std::str::from_utf8(word).is_ok());
    let name = words[0].to_ascii_lowercase();
    is_text
        || name == b"restore"
        || (stores.plan(words).is_ok() && (name == b"geoadd" || !name.starts_with(b"geo")))
}

/// A word that was put in a key's place would be a key that other sequences use as well.
fn names_only(own: &BTreeSet<Vec<u8>>, stores: &Stores, words: &Words) -> bool {
    let keys = match stores.plan(words) {
        Ok(Plan::Read(call) | Plan::Write(call)) => call.keys,
        Ok(Plan::Pick(pick)) => pick.read.keys,
        Ok(Plan::Split(parts, _)) => parts.into_iter().flat_map(|part| part.call.keys).collect(),
        Ok(Plan::Block(block)) => block.keys().to_vec(),
        Ok(
            Plan::Local(_) | Plan::Walk(_) | Plan::Publish(_) | Plan::Census(_) | Plan::Ask(_) | Plan::Flush,
        )
        | Err(_) => Vec::new(),
    };
    keys.iter().all(|key| own.contains(key))
}
