"""Attempts to connect that brought no connection: the timeline, the chat, and the card's note."""

from __future__ import annotations

from starlette.requests import Request

from webui.incident_codes import refer
from webui.oauth_manager import Attempt, Connection, Event
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.storage import account_name, handle
from webui.oauth_manager.values import Struct, replace
from webui.sessions.note import Note
from webui.sessions.sessions import Session
from webui.site import Site, site_of


class End(Struct, frozen=True):
    """The end of an attempt: its outcome, and the provider's error code and trace."""

    user_id: str
    provider: str
    by: str  # ``chat`` if a link was the beginning, else ``web``
    key: str
    error: str = ""
    trace: str = ""


async def noted(request: Request, end: End) -> Note:
    """Write the end to the timeline, tell the chat if it began there, and return the note."""
    site = site_of(request)
    kind = "denied" if end.key == "denied" else "connect_failed"
    event = Event(kind, end.provider, end.by, site.clock.now(), detail=end.key)
    await site.manager.record(site.redis, end.user_id, event)
    if end.by == "chat":
        await site.manager.stories.ended(site.redis, end.user_id, end.provider, end.key)
    if end.key in ("denied", "start_here", "too_many"):
        return Note(end.key)
    ref = await refer(request, end.key, provider=end.provider, code=end.error, trace=end.trace)
    return Note(end.key, ref=ref)


async def not_begun(
    request: Request,
    session: Session,
    provider: str,
    by: str,
    failure: ProviderFailure,
    *,
    is_adding: bool = False,
) -> Session:
    """Put the note that connecting could not begin: the provider had to be asked, and failed."""
    end = End(session.user, provider, by, failure.outcome, failure.code, failure.trace)
    note = replace(await noted(request, end), is_adding=is_adding)
    return await site_of(request).sessions.put_note(session, provider, note)


async def card_of(site: Site, attempt: Attempt) -> tuple[str, bool]:
    """Return the place of the card that tells of an attempt, and if it was for another account.

    One round trip for the attempt of a link.
    """
    if attempt.place or attempt.return_to != "done":
        return attempt.card, attempt.is_adding
    return await card_of_link(site, attempt.user_id, attempt.provider, attempt.account)


async def card_of_link(site: Site, user_id: str, provider: str, account: str) -> tuple[str, bool]:
    """Return the place of the card that tells of a link's end, and like :func:`card_of`.

    It is that of the account that the link names, if there is one, or else the first.
    One round trip.
    """
    known = await site.manager.connections(site.redis, user_id)
    own = [one for one in known if one.provider == provider]
    meant = next((one for one in own if account and _is_called(one, account)), None)
    return (meant or own[0]).place, meant is None and (bool(account) or len(own) > 1)


def _is_called(known: Connection, wanted: str) -> bool:
    if wanted == handle(known.slot):
        return True
    return bool(known.name) and account_name(known.name) == account_name(wanted)
