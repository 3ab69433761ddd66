"""Everything that is held about one person, as plain values for an export.

Times are epoch seconds, 0 if there is none.  Tokens are in it only if they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ..journal import activity, traces
from ..journal.activity import Event
from ..links import open_links
from ..models import Connection
from ..providers.provider import OAuthProvider
from ..storage import keys, switch_offers
from ..storage.calls import RedisClient
from ..storage.held_tokens import HeldTokens
from ..storage.keys import UserId
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from ..storage.switch_offers import SwitchOffer
from ..token_data import TokenData
from ..values import replace
from . import tokens
from .look import look_at_all

_PAGE = 500  # events
_OF_ACT = ("action", "provider", "reason", "at")


async def collect(
    storage: Storage,
    redis: RedisClient,
    user_id: UserId,
    providers: Iterable[OAuthProvider],
    *,
    with_tokens: bool,
    with_acts: bool,
) -> dict[str, Any]:
    """Collect what the library holds.  Reads only.  Raises ``StoreUnavailable``.

    ``with_acts``: also what support did, which reads the whole audit.
    """
    firsts = [Subject(redis, user_id, provider) for provider in providers]
    found = [
        (seen.first.at(slot), replace(one, names=seen.names))
        for seen in await look_at_all(storage, firsts)
        for slot, one in seen.stored.items()
    ]
    offers = filter(None, [await switch_offers.peek(storage, subject) for subject in firsts])
    told = await traces.notices(storage, redis, user_id)
    later = await traces.due(redis, user_id)
    acts = await traces.audited(redis, user_id) if with_acts else []
    return {
        **_connections(storage, found, with_tokens=with_tokens),
        "waiting_accounts": [_waiting(offer, with_tokens=with_tokens) for offer in offers],
        "open_links": [asdict(link) for link in await open_links.read(storage, redis, user_id)],
        "activity": [
            _without(asdict(event), "slot") for event in await events(storage, redis, user_id)
        ],
        "notices": [_without(asdict(notice), "user_id", "slot") for _, notice in told]
        + [_later(kind, place) for kind, place, _ in later],
        # Not who of staff it was, nor whom else a search found.
        "acts_of_support": [_only(asdict(act), *_OF_ACT) for _, act in acts],
    }


def _connections(
    storage: Storage, found: Iterable[tuple[Subject, Stored]], *, with_tokens: bool
) -> dict[str, Any]:
    own, ended = [], []
    for subject, stored in found:
        if stored.is_there:
            own.append(_connection(storage, subject, stored, with_tokens=with_tokens))
        if stored.held:
            ended.append(_ended(subject, stored.held, with_tokens=with_tokens))
    return {"connections": own, "ended_connections": ended}


def _later(kind: str, place: str) -> dict[str, Any]:
    return {"kind": kind, "provider": keys.split(place)[0], "waits": True}


def _ended(subject: Subject, held: HeldTokens, *, with_tokens: bool) -> dict[str, Any]:
    return {
        "provider": subject.provider.name,
        "account": held.account,
        "name": held.name,
        "ended_at": held.at,
        "by": held.by,
        "state": held.state,
        "kept_until": held.until,
        **_tokens(held.token if with_tokens else None),
    }


def _waiting(offer: SwitchOffer, *, with_tokens: bool) -> dict[str, Any]:
    return {
        "provider": offer.provider,
        "account": asdict(offer.new),
        "until": offer.until,
        **_tokens(offer.token if with_tokens else None),
    }


def _tokens(token: TokenData | None) -> dict[str, Any]:
    return {"tokens": token.to_dict()} if token else {}


def _connection(
    storage: Storage, subject: Subject, stored: Stored, *, with_tokens: bool
) -> dict[str, Any]:
    known: Connection = tokens.shown(storage, subject, stored)
    name = stored.names.shown(subject.slot) if stored.names else ""
    return {
        "provider": known.provider,
        "name": name,
        "status": known.status.value,
        "scopes": list(known.scopes),
        "expires_at": known.expires_at,
        "has_refresh_token": known.has_refresh_token,
        **_without(asdict(stored.profile), "generation"),
        **_tokens(stored.token if with_tokens else None),
    }


async def events(storage: Storage, redis: RedisClient, user_id: UserId) -> list[Event]:
    """Read the whole timeline, newest first."""
    found: list[Event] = []
    older = ""
    while True:
        page = await activity.read(storage, redis, user_id, older, size=_PAGE)
        found += page.events
        older = page.older
        if not older:
            return found


def _only(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names}


def _without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in names}
