"""The gate of the API: from a request to the service key it came with, counted and allowed.

A call by a key that this process knows costs one round trip; a malformed key none.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request

from webui.addresses import counted_network
from webui.api.problems import Problem
from webui.api.service_keys import ServiceKey, ServiceKeys, is_its_secret, read_key
from webui.api.uses import Uses
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.calls import RedisClient, as_text, redis_call
from webui.rate_limits import TooMany

WRONG_A_MINUTE = 60  # wrong keys of one network, in one process
_MOST_NETWORKS = 10_000  # that are remembered for it
_MOST_KEYS = 1_000


@dataclass
class _Tries:
    """The wrong keys of one network in a minute that began with the first."""

    ends_at: float
    count: int = 0


class WrongKeys:
    """The counts of wrong keys by network, in this process: who is over the limit waits here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def check(self, network: str) -> None:
        """Raise ``TooMany`` if the network is over the limit."""
        tries, now = self._tries.get(network), self._clock.monotonic()
        if tries and now < tries.ends_at and tries.count >= WRONG_A_MINUTE:
            raise TooMany(self._clock.now(), tries.ends_at - now)

    def add(self, network: str) -> None:
        now = self._clock.monotonic()
        tries = self._tries.pop(network, None)
        if tries is None or now >= tries.ends_at:
            tries = _Tries(now + 60)
        tries.count += 1
        self._tries[network] = tries
        if len(self._tries) > _MOST_NETWORKS:
            self._tries.popitem(last=False)


class Gate:
    """The way in for holders of a key."""

    def __init__(self, keys: ServiceKeys, redis: RedisClient) -> None:
        self._keys = keys
        self._redis = redis
        self._uses = Uses(redis)
        self._wrong = WrongKeys(keys.clock)
        # By id: the record as it was read last, opened.  Redis is asked all the same.
        self._known: OrderedDict[str, tuple[str, ServiceKey]] = OrderedDict()

    async def admit(self, request: Request, right: str) -> ServiceKey:
        """Return the request's key if it may do that, and count the call.

        Raises ``Problem`` 401 or 403, ``TooMany`` or ``StoreUnavailable``.
        """
        given = _given(request.headers)
        if given is None:
            raise Problem("invalid_key")
        host = request.client.host if request.client else ""
        key = await self._identified(*given, host)
        request.state.facts = {"caller": key.id}
        why = ""
        if not key.allows_peer(host):
            why = "This key may not be used from here."
        elif right not in key.may:
            why = f"This key may not do that: it has no right {right}."
        if why:
            await self._require_current(key)
            raise Problem("forbidden", why)
        return await self._counted(key, is_token=right == "token")

    async def _identified(self, key_id: str, secret: str, host: str) -> ServiceKey:
        """Return the key with this secret.  Raises ``Problem`` if it is wrong or over."""
        known = self._known.get(key_id)
        if known and is_its_secret(known[1], secret) and not self._is_over(known[1]):
            return known[1]
        network = counted_network(host)
        self._wrong.check(network)
        held = await self._held(key_id)
        key = self._keys.opened(key_id, held)
        if not is_its_secret(key, secret) or key is None or self._is_over(key):
            self._wrong.add(network)
            raise Problem("invalid_key")
        self._remember(held, key)
        return key

    async def _held(self, key_id: str) -> str:
        async with redis_call("read a service key"):
            return as_text(await self._keys.queue_find(self._redis, key_id))

    def _is_over(self, key: ServiceKey) -> bool:
        return key.is_over(self._keys.clock.now())

    def _remember(self, held: str, key: ServiceKey) -> None:
        self._known[key.id] = held, key
        self._known.move_to_end(key.id)
        if len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)

    async def _counted(self, key: ServiceKey, *, is_token: bool) -> ServiceKey:
        """Count the call; return the key as it is now.

        Raises ``TooMany``, and ``Problem`` if it has just been revoked.
        """
        kind, most = ("token", key.tokens_a_minute) if is_token else ("other", key.others_a_minute)
        held, number, left = await self._uses.count(key.id, kind)
        current = self._current(key, held)
        if current is None:
            await self._uses.forget(key.id)
            raise Problem("invalid_key")
        if number > most:
            raise TooMany(self._keys.clock.now(), left)
        return current

    async def _require_current(self, key: ServiceKey) -> None:
        """Raise ``Problem`` 401 if the key has been revoked: what it might do stays untold."""
        if self._current(key, await self._held(key.id)) is None:
            raise Problem("invalid_key")

    def _current(self, key: ServiceKey, held: str) -> ServiceKey | None:
        """Return the key as its record in Redis has it now; None if it is another or gone."""
        known = self._known.get(key.id)
        if known and known[0] == held:
            return known[1]
        fresh = self._keys.opened(key.id, held)
        if fresh is None or fresh.digest != key.digest:
            self._known.pop(key.id, None)
            return None
        self._remember(held, fresh)
        return fresh


def _given(headers: Headers) -> tuple[str, str] | None:
    """Return the id and the secret of the only key that a request brings; None if it is none."""
    values = headers.getlist("authorization")
    if len(values) != 1:
        return None
    scheme, _, text = values[0].partition(" ")
    return read_key(text.strip(" ")) if scheme.lower() == "bearer" else None
