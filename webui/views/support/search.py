"""``/support``: search for a person by support staff, exact, for a reason, and on record."""

from __future__ import annotations

import json
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from webui.access.roles import Staff, require_staff
from webui.incident_codes import Reference, find_reference, is_reference
from webui.oauth_manager import check_user_id
from webui.rendering.render import render
from webui.site import Site, site_of
from webui.support.identifiers import masked, spelled
from webui.support.search import MOST, Question, Results, failure_of, results
from webui.text import words
from webui.text.names import has_blank_ends
from webui.views.support.gate import field_of, may_look, reason_fault, record_look, was_asked_here
from webui.views.support.person import is_known

REFERENCE = "reference"


async def search(request: Request) -> Response:
    """``GET /support``: the form, and with a question and a reason the results."""
    staff = await require_staff(request)
    site, fields = site_of(request), request.query_params
    q, where, reason = (field_of(fields, name) for name in ("q", "where", "reason"))
    question = Question(q, where, reason)
    if not fields or not was_asked_here(request):
        return _page(request, staff, question)
    named = {"q": _search_fault(question.q), "reason": reason_fault(question.reason)}
    faults = {name: words.text(f"support.fault.{fault}") for name, fault in named.items() if fault}
    if faults:
        return _page(request, staff, replace(question, faults=faults), status=422)
    await may_look(request, staff)
    found, reference = await _look_up(site, question)
    await record_look(
        request,
        staff,
        "reference" if reference or question.where == REFERENCE else "searched",
        whom=found[0] if len(found) == 1 else "",
        provider=question.where if question.where in site.manager.providers else "",
        reason=question.reason,
        result=_result(question, found, reference),
    )
    names = {"product": site.settings.product_name, "bot": site.settings.bot_name}
    failure = failure_of(reference, site.manager.providers, names) if reference else None
    missed = "" if reference else _missed(question)
    shown = results(found, failure, question.reason, names, missed=missed)
    return _page(request, staff, question, shown)


def _missed(question: Question) -> str:
    """Return the kind of reference that may have been meant: one of an outage is never kept."""
    if question.where == REFERENCE:
        return "reference"
    return "either" if not question.where and is_reference(question.q) else ""


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
        services=[(provider.name, provider.label) for provider in site.manager.providers.values()],
    )


async def _look_up(site: Site, question: Question) -> tuple[tuple[str, ...], Reference | None]:
    """Find the exact matches, and the reference, if it is one."""
    if question.where in site.manager.providers:
        return await site.manager.find_accounts(site.redis, question.where, question.q), None
    reference = await find_reference(site.redis, question.q)
    if reference or question.where == REFERENCE:
        return ((reference.user,) if reference and reference.user else ()), reference
    try:
        check_user_id(question.q)
    except ValueError:
        return (), None
    connections = await site.manager.connections(site.redis, question.q, resume=False)
    known = await is_known(site, question.q, connections)
    return ((question.q,) if known else ()), None


def _result(question: Question, found: tuple[str, ...], reference: Reference | None) -> str:
    """Describe the result for the audit.  A text without a match may be a secret: it is masked."""
    if reference:
        return f"found {reference.code}"
    if not found:
        return f"nobody: {masked(question.q)}"
    if len(found) == 1:
        return "found"
    more = " and more" if len(found) > MOST else ""
    return f"found {json.dumps(found[:MOST], ensure_ascii=False)}{more}"
