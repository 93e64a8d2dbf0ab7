//! One file for each script, one for what they promise together; `support` speaks to a node as any language would.

mod admission;
mod apply;
mod apply_memory;
mod apply_refusals;
mod between_versions;
mod contract;
mod copy;
mod digest;
mod encoding;
mod expiry;
mod fill;
mod hostile;
mod read;
mod readme;
mod settle;
mod settle_state;
mod snapshot;
mod stream_form;
mod streams;
mod streams_random;
mod support;
mod wakes;
