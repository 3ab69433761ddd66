"""The description of the API, OpenAPI 3.1, made of the tables that the calls themselves read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from webui.api.bodies import Member
from webui.api.operations import OPERATIONS, PREFIX, Operation
from webui.api.problems import CODES, MEDIA_TYPE
from webui.oauth_manager import Health, NoticeKind, RevokeOutcome, Status

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_MAYBE_TEXT = {"type": ["string", "null"]}
_MOMENT = {"type": ["number", "null"], "description": "Epoch seconds; null if there is none."}


def _object(**members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def _one_of(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_CONNECTION = _object(
    provider=_TEXT,
    account=_TEXT,
    name=_MAYBE_TEXT,
    label=_TEXT,
    status=_one_of(status.value for status in Status),
    scopes=_TEXTS,
    missing=_TEXTS,
    expires_at=_MOMENT,
    connected_at=_MOMENT,
    last_used_at=_MOMENT,
)
_NOTICE = _object(
    id=_TEXT,
    event=_one_of(kind.value for kind in NoticeKind),
    user_id=_TEXT,
    provider=_MAYBE_TEXT,
    account=_MAYBE_TEXT,
    name=_MAYBE_TEXT,
    at={"type": "number"},
    detail=_MAYBE_TEXT,
)
ANSWERS = {
    "/token": _object(
        access_token=_TEXT,
        token_type=_TEXT,
        expires_at=_MOMENT,
        scopes=_TEXTS,
        account=_TEXT,
        extra={"type": "object", "additionalProperties": _TEXT},
    ),
    "/links": _object(url={"type": "string", "format": "uri"}, expires_in={"type": "integer"}),
    "/proofs": _object(
        outcome=_one_of(["matches", "no_match", "no_code"]),
        provider=_MAYBE_TEXT,
        tries_left={"type": ["integer", "null"]},
    ),
    "/connections": _object(connections={"type": "array", "items": _CONNECTION}),
    "/connections/check": _object(outcome=_one_of(health.value for health in Health)),
    "/connections/disconnect": _object(
        outcome=_one_of(outcome.value for outcome in RevokeOutcome), manage_url=_MAYBE_TEXT
    ),
    "/notices": _object(
        notices={"type": "array", "items": _NOTICE}, next=_TEXT, overflowed={"type": "boolean"}
    ),
}
"""The schema of each success, by the path."""

_PROBLEM = _object(title=_TEXT, status={"type": "integer"}, code=_one_of(code for code in CODES))
_PROBLEM["properties"] |= {
    "detail": _TEXT,
    "member": _MAYBE_TEXT,
    "reason": _one_of([*(status.value for status in Status), "missing_scopes"]),
    "missing_scopes": _TEXTS,
    "accounts": _TEXTS,
    "connect_url": {"type": "string", "format": "uri"},
    "expires_in": {"type": "integer"},
}
_WITH_BODY = ("too_large", "unsupported_media_type")
_OF_A_CONNECTION = ("ambiguous_account", "not_connected")
_NOT_THERE = ("not_found", "method_not_allowed")  # of addresses that are none of these


def description(base_url: str, providers: Iterable[str]) -> dict[str, Any]:
    """Return the whole document for the API at this address, with these services.

    ``""`` is the address at which the document is read.
    """
    known = {"provider": _one_of(providers)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Account connections",
            "version": version("stargazer-webui"),
            "description": "Tokens and connections of people, for bots that hold a service key.",
        },
        "servers": [{"url": f"{base_url}{PREFIX}"}],
        "security": [{"service_key": []}],
        "paths": {one.path: {one.method.lower(): _operation(one, known)} for one in OPERATIONS},
        "components": {
            "securitySchemes": {
                "service_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What `webui keys new` has printed.",
                }
            },
            "schemas": {"Problem": _PROBLEM},
        },
    }


def _operation(operation: Operation, known: Mapping[str, Any]) -> dict[str, Any]:
    said = (operation.answer.__doc__ or "").partition(": ")[2].partition("\n")[0]
    shown: dict[str, Any] = {
        "operationId": operation.answer.__name__,
        "summary": f"{said[:1].upper()}{said[1:]}",
        "description": f"The key needs the right `{operation.right}`.",
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": ANSWERS[operation.path]}},
            },
            **_problems(operation),
        },
    }
    if operation.method == "POST":
        shown["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _body(operation.members, known)}},
        }
    else:
        shown["parameters"] = [_parameter(member) for member in operation.members]
    return shown


def _body(members: Sequence[Member], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a body; members that are ``known`` better have that schema."""
    schemas = {member.name: known.get(member.name, member.schema) for member in members}
    return {
        "type": "object",
        "properties": {m.name: {**schemas[m.name], "description": m.meaning} for m in members},
        "required": [member.name for member in members if member.is_required],
        "additionalProperties": False,
    }


def _parameter(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "in": "query",
        "required": member.is_required,
        "description": member.meaning,
        "schema": member.schema,
    }


def _problems(operation: Operation) -> dict[str, Any]:
    """Return an answer for each status that a call of this operation may have."""
    codes = set(CODES) - set(_NOT_THERE)
    if operation.method != "POST":
        codes -= set(_WITH_BODY)
    if not any(member.name == "account" for member in operation.members):
        codes -= set(_OF_A_CONNECTION)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[str, Any] = {}
    for code, (status, title) in CODES.items():
        if code in codes:
            before = f"{found[str(status)]['description']} " if str(status) in found else ""
            found[str(status)] = {"description": f"{before}`{code}`: {title}", "content": content}
            if status in (429, 503):
                seconds = {"description": "Seconds.", "schema": {"type": "integer"}}
                found[str(status)]["headers"] = {"Retry-After": seconds}
    return found
