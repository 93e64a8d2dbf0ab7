//! Keys and the registers that they belong to.

use std::fmt;

/// Every key that starts so belongs to the protocol, and no user command may name one.
pub const RESERVED_PREFIX: &[u8] = b"anrcho_";

/// The unit of replication: all keys that start with the same scope of the cluster, or that Redis Cluster would hash by the same text.
///
/// The id is the scope (see [`Scopes`]), else the text between the first `{` and the first `}` after it, if there is any, else the whole
/// key. So `t` and `{t}x` share the register `t`, and where `rq:` is a scope, `rq:`, `rq:a` and `{rq:}x` share the register `rq:`.
///
/// [`Scopes`]: super::Scopes
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(Vec<u8>);

impl Register {
    /// The register of a key where the cluster has no scopes; else ask [`Scopes::register_of`](super::Scopes::register_of).
    ///
    /// ```
    /// use anarchoredis::command::Register;
    /// assert_eq!(Register::of(b"{user:1}cart"), Register::of(b"user:1"));
    /// assert_ne!(Register::of(b"{}a"), Register::of(b"{}b"));
    /// ```
    pub fn of(key: &[u8]) -> Self {
        Self(Self::tag_of(key).unwrap_or(key).to_vec())
    }

    /// The register that has this id (as a node's record key spells it).
    pub fn from_id(id: impl Into<Vec<u8>>) -> Self {
        Self(id.into())
    }

    /// The text that stands for the register: as a key it is in this register, unless braces are odd.
    pub fn id(&self) -> &[u8] {
        &self.0
    }

    /// The key of the record that every node keeps for this register.
    pub fn record_key(&self) -> Vec<u8> {
        [b"anrcho_version:{", self.0.as_slice(), b"}"].concat()
    }

    /// The register that a record key belongs to; `None` for any other key.
    pub fn of_record_key(key: &[u8]) -> Option<Self> {
        let id = key.strip_prefix(b"anrcho_version:{")?.strip_suffix(b"}")?;
        Some(Self(id.to_vec()))
    }

    /// The key's hash tag, if it has one.
    pub(super) fn tag_of(key: &[u8]) -> Option<&[u8]> {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({self})")
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Whether the key belongs to the protocol.
pub(super) fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(RESERVED_PREFIX)
}

/// A key as error messages show it: one line of ASCII, cut at 64 bytes.
pub(super) fn shown(key: &[u8]) -> String {
    match key.get(..64) {
        Some(start) if key.len() > 64 => format!("{}...", start.escape_ascii()),
        _ => key.escape_ascii().to_string(),
    }
}
