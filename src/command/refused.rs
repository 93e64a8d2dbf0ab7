//! Our other table: what Redis 7.0 has and we do not run, by the reason.

/// The reason for which a command without a row is refused (lower case; a subcommand as `object|freq`).
pub(super) fn reason(name: &str) -> &'static str {
    let container = name.split('|').next().unwrap_or(name);
    let found =
        |name: &str| REFUSED.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason);
    found(name).or_else(|| found(container)).unwrap_or(UNKNOWN_TO_US)
}

/// The names of all refused commands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    REFUSED.iter().flat_map(|(names, _)| names.iter().copied())
}

/// Newer servers' commands and modules': they may depend on a node's clock, memory or random numbers.
const UNKNOWN_TO_US: &str =
    "it is not known to give the same result on every node (only commands of Redis 7.0 are)";

const REFUSED: &[(&[&str], &str)] = &[
    (
        &["psubscribe", "punsubscribe", "ssubscribe", "subscribe", "sunsubscribe", "unsubscribe"],
        "what it brings are messages, not a reply: Client::pubsub() gives them",
    ),
    (
        &["fcall", "fcall_ro", "function"],
        "functions are stored on each server, where nothing keeps them equal: send the script with EVAL",
    ),
    (&["script|debug"], "a debugger would hold up every node: debug against one Redis"),
    (
        &["script|kill"],
        "it is for the nodes that a script holds up, and not for the data: Client::kill_scripts() sends it to them",
    ),
    (&["pubsub", "script"], "name one of its subcommands"),
    (
        &["discard", "exec", "multi", "unwatch", "watch"],
        "a transaction is the state of one connection: use a pipeline with atomic(), or Client::session(), where it works as in Redis",
    ),
    (&["clusterscan"], "there is no Redis Cluster here: walk with SCAN"),
    (
        &["asking", "auth", "client", "hello", "quit", "readonly", "readwrite", "reset"],
        "it concerns one connection to one server: set what it sets in the nodes' URLs",
    ),
    (&["command"], "the table of commands is not served yet: ask a node"),
    (&["move", "swapdb"], "there is one database, 0; use a prefix of the keys instead"),
    (&["migrate", "restore-asking"], "it moves a key without its record: use DUMP and RESTORE"),
    (
        &["wait", "waitaof"],
        "there are no replicas to wait for: a write is acknowledged when a majority of the nodes holds it",
    ),
    (
        &["object|freq", "object|idletime"],
        "how often and when a key was used is each node's own knowledge: ask a node",
    ),
    (
        &[
            "commandlog",
            "info",
            "lastsave",
            "latency",
            "memory",
            "memory|doctor",
            "memory|malloc-stats",
            "memory|purge",
            "memory|stats",
            "monitor",
            "object",
            "role",
            "slowlog",
        ],
        "it tells about one server, not about the data: ask a node",
    ),
    (
        &[
            "acl",
            "bgrewriteaof",
            "bgsave",
            "config",
            "debug",
            "module",
            "pfdebug",
            "pfselftest",
            "save",
            "shutdown",
        ],
        "it administers one server: send it to each node",
    ),
    (
        &["cluster", "failover", "psync", "replconf", "replicaof", "slaveof", "sync"],
        "nodes replicate through this client only: Redis' own replication and Redis Cluster must stay off",
    ),
];
