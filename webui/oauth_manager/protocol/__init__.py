"""OAuth 2 on the wire: requests, answers and their words.  No Redis, no users."""

from ..errors import ProviderFailure

__all__ = ["ProviderFailure"]
