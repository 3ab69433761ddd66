"""Journal: records of what happened, for people, bots and the operator."""

from .audit import MAX_REASON

__all__ = ["MAX_REASON"]
