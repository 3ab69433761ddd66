"""A person's timeline, in words for support staff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from webui.cards.episodes import count_of
from webui.cards.timeline import Entry, first, joined, names_of, sentence
from webui.oauth_manager import Event, Health, OAuthProvider
from webui.oauth_manager.values import replace
from webui.support.identifiers import masked
from webui.text.labels import clean_label, isolated
from webui.text.receipts import answered, receipt_of

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


_SECTIONS = ("support.event", "activity.event")


def history(
    events: Iterable[Event],
    providers: Mapping[str, OAuthProvider],
    product: str,
    bot: str,
    whose: str = "",
) -> tuple[Entry, ...]:
    """Turn the events into lines, in order; a kind without words goes by its own name.

    ``whose`` is the person's id, which receipts are worked out from.
    """
    return tuple(_entry(event, providers, product, bot, whose) for event in answered(events))


def _entry(
    event: Event, providers: Mapping[str, OAuthProvider], product: str, bot: str, whose: str
) -> Entry:
    account, was, name = map(masked, (event.account, event.was, event.name))
    event = replace(event, account=account, was=was, name=name)
    names = names_of(event, providers, product, bot)
    count = count_of(event)
    said = sentence(event, names, _SECTIONS, count=count)
    unknown = isolated(f"{event.kind} {names['provider']}")
    why = first([f"{s}.detail.{event.kind}_{event.detail}" for s in ("support", "activity")], names)
    if event.kind == "disconnected" and whose:
        why = receipt_of(event, whose, str(names["provider"]), is_local=False)
    has_code = event.detail != event.kind and count == 1 and not why
    return Entry(
        text=said or unknown,
        more=joined([*_by(event, names), why]),
        at=event.at,
        mark=event.provider if event.provider in providers else "",
        label=str(names["provider"]),
        is_support=event.by == "support",
        code=clean_label(event.detail) if has_code else "",
    )


def _by(event: Event, names: Mapping[str, object]) -> list[Markup]:
    if event.ticket:
        return [first(["support.by.ticket"], names)]
    is_said = event.kind.startswith(("support_", "link_"))
    return [] if is_said else [first([f"support.by.{event.by}"], names)]
