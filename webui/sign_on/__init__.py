"""Sign-on with an OpenID provider, for staff or for everybody.

The views use ``flow``; it asks ``discovery`` and ``keys`` about the provider, keeps an
attempt with ``attempts``, has the id token checked by ``id_token`` and read by
``identity``.  ``userinfo`` tells who is in support, now and with every request of theirs.
"""

from .attempts import ATTEMPT_SECONDS, Attempt, take_attempt
from .flow import SignOn, is_away
from .identity import Identity, IdTokenRefused

__all__ = [
    "ATTEMPT_SECONDS",
    "Attempt",
    "IdTokenRefused",
    "Identity",
    "SignOn",
    "is_away",
    "take_attempt",
]
