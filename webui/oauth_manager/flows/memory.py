"""Memory of shown connections, by a digest of the texts they were made of.

Redis is asked every time; only the opening of unchanged texts is saved.  No secret is
kept, and no text that holds one.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence

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


class Several:
    """The accounts of services that were shown last, for people who have several of one.

    It says where to look, too: those places are read on the trip that reads the first account.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[
            tuple[str, str], tuple[bytes, tuple[str, ...], list[Connection], float]
        ] = OrderedDict()

    def slots(self, first: Subject) -> tuple[str, ...]:
        """Return the slots of the further accounts, as they were the last time."""
        known = self._known.get((first.user_id, first.place))
        return known[1] if known else ()

    def recall(
        self, first: Subject, sealed: Sequence[Sealed], now: float
    ) -> list[Connection] | None:
        """Return what was made of these very texts, of the first account and the others."""
        known = self._known.get((first.user_id, first.place))
        if known is None or known[0] != _digest_of_all(sealed) or now >= known[3]:
            return None
        return known[2]

    def keep(
        self,
        first: Subject,
        slots: Sequence[str],
        sealed: Sequence[Sealed],
        rows: list[Connection],
    ) -> None:
        """Keep what was made of them until the access of one ends."""
        ends = [one.expires_at for one in rows if one.expires_at and not one.has_refresh_token]
        until = min(ends, default=math.inf)
        kept = _digest_of_all(sealed), tuple(slots), rows, until
        self._known[first.user_id, first.place] = kept
        self._known.move_to_end((first.user_id, first.place))
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def _digest_of_all(sealed: Sequence[Sealed]) -> bytes:
    texts = "\0".join(
        part for one in sealed for part in (one.tokens, one.profile, one.held, one.older, one.names)
    )
    return hashlib.blake2b(texts.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _digest(sealed: Sealed) -> bytes:
    # No two pairs of texts make the same message: neither holds a zero byte, unless foreign.
    message = f"{sealed.tokens}\0{sealed.profile}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(message, digest_size=16).digest()
