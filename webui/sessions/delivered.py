"""Answers of providers that a browser has delivered, kept in its session beside the notes.

An answer delivered twice (a double redirect, a reload, two presses at the provider)
finds its state used up.  The browser that brought it first, and no other, then sees the
first outcome.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from webui.oauth_manager import LINK_CODE_TTL
from webui.oauth_manager.values import Struct
from webui.sessions.note import DELIVERED, Note

MOST = 5  # of one service; the oldest are forgotten
_LONG_AGO = 1.0  # so that no card treats it as news


class Delivered(Struct, frozen=True):
    """One answer, by a digest of its state; ``at`` in epoch seconds.

    ``return_to`` is that of the attempt; ``is_done`` says that the outcome is noted.
    """

    digest: str
    at: int
    return_to: str
    is_done: bool

    def __str__(self) -> str:
        return f"{self.digest}:{self.at}:{self.return_to}:{'done' if self.is_done else ''}"


def remembered(
    notes: Mapping[str, Note],
    provider: str,
    state: str,
    return_to: str,
    *,
    now: float,
    is_done: bool,
) -> dict[str, Note]:
    """Return the entries to keep beside ``notes``, once an answer has used its state up."""
    one = Delivered(_digest(state), int(now), return_to, is_done)
    others = [other for other in _kept(notes, provider, now) if other.digest != one.digest]
    shown = " ".join(map(str, [*others, one][-MOST:]))
    return {_name(provider): Note(DELIVERED, ref=shown, at=_LONG_AGO)}


def delivered(notes: Mapping[str, Note], provider: str, state: str, now: float) -> Delivered | None:
    """Find the answer with this state, if this session's browser has brought it lately."""
    digest = _digest(state)
    return next((one for one in _kept(notes, provider, now) if one.digest == digest), None)


def _kept(notes: Mapping[str, Note], provider: str, now: float) -> Iterator[Delivered]:
    note = notes.get(_name(provider))
    for entry in note.ref.split() if note else ():
        digest, at, return_to, done = (*entry.split(":"), "", "", "")[:4]
        if at.isascii() and at.isdigit() and now - int(at) < LINK_CODE_TTL:
            yield Delivered(digest, int(at), return_to, done == "done")


def _name(provider: str) -> str:
    """Return a note's name that is no service's."""
    return f"delivered:{provider}"


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()[:32]
