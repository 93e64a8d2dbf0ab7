//! Commands on keys of several registers that mean the same key by key: one call per register.
//!
//! As in Redis Cluster's clients, each part is linearizable and the whole is not atomic.

use super::call::{Call, Part, Plan};
use super::chunk::Batch;
use super::fold::Join;
use super::plan::unique;
use super::refusal::Refusal;
use super::request::Request;
use super::row::Row;
use super::scopes::Scopes;
use super::table::Table;
use std::collections::HashMap;

pub(super) fn split(
    table: &Table,
    row: &Row,
    join: Join,
    request: &Request<'_>,
    indices: &[usize],
) -> Result<Plan, Refusal> {
    let stride = row.chunk.map_or(1, |chunk| chunk.stride);
    // MSET with a key and no value: nothing may be set.
    if !(request.len() - 1).is_multiple_of(stride) {
        return Err(Refusal::Arity { name: row.name.to_owned() });
    }
    let parts = grouped(table.scopes(), request, indices)
        .into_iter()
        .map(|places| part(table.scopes(), row, request, indices, places, stride))
        .collect::<Result<Vec<Part>, Refusal>>()?;
    Ok(Plan::Split(parts, join))
}

/// The places of the keys (first, second, ...) per register, in the order of the registers' first mention.
fn grouped(scopes: &Scopes, request: &Request<'_>, indices: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of = HashMap::new();
    for (place, index) in indices.iter().enumerate() {
        let group = *group_of.entry(scopes.id_of(request.arg(*index))).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(places) => places.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

fn part(
    scopes: &Scopes,
    row: &Row,
    request: &Request<'_>,
    indices: &[usize],
    places: Vec<usize>,
    stride: usize,
) -> Result<Part, Refusal> {
    let starts: Vec<usize> = places.iter().filter_map(|place| indices.get(*place).copied()).collect();
    let mut command = vec![request.arg(0).to_vec()];
    for start in &starts {
        command.extend((*start..start + stride).map(|index| request.arg(index).to_vec()));
    }
    let keys = unique(starts.iter().map(|index| request.arg(*index)));
    let batch = Batch::of(row.name, command, row.chunk)?;
    let plain = Call::plain(scopes, keys, batch.commands);
    let call = Call { fold: batch.fold, unordered: row.unordered, wakes: row.wakes, ..plain };
    Ok(Part { access: row.access, call, places })
}
