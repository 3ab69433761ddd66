"""Memory of shown connections, by a digest of the texts they were made of.

Redis is asked every time; only the opening of unchanged texts is saved.  No secret is
kept, and no text that holds one.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict

from ..models import Connection
from ..storage.records import Sealed
from ..storage.storage import Subject

MOST = 10_000  # connections


class Memory:
    """The connections that were shown last, one for each person and provider."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], tuple[bytes, Connection, float]] = OrderedDict()

    def recall(self, subject: Subject, sealed: Sealed, now: float) -> Connection | None:
        """Return what was made of these very texts, if it is still true at ``now``."""
        place = (subject.user_id, subject.place)
        known = self._known.get(place)
        if known is None:
            return None
        digest, connection, until = known
        if digest != _digest(sealed) or now >= until:
            del self._known[place]
            return None
        self._known.move_to_end(place)
        return connection

    def keep(self, subject: Subject, sealed: Sealed, connection: Connection) -> None:
        """Keep what was made of them until its access ends; the longest unseen gives way."""
        ends = connection.expires_at and not connection.has_refresh_token
        until = connection.expires_at if ends else math.inf
        self._known[subject.user_id, subject.place] = (_digest(sealed), connection, until)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def _digest(sealed: Sealed) -> bytes:
    # No two pairs of texts make the same message: neither holds a zero byte, unless foreign.
    message = f"{sealed.tokens}\0{sealed.profile}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(message, digest_size=16).digest()
