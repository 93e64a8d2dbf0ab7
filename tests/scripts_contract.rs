//! The scripts against real servers of every version: what `lua/README.md` promises to every language.

mod harness;
mod scripts;
mod streams_support;
mod workload;
