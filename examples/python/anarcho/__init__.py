"""A coordinator for anarchoredis in Python: linearizable reads and writes on independent Redis servers, next to coordinators in other languages."""

from .coordinator import Coordinator
from .errors import CannotConnect, CommandError, Indeterminate, NoQuorum, NotApplied, Refused, ReplyLost

__all__ = ["Coordinator", "CannotConnect", "CommandError", "Indeterminate", "NoQuorum", "NotApplied", "Refused", "ReplyLost"]
