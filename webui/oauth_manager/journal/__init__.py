"""Journal: records of what happened, for people, bots and the operator."""

from .audit import MAX_REASON
from .receipts import receipt_code

__all__ = ["MAX_REASON", "receipt_code"]
