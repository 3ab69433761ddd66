"""Journal: what is written about what happened, for people, bots and the operator."""

from .audit import MAX_REASON

__all__ = ["MAX_REASON"]
