//! The parts of a run.

pub mod closed;
pub mod conditions;
pub mod durable;
mod faults;
pub mod hot;
pub mod large;
pub mod open;
pub mod scope;

use crate::record::Place;
use crate::workload::Workload;

/// A healthy place of one coordinator.
pub fn place(section: &str, workload: Workload, bytes: usize, tasks: usize) -> Place {
    Place {
        section: section.to_owned(),
        workload: workload.name().to_owned(),
        bytes,
        tasks,
        coordinators: 1,
        condition: "healthy".to_owned(),
    }
}
