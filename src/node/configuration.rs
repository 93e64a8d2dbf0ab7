//! Who the members of a cluster are in one generation, as the nodes keep it.

use crate::command::RESERVED_PREFIX;
use crate::protocol::Epoch;
use std::collections::BTreeSet;
use std::fmt;

/// A node of the cluster, whatever server is behind it now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The node's id.
    pub id: String,
    /// Where it was reached when it was added or the members last changed. The first members are in every client's list.
    pub address: Option<String>,
}

impl Member {
    fn parse(text: &str) -> Member {
        match text.split_once('@') {
            Some((id, address)) => Member { id: id.to_owned(), address: Some(address.to_owned()) },
            None => Member { id: text.to_owned(), address: None },
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{}@{address}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// The members of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Counts the changes of members, and the times that everything was deleted.
    pub generation: u64,
    /// All of them.
    pub members: Vec<Member>,
    /// The generation in which everything was deleted last; 0 for never.
    pub flushed: u64,
}

impl Configuration {
    /// The key of the register that says which generation comes after which.
    pub fn key() -> Vec<u8> {
        [RESERVED_PREFIX, b"config"].concat()
    }

    /// Members as the nodes keep them: ids, comma between, each with `@address` where it is known.
    pub fn parse_members(text: &str) -> Vec<Member> {
        text.split(',').filter(|id| !id.is_empty()).map(Member::parse).collect()
    }

    /// The other way round.
    pub fn members_text(&self) -> String {
        self.members.iter().map(Member::to_string).collect::<Vec<_>>().join(",")
    }

    /// Whether it is the same one, wherever the members are reached.
    pub fn is_same(&self, other: &Configuration) -> bool {
        let ids =
            |of: &Configuration| of.members.iter().map(|member| member.id.clone()).collect::<BTreeSet<_>>();
        (self.generation, self.flushed) == (other.generation, other.flushed) && ids(self) == ids(other)
    }

    /// Whether a node of this id is one of them.
    pub fn contains(&self, id: &str) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// The epoch under which every member enters the generation.
    pub fn first_epoch(&self) -> Epoch {
        Epoch::first_of(self.generation)
    }
}
