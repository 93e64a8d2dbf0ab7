// A coordinator for anarchoredis: linearizable reads and writes on independent Redis servers, next to coordinators in other languages.
export { Coordinator } from './coordinator.mjs';
export { CannotConnect, CommandError, Indeterminate, NoQuorum, NotApplied, Refused, ReplyLost } from './errors.mjs';
