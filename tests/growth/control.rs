//! The subjects of the search, and what each of them must not do: switches in nodes and drivers, never in the rounds.

/// What a schedule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Fences,
    Purge,
    Expiry,
    Members,
    Recovery,
}

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing.
    Sound,
    /// A server that came back with older data votes at once.
    RolledBackVotes,
    /// A rejoin that leaves the voters in their epoch, and copies what plain reads rank highest.
    PlainCopies,
    /// A node that was not there for the sweep, or that the sweep could not fill, is promoted where another was away: what the
    /// healer does.
    CountsAwayAsFilled,
    /// Purge as it was first written down: age and deadlines alone, and nothing that turns an old ballot away.
    PurgeByDeadlinesAlone,
    /// A purge that asks a majority only.
    PurgeByMajority,
    /// A purge of tombstones of any age.
    PurgeWithoutAge,
    /// A purge goes on without the nodes that are away, and they vote when they are back.
    AwayVotes,
    /// A purge leaves the nodes that are away behind in an older epoch, and goes on without them.
    FencesTheAway,
    /// A joining node keeps what no voter has.
    KeepsPurged,
    /// The time that is left to an op is counted by a clock that stands still while its machine does.
    DeadlineStandsStill,
    /// Keys expire by each node's clock, not by the op's.
    OwnClocks,
    /// A time to live is sent, and every node makes a time of it.
    RelativeTtl,
    /// No EXPIRING answer: a node says what it has.
    NoExpiringAnswer,
    /// No answer to a read says what is due: R2 answers from what has expired since the settle.
    DueByMajority,
    /// A new server votes before it is a full copy.
    VotesUnfilled,
    /// A new server is filled by the old configuration, and votes from the first moment of the new one.
    FilledBefore,
    /// A change that follows another without a sweep of its own.
    ChangesUnswept,
    /// One change that removes two servers.
    TwoAtOnce,
    /// The majority stays that of the size before the configuration grew.
    OldMajority,
    /// A node that moved to a newer configuration still answers calls of an older one.
    OlderCalls,
    /// A recovery takes a node that is not there for one that holds nothing.
    RecoversFromSome,
    /// A recovery that goes by the length of a history, whatever was settled.
    RecoversByVersion,
}

impl Control {
    /// Whether a node without a record refuses what is as old as a purged promise.
    pub fn refuses_stale(self) -> bool {
        !matches!(self, Self::PurgeByDeadlinesAlone)
    }
}
