//! Contenders as readers know them.

/// In the order of tables and drawings.
const TITLES: [(&str, &str); 9] = [
    ("ours", "**anarchoredis**, linearizable"),
    ("evalsha", "bare `EVALSHA` to all three"),
    ("evalsha2", "bare `EVALSHA` to three, two awaited"),
    ("raw", "the command to all three"),
    ("raw2", "the command to three, two awaited"),
    ("plain", "one plain Redis"),
    ("wait1", "primary, two replicas, `WAIT 1`"),
    ("wait2", "primary, two replicas, `WAIT 2`"),
    ("etcd", "etcd, three nodes"),
];

/// For the page.
pub fn in_markdown(contender: &str) -> &str {
    TITLES.iter().find(|(word, _)| *word == contender).map_or(contender, |(_, title)| title)
}

/// For the terminal and for drawings.
pub fn plain(contender: &str) -> String {
    in_markdown(contender).replace(['*', '`'], "")
}

/// In the order of all.
pub fn place(contender: &str) -> usize {
    TITLES.iter().position(|(word, _)| *word == contender).unwrap_or(TITLES.len())
}
