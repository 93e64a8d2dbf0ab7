//! Lists.

use super::super::reply::{Error, NO_SUCH_KEY, Outcome, Reply};
use super::super::session::Session;
use super::super::value::List;
use super::{number, range};

pub fn push(session: &mut Session<'_>, words: &[&[u8]], at_head: bool) -> Outcome {
    session.store.edit(words[1], |list: &mut List| {
        for element in &words[2..] {
            if at_head { list.push_front(element.to_vec()) } else { list.push_back(element.to_vec()) }
        }
        Reply::count(list.len())
    })
}

pub fn pop(session: &mut Session<'_>, words: &[&[u8]], at_head: bool) -> Outcome {
    let out_of_range = Error::new("ERR value is out of range, must be positive");
    let count = match words {
        [_, _] => None,
        [_, _, count] => Some(number(count).ok().filter(|count| *count >= 0).ok_or(out_of_range)?),
        _ => return Err(Error::new("ERR wrong number of arguments for 'lpop' command")),
    };
    if !session.store.contains(words[1]) {
        return Ok(Reply::Nil);
    }
    let take = |list: &mut List| if at_head { list.pop_front() } else { list.pop_back() };
    session.store.edit(words[1], |list: &mut List| match count {
        None => Reply::optional(take(list)),
        Some(count) => Reply::strings((0..count).map_while(|_| take(list))),
    })
}

pub fn llen(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.view::<List>(words[1])?.map_or(0, List::len)))
}

pub fn lrange(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    number(words[2]).and(number(words[3]))?;
    let Some(list) = session.store.view::<List>(words[1])? else { return Ok(Reply::Array(Vec::new())) };
    Ok(Reply::strings(list.range(range(words[2], words[3], list.len())?)))
}

pub fn lrem(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let count = number(words[2])?;
    session.store.edit(words[1], |list: &mut List| {
        let places = list.iter().enumerate().filter(|(_, element)| *element == words[3]);
        let mut places: Vec<usize> = places.map(|(place, _)| place).collect();
        if count < 0 {
            places.reverse();
        }
        if count != 0 {
            places.truncate(usize::try_from(count.unsigned_abs()).expect("64 bits"));
        }
        places.sort_unstable();
        for place in places.iter().rev() {
            list.remove(*place);
        }
        Reply::count(places.len())
    })
}

pub fn lset(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let length = session.store.view::<List>(words[1])?.ok_or(NO_SUCH_KEY)?.len() as i64;
    let given = number(words[2])?;
    let place = if given < 0 { given + length } else { given };
    if !(0..length).contains(&place) {
        return Err(Error::new("ERR index out of range"));
    }
    session.store.edit(words[1], |list: &mut List| {
        list[place as usize] = words[3].to_vec();
        Reply::OK
    })
}
