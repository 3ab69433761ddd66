"""A call to a provider's API that carries the person's token: CPU of this process alone.

Against a plain httpx client with the header set, after a ``get_token``: what the client
costs beyond both is ours.  The server is a process of its own on loopback.
"""

from __future__ import annotations

from time import process_time
from types import SimpleNamespace

import httpx
from redis.asyncio import Redis

from bench.meter import Call, interleaved, median
from bench.people import populate
from bench.provider import provider
from bench.report import Report, Size
from tests.kit.library import BASE_URL, KEY, fake_provider, providers_config
from webui.oauth_manager import init_oauth_manager, oauth_client
from webui.oauth_manager.protocol.transport import Transport
from webui.redis_client import connect

CALLS = 192  # in a round
PLAIN = "get_token, and a plain httpx client"
OURS = "oauth_client"
NETWORK = "get_token, and httpx over our network"


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    with provider() as base_url:
        config = providers_config(fake, base_url, ["google"])
        config["google"]["api_hosts"] = (base_url.removeprefix("http://"),)
        config["google"]["issuer"] = ""
        manager = init_oauth_manager(KEY, BASE_URL, config)
        transport = Transport()
        async with (
            Redis.from_url(redis_url) as plain,
            connect(redis_url) as redis,
            httpx.AsyncClient(trust_env=False) as bare,
            httpx.AsyncClient(transport=await transport.network(), trust_env=False) as same,
        ):
            (person,) = await populate(manager, fake, plain, 1)
            ctx = SimpleNamespace(user_id=person, redis=redis)
            url = f"{base_url}/google/account"

            def with_header(http: httpx.AsyncClient) -> Call:
                async def ask() -> None:
                    token = await manager.get_token(person, "google", redis)
                    headers = {"Authorization": f"Bearer {token}"}
                    (await http.get(url, headers=headers)).raise_for_status()

                return ask

            async with oauth_client(ctx, "google") as carrying:

                async def ours() -> None:
                    (await carrying.get(url)).raise_for_status()

                rows = {PLAIN: with_header(bare), OURS: ours, NETWORK: with_header(same)}
                figures = await interleaved(
                    rows, rounds=size.rounds, calls=size.of(CALLS), clock=process_time
                )
        await manager.aclose()
        await transport.aclose()
    report.title("One GET of an API with a live token, CPU of this process")
    for name, figure in figures.items():
        report.say(name, f"{median(figure):7.0f} us")
    report.judge("a call that carries a live token", figures[OURS], figures[PLAIN])
