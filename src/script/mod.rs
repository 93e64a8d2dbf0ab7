//! The scripts that a node runs: embedded Lua, pasted from its fragments, and the arguments and replies as types.
//!
//! A script's text is the fragments that its `USES` header line names, in that order, followed by the file itself. Every
//! coordinator in every language pastes by that one rule, so all of them share one SHA-1 and one cached copy per node.
//! `lua/README.md` is the contract.

mod adopt;
mod answer;
mod bunch;
mod call;
mod copy;
mod digest;
mod native;
mod parse;
mod purge;
mod record;
mod state;
mod summary;

pub use adopt::{AdoptCall, AdoptReply, drop_call, parse_dropped};
pub use answer::{ApplyReply, Executed, ReadReply, Replies, SettleReply};
pub use bunch::{Limits, Part, bunch_call, split_bunch};
pub use call::{ApplyCall, Flags, ReadCall, SettleCall, SettleMode, Ticket};
pub use copy::{Copies, copy_in_call, copy_of_call, copy_scan_call, parse_copied};
pub use digest::{
    DigestPage, DigestRow, Dirty, Held, clean_call, count_call, digest_of_call, digest_scan_call, dirty_call,
    filling_call, forget_call, mark_call, parse_count, parse_dirty, swept_call,
};
pub use native::NativeRead;
pub use parse::{Malformed, bytes, fields, integer, text};
pub use purge::{
    PurgePage, Purged, Tombstone, Verdict, parse_purged, purge_drop_call, purge_of_call, purge_page,
    purge_scan_call,
};
pub use record::Record;
pub use state::{Form, KeyState, Slice, Snapshot, SnapshotReply, Want, is_staged, snapshot_call, stage_call};
pub use summary::{Compared, Mark, PARTS, Sums, marks_call, parse_marks, parse_sums, pick_call, sum_call};

use include_dir::{Dir, include_dir};
use std::sync::OnceLock;

/// The fragments alone: beside the scripts there are test vectors, which nobody needs at run time.
static LIB: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/lua/lib");

/// The scripts, by name: the same list, in the same order, for every node.
pub const NAMES: [Name; 11] = [
    Name::Apply,
    Name::Read,
    Name::Settle,
    Name::Snapshot,
    Name::Stage,
    Name::Digest,
    Name::Admit,
    Name::Purge,
    Name::Copy,
    Name::Adopt,
    Name::Bunch,
];

/// One of the scripts in `lua/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Promise a ballot and run one op.
    Apply,
    /// Run read-only commands.
    Read,
    /// Accept a history under a ballot.
    Settle,
    /// Fetch a register's state.
    Snapshot,
    /// Collect the slices of a large key.
    Stage,
    /// Version digests, page by page.
    Digest,
    /// Who a node is.
    Admit,
    /// The end of tombstones.
    Purge,
    /// Many registers at a time, for a node that is being filled.
    Copy,
    /// Keys that were there before.
    Adopt,
    /// Several ops in one call.
    Bunch,
}

impl Name {
    /// The file's name in `lua/`, without its ending.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Apply => "apply",
            Name::Read => "read",
            Name::Settle => "settle",
            Name::Snapshot => "snapshot",
            Name::Stage => "stage",
            Name::Digest => "digest",
            Name::Admit => "admit",
            Name::Purge => "purge",
            Name::Copy => "copy",
            Name::Adopt => "adopt",
            Name::Bunch => "bunch",
        }
    }

    /// The file's own text.
    fn body(self) -> &'static str {
        match self {
            Name::Apply => include_str!("../../lua/apply.lua"),
            Name::Read => include_str!("../../lua/read.lua"),
            Name::Settle => include_str!("../../lua/settle.lua"),
            Name::Snapshot => include_str!("../../lua/snapshot.lua"),
            Name::Stage => include_str!("../../lua/stage.lua"),
            Name::Digest => include_str!("../../lua/digest.lua"),
            Name::Admit => include_str!("../../lua/admit.lua"),
            Name::Purge => include_str!("../../lua/purge.lua"),
            Name::Copy => include_str!("../../lua/copy.lua"),
            Name::Adopt => include_str!("../../lua/adopt.lua"),
            Name::Bunch => include_str!("../../lua/bunch.lua"),
        }
    }
}

/// A script as a node caches it.
#[derive(Debug)]
pub struct Script {
    /// The pasted text, as `SCRIPT LOAD` takes it.
    pub source: String,
    /// Its SHA-1 in lower-case hex, as `EVALSHA` takes it.
    pub sha: String,
}

/// The pasted script of that name.
pub fn script(name: Name) -> &'static Script {
    static SCRIPTS: OnceLock<Vec<Script>> = OnceLock::new();
    &SCRIPTS.get_or_init(|| NAMES.iter().map(|name| paste(*name)).collect())[name as usize]
}

/// The number of the contract that these scripts keep, as `admit look` tells a node's.
pub fn contract() -> &'static str {
    static CONTRACT: OnceLock<&'static str> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let line = fragment("contract").lines().find_map(|line| line.strip_prefix("local contract = '"));
        line.map(|rest| rest.trim_end_matches('\'')).unwrap_or_default()
    })
}

fn fragment(name: &str) -> &'static str {
    LIB.get_file(format!("{name}.lua")).and_then(|file| file.contents_utf8()).unwrap_or_default()
}

fn paste(name: Name) -> Script {
    let body = name.body();
    let uses = body.lines().find_map(|line| line.strip_prefix("-- USES")).unwrap_or_default();
    let mut source = String::new();
    for name in uses.split_whitespace() {
        source.push_str(fragment(name));
    }
    source.push_str(body);
    let sha = sha1_smol::Sha1::from(source.as_bytes()).hexdigest();
    Script { source, sha }
}

/// The first 16 hex digits of the SHA-1 of the parts, with a line break between: ids that every client derives alike.
pub fn short_hash(parts: &[&str]) -> String {
    let mut digest = sha1_smol::Sha1::from(parts.join("\n").as_bytes()).hexdigest();
    digest.truncate(16);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_embedded_with_its_fragments() {
        for name in NAMES {
            let script = script(name);
            assert!(script.source.contains(&format!("-- {}: ", name.as_str())), "{name:?}");
            assert_eq!(script.sha.len(), 40);
        }
        assert!(script(Name::Apply).source.starts_with("-- fence: "));
        assert_eq!(contract(), "2");
    }
}
