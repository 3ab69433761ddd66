"""A person's timeline, in words for support staff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webui.cards.timeline import times
from webui.oauth_manager import Event, Health, OAuthProvider
from webui.support.identifiers import masked
from webui.text import words
from webui.text.labels import clean_label, label_of

KINDS: dict[str, tuple[str, ...]] = {
    "connecting": (
        "connected",
        "reconnected",
        "denied",
        "connect_failed",
        "account_switched",
        "limited_accepted",
    ),
    "ended": ("disconnected", "revoked", "access_ended"),
    "checked": tuple(f"checked_{health}" for health in Health),
    "links": ("link_made", "link_used", "link_cancelled"),
    "used": ("used",),
    "support": (
        "support_viewed",
        "support_checked",
        "support_cancelled_links",
        "support_ended_sessions",
    ),
}
"""What the timeline can be narrowed to."""

STEPS = (*KINDS["connecting"], *KINDS["ended"], *KINDS["links"])
"""Of these the last one says why a service is not connected."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line; ``at`` in epoch seconds, ``detail`` a word of ours or an error code."""

    text: str
    by: str
    at: float
    account: str = ""
    detail: str = ""


def history(
    events: Iterable[Event], providers: Mapping[str, OAuthProvider], product: str, bot: str
) -> tuple[Happening, ...]:
    """Turn the events into lines, in order; a kind without words goes by its own name."""
    return tuple(_happening(event, providers, product, bot) for event in events)


def _happening(
    event: Event, providers: Mapping[str, OAuthProvider], product: str, bot: str
) -> Happening:
    label = label_of(event.provider, providers)
    names = {"provider": label, "product": product, "bot": bot}
    suffixes = (*times(event), *(() if label else ("_signin",)), "")
    sections = ("support.event", "activity")
    why = _first(
        [f"{s}.detail.{event.kind}_{event.detail}" for s in ("support", "activity")], names
    )
    keys = [f"{s}.{event.kind}{x}" for x in suffixes for s in sections]
    said = _first(keys, {**names, "count": event.detail})
    return Happening(
        text=f"{said or clean_label(f'{event.kind} {label}')} {why}".strip(),
        by=_first([f"support.by.{event.by}", f"activity.by.{event.by}"], names),
        at=event.at,
        account=masked(event.account),
        detail=""
        if why or times(event) or event.detail == event.kind
        else clean_label(event.detail),
    )


def _first(keys: Iterable[str], names: Mapping[str, str]) -> str:
    """Return the first of the sentences that the catalogue has."""
    found = (key for key in keys if key in words.CATALOGUE)
    return next((words.text(key, **names) for key in found), "")
