"""A bot that uses the HTTP API: its service key, and the calls that it makes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from tests.kit.site_fixtures import Place
from webui.api.service_keys import RIGHTS, ServiceKey, ServiceKeys
from webui.oauth_manager.storage import Sealer


def keys_of(place: Place) -> ServiceKeys:
    """The keys as `webui keys` has them."""
    return ServiceKeys(Sealer(" ".join(place.settings.encryption_keys)), place.clock)


async def new_key(
    place: Place, *, may: Sequence[str] = RIGHTS, **limits: Any
) -> tuple[str, ServiceKey]:
    return await keys_of(place).create(place.redis, "a bot", may=tuple(may), **limits)


class Caller:
    """A client of the API; ``key`` is sent as it is, nothing if it is empty."""

    def __init__(self, place: Place, key: str, address: str = "192.0.2.77") -> None:
        transport = httpx.ASGITransport(
            place.app, raise_app_exceptions=False, client=(address, 50000)
        )
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.client = httpx.AsyncClient(
            transport=transport, base_url=f"{place.settings.base_url}/api/v1", headers=headers
        )

    async def post(self, path: str, **members: Any) -> httpx.Response:
        return await self.client.post(path, json=members)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query)

    async def token(self, user_id: str = "ann", provider: str = "google", **more: Any) -> Any:
        return await self.post("/token", user_id=user_id, provider=provider, **more)


async def caller(place: Place, *, may: Sequence[str] = RIGHTS, **limits: Any) -> Caller:
    """A bot with a key of its own."""
    return Caller(place, (await new_key(place, may=may, **limits))[0])
