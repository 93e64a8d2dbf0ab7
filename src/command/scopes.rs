//! Which register a key belongs to.
//!
//! | the key | its register |
//! |---|---|
//! | starts with scopes of the cluster | the longest of these scopes |
//! | else has a hash tag, as in `{user:7}cart` | the tag |
//! | else | the key itself |
//!
//! All coordinators must follow one rule, or a key has two histories: so the scopes are written to every node when the cluster is
//! initialised, the cluster's id follows from them, and a client takes them from the nodes.

use super::key::{RESERVED_PREFIX, Register, shown};
use std::fmt;
use std::sync::Arc;

/// The prefixes whose keys make one register each; the empty prefix takes every key.
///
/// ```
/// use anarchoredis::command::Scopes;
/// let scopes = Scopes::new(["rq:"]).unwrap();
/// assert_eq!(scopes.register_of(b"rq:queues"), scopes.register_of(b"rq:job:{7}"));
/// assert_ne!(scopes.register_of(b"rq:queues"), scopes.register_of(b"other"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// The longest first, each once.
    longest_first: Arc<[Vec<u8>]>,
}

impl Scopes {
    /// Takes prefixes in any order, some perhaps twice.
    ///
    /// # Errors
    ///
    /// In words: a prefix that begins with the protocol's own.
    pub fn new<S: AsRef<[u8]>>(prefixes: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut all: Vec<Vec<u8>> = prefixes.into_iter().map(|prefix| prefix.as_ref().to_vec()).collect();
        if let Some(prefix) = all.iter().find(|prefix| prefix.starts_with(RESERVED_PREFIX)) {
            let prefix = shown(prefix);
            return Err(format!(
                "the scope '{prefix}' is refused: keys that start with 'anrcho_' hold the records"
            ));
        }
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        Ok(Self { longest_first: all.into() })
    }

    /// The key's register.
    pub fn register_of(&self, key: &[u8]) -> Register {
        Register::from_id(self.id_of(key))
    }

    /// The id of the key's register, without a copy.
    pub(super) fn id_of<'k>(&'k self, key: &'k [u8]) -> &'k [u8] {
        self.scope_of(key).unwrap_or_else(|| Register::tag_of(key).unwrap_or(key))
    }

    /// Whether two keys are in one register.
    pub(super) fn share(&self, one: &[u8], other: &[u8]) -> bool {
        self.id_of(one) == self.id_of(other)
    }

    /// The longest scope that the key starts with.
    pub(super) fn scope_of(&self, key: &[u8]) -> Option<&[u8]> {
        self.longest_first.iter().find(|scope| key.starts_with(scope)).map(Vec::as_slice)
    }

    /// Whether there are none, so that hash tags alone decide.
    pub fn is_empty(&self) -> bool {
        self.longest_first.is_empty()
    }

    /// As the nodes keep them: each in hexadecimal with a comma behind it, so that one empty scope is told from none.
    pub fn encode(&self) -> String {
        let hex = |scope: &Vec<u8>| scope.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + ",";
        self.longest_first.iter().map(hex).collect()
    }

    /// Reads what a node keeps; `None` where no client has written it so.
    pub fn decode(text: &str) -> Option<Self> {
        let Some(text) = text.strip_suffix(',') else {
            return text.is_empty().then(Self::default);
        };
        let scopes: Vec<Vec<u8>> = text.split(',').map(bytes_of).collect::<Option<_>>()?;
        let scopes = Self::new(scopes).ok()?;
        (scopes.encode() == format!("{text},")).then_some(scopes)
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> =
            self.longest_first.iter().map(|scope| format!("'{}'", shown(scope))).collect();
        match quoted.as_slice() {
            [] => f.write_str("no scopes"),
            [one] => write!(f, "the scope {one}"),
            all => write!(f, "the scopes {}", all.join(", ")),
        }
    }
}
