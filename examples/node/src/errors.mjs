// Errors that say what happened to the data.

/** The command itself failed, as Redis would say it. Nothing changed. */
export class CommandError extends Error {}
/** The command was not sent: it has no deterministic form here, or names keys of several registers. Nothing changed. */
export class Refused extends Error {}
/** Gave up before any node can have run it. Nothing changed; it is safe to try again. */
export class NotApplied extends Error {}
/** Fewer than a majority of the nodes could be asked. Nothing changed; it is safe to try again. */
export class NoQuorum extends NotApplied {}
/** Gave up after some node may have run it: it may become visible later. Read before you decide whether to try again. */
export class Indeterminate extends Error {}
/** It was applied; its reply was too long to be remembered for the retry that learnt of it. */
export class ReplyLost extends Error {}
/** The nodes cannot be used together as they are; says which and what to do. */
export class CannotConnect extends Error {}
