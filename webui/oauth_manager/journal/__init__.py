"""Journal: records of what happened, for people, bots and the operator."""

from .audit import MAX_REASON
from .notice_pages import BEGINNING, is_before
from .receipts import receipt_code

__all__ = ["BEGINNING", "MAX_REASON", "is_before", "receipt_code"]
