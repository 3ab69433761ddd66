"""The gate before anything staff see or do: the limit, the reason, the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.requests import Request

from webui.access.roles import Staff
from webui.fetch_metadata import is_prefetch
from webui.oauth_manager import AuditRecord
from webui.oauth_manager.journal import MAX_REASON
from webui.rate_limits import LIMITS, LOOKUPS, TooMany, limit
from webui.site import site_of
from webui.text.labels import legible
from webui.text.names import without_blanks

LEAST_LEGIBLE = 3  # letters or digits of a reason; fewer say nothing to a reader of the audit
_MOST = limit(LOOKUPS)
_SECONDS = float(_MOST.seconds)

log = logging.getLogger(__name__)


def reason_fault(reason: str) -> str:
    """Return the fault of a reason, a section of the catalogue's ``support.fault``, or ``""``."""
    if legible(reason) < LEAST_LEGIBLE:
        return "reason"
    return "reason_long" if len(reason) > MAX_REASON else ""


def field_of(fields: Mapping[str, object], name: str) -> str:
    """Return a field of a form or a query without the blanks around it, ``""`` if it is none."""
    value = fields.get(name)
    return without_blanks(value) if isinstance(value, str) else ""


def was_asked_here(request: Request) -> bool:
    """Return whether staff asked, by our page or an address typed or kept (``Sec-Fetch-Site``).

    Another site's page must not make them look somebody up for words not theirs, nor a
    browser that loads ahead.  A browser without the header is believed: it is too old
    to know it.
    """
    site = request.headers.get("sec-fetch-site", "none")
    return site in ("same-origin", "none") and not is_prefetch(request.headers)


async def keep_record(
    request: Request,
    staff: Staff,
    action: str,
    *,
    whom: str = "",
    provider: str = "",
    reason: str = "",
    result: str = "",
    has_begun_before: bool = False,
) -> None:
    """Write a record.  Raises ``StoreUnavailable``: then nothing is shown and nothing is done."""
    site = site_of(request)
    record = AuditRecord(
        who=staff.id,
        via=staff.via,
        action=action,
        whom=whom,
        provider=provider,
        reason=reason,
        result=result,
        request_id=request.state.request_id,
    )
    await site.manager.audit.write(site.redis, record, has_begun_before=has_begun_before)


async def may_look(request: Request, staff: Staff, *, already: int = 0) -> None:
    """Raise ``TooMany`` beyond ``LOOKUPS``; the first time in its window that is an alert.

    ``already`` counts a look that is on record and has shown nothing yet.
    """
    site = site_of(request)
    looks = await site.manager.audit.lookups(site.redis, staff.id, _SECONDS)
    if len(looks) - already < _MOST.amount:
        return
    if await site.limiter.allows("lookup_alert", staff.id):
        await keep_record(request, staff, "too_many_lookups", result=LOOKUPS)
        log.error("%r of support has looked up more than %s", staff.id, LOOKUPS)
    now = site.clock.now()
    raise TooMany(now, looks[_MOST.amount - 1] + _SECONDS - now)


async def may_act(request: Request, staff: Staff) -> None:
    """Count an action.  Raises ``TooMany``; the first time in its window that is an alert."""
    limiter = site_of(request).limiter
    try:
        await limiter.hit("act", staff.id)
    except TooMany:
        if await limiter.allows("act_alert", staff.id):
            await keep_record(request, staff, "too_many_actions", result=LIMITS["act"])
            log.error("%r of support has done more than %s", staff.id, LIMITS["act"])
        raise


async def record_look(
    request: Request,
    staff: Staff,
    action: str,
    *,
    whom: str = "",
    provider: str = "",
    reason: str,
    result: str,
) -> None:
    """Put a look on record, which comes before anything of it is shown.

    Then it is counted once more: of many at the same time, no more than the limit pass.
    """
    await keep_record(
        request, staff, action, whom=whom, provider=provider, reason=reason, result=result
    )
    await may_look(request, staff, already=1)
