"""``/support/overview``: how many connections of each service are in which state; no names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response

from webui.access.roles import require_staff
from webui.oauth_manager import OAuthProvider, Status, Week
from webui.rendering.render import render
from webui.site import site_of
from webui.support.identifiers import spelled
from webui.text import words
from webui.text.labels import label_of

_STATES = (Status.CONNECTED, Status.RECONNECT_NEEDED, Status.UNREADABLE)

Count = tuple[str, int, str]
"""The name of a state, how many connections are in it, and the change in a week, if any."""


async def overview(request: Request) -> Response:
    """``GET /support/overview``.  One round trip beside the session's; nothing is counted now."""
    staff = await require_staff(request)
    site = site_of(request)
    week = await site.manager.week(site.redis)
    return render(
        request,
        "support_overview.html",
        staff=spelled(staff.id),
        now=site.clock.now(),
        at=week.at if week else 0.0,
        services=list(services(week, site.manager.providers)) if week else [],
    )


def services(
    week: Week, providers: Mapping[str, OAuthProvider]
) -> Iterator[tuple[str, str, list[Count]]]:
    """Yield each service that has connections, or had some: its name, label and counts."""
    found = {name: label_of(name, providers) for name in week.counts.keys() | week.before.keys()}
    for name, label in sorted(found.items(), key=lambda one: one[1].lower()):
        yield name, label, list(_of_service(week, name))


def _of_service(week: Week, name: str) -> Iterator[Count]:
    counts, before = week.counts.get(name, {}), week.before.get(name, {})
    for state in _STATES:
        number, was = counts.get(state, 0), before.get(state, 0)
        if number or was:
            yield words.text(f"support.overview.{state}"), number, _change(week, number - was)


def _change(week: Week, more: int) -> str:
    if not week.days:
        return ""
    key = "more" if more > 0 else "fewer" if more else "same"
    return words.text(f"support.overview.{key}", count=abs(more), days=_days(week.days))


def _days(number: int) -> str:
    return words.text(f"support.overview.day{'s' if number != 1 else ''}", count=number)
