"""``/support``: search for a person by support staff, exact, for a reason, and on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from webui.access.roles import Staff, require_staff
from webui.incident_codes import Reference, find_reference, is_reference
from webui.oauth_manager import check_user_id
from webui.oauth_manager.values import replace
from webui.rendering.render import is_htmx, render
from webui.site import Site, site_of
from webui.support.identifiers import masked, spelled
from webui.support.search import MOST, Question, Results, failure_of, page_of, results
from webui.text import words
from webui.text.labels import label_of
from webui.text.names import has_blank_ends
from webui.views.support.gate import field_of, may_look, reason_fault, record_look, was_asked_here
from webui.views.support.person import is_known


async def search(request: Request) -> Response:
    """``GET /support``: the form, and with a question and a reason the results.

    One person alone is opened at once, which puts that look on record as well.
    """
    staff = await require_staff(request)
    site, fields = site_of(request), request.query_params
    q, reason = (field_of(fields, name) for name in ("q", "reason"))
    question = Question(q, reason)
    if not fields or not was_asked_here(request):
        return _page(request, staff, question)
    named = {"q": _search_fault(question.q), "reason": reason_fault(question.reason)}
    faults = {name: words.text(f"support.fault.{fault}") for name, fault in named.items() if fault}
    if faults:
        return _page(request, staff, replace(question, faults=faults), status=422)
    await may_look(request, staff)
    found, reference = await _look_up(site, question.q)
    await _record(request, staff, question, found, reference)
    if len(found) == 1 and not reference:
        return _open(request, page_of(next(iter(found)), question))
    return _page(request, staff, question, _results(site, question, found, reference))


async def _record(
    request: Request,
    staff: Staff,
    question: Question,
    found: Mapping[str, list[str]],
    reference: Reference | None,
) -> None:
    people = list(found)
    places = {name for names in found.values() for name in names}
    await record_look(
        request,
        staff,
        "reference" if reference else "searched",
        whom=people[0] if len(people) == 1 else "",
        provider=next(iter(places)) if len(places) == 1 else "",
        reason=question.reason,
        result=_result(question, people, reference),
    )


def _results(
    site: Site,
    question: Question,
    found: Mapping[str, list[str]],
    reference: Reference | None,
) -> Results:
    names = {"product": site.settings.product_name, "bot": site.settings.bot_name}
    failure = failure_of(reference, site.manager.providers, names) if reference else None
    places = {user: _places(site, of_user, reference) for user, of_user in found.items()}
    may_be = not reference and is_reference(question.q)
    return results(question, places, failure, names, may_be_reference=may_be)


def _open(request: Request, url: str) -> Response:
    if is_htmx(request):
        return HTMLResponse(headers={"HX-Redirect": url, "X-Fragment": "1"})
    return RedirectResponse(url, 303)


def _places(site: Site, found: Iterable[str], reference: Reference | None) -> str:
    """Say where a person was found: as ``_look_up`` names it."""
    providers, product = site.manager.providers, site.settings.product_name
    return ", ".join(
        words.text("support.account", provider=label_of(name, providers))
        if name
        else words.text("support.reference" if reference else "support.id", product=product)
        for name in found
    )


def _search_fault(q: str) -> str:
    """Return the fault of a search text, like :func:`reason_fault` of a reason."""
    if not q:
        return "q"
    return "q_blank" if has_blank_ends(q) else ""


def _page(
    request: Request,
    staff: Staff,
    question: Question,
    found: Results | None = None,
    *,
    status: int = 200,
) -> Response:
    site = site_of(request)
    return render(
        request,
        "support_search.html",
        status,
        fragment="support_results.html",
        staff=spelled(staff.id),
        now=site.clock.now(),
        question=question,
        found=found,
    )


async def _look_up(site: Site, q: str) -> tuple[dict[str, list[str]], Reference | None]:
    """Find the exact matches everywhere, and the reference, if it is one.

    Each person is with the providers where an account of theirs is named so; ``""`` stands
    for their own id or the reference.
    """
    found: dict[str, list[str]] = {}
    reference = await find_reference(site.redis, q)
    if reference and reference.user:
        found[reference.user] = [""]
    elif not reference and await _is_person(site, q):
        found[q] = [""]
    if reference:
        return found, reference
    searched = list(site.manager.providers)
    accounts = (site.manager.find_accounts(site.redis, name, q) for name in searched)
    for name, people in zip(searched, await asyncio.gather(*accounts), strict=True):
        for user in people:
            found.setdefault(user, []).append(name)
    return found, None


async def _is_person(site: Site, q: str) -> bool:
    try:
        check_user_id(q)
    except ValueError:
        return False
    connections = await site.manager.connections(site.redis, q, resume=False)
    return await is_known(site, q, connections)


def _result(question: Question, found: Sequence[str], reference: Reference | None) -> str:
    """Describe the result for the audit.  A text without a match may be a secret: it is masked."""
    if reference:
        return f"found {reference.code}"
    if not found:
        return f"nobody: {masked(question.q)}"
    if len(found) == 1:
        return "found"
    more = " and more" if len(found) > MOST else ""
    return f"found {json.dumps(found[:MOST], ensure_ascii=False)}{more}"
