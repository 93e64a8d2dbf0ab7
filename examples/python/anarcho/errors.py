"""Errors that say what happened to the data."""


class CommandError(Exception):
    """The command itself failed, as Redis would say it. Nothing changed."""


class Refused(Exception):
    """The command was not sent: it has no deterministic form here, or names keys of several registers. Nothing changed."""


class NotApplied(Exception):
    """Gave up before any node can have run it. Nothing changed; it is safe to try again."""


class NoQuorum(NotApplied):
    """Fewer than a majority of the nodes could be asked. Nothing changed; it is safe to try again."""


class Indeterminate(Exception):
    """Gave up after some node may have run it: it may become visible later. Read before you decide whether to try again."""


class ReplyLost(Exception):
    """It was applied; its reply was too long to be remembered for the retry that learnt of it."""


class CannotConnect(Exception):
    """The nodes cannot be used together as they are; says which and what to do."""
