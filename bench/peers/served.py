"""Sites in processes of their own: start-up until they listen, and memory when they are warm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.peers import allauth_site
from bench.processes import child, memory, wait_until_listening
from bench.served import Client, visitor
from tests.kit.site_fixtures import free_port

PAGES = 50  # asked for, until a site is warm


class Figures(NamedTuple):
    starts: list[float]  # microseconds
    weights: list[float]  # MB, the proportional set size


async def measure(
    redis_url: str, folder: Path, session: Mapping[str, str], rounds: int
) -> tuple[Figures, Figures]:
    """Return those of ours and of django-allauth, round by round; ``session`` is of the latter."""
    settings, client = await visitor(redis_url)
    ours, theirs = Figures([], []), Figures([], [])
    cookies = "; ".join(f"{name}={value}" for name, value in session.items())
    other = Client(free_port(), cookies)
    allauth = ("-m", allauth_site.__name__, str(other.port), str(folder))
    for _ in range(rounds):
        await _round(ours, ("-m", "webui", "serve"), client, "/connections", settings)
        await _round(theirs, allauth, other, allauth_site.PAGE)
    return ours, theirs


async def _round(
    figures: Figures,
    command: tuple[str, ...],
    client: Client,
    page: str,
    settings: Mapping[str, str] | None = None,
) -> None:
    began = time.perf_counter()
    with child(*command, environment=settings) as process:
        wait_until_listening(process, client.port)
        figures.starts.append((time.perf_counter() - began) * 1e6)
        for _ in range(PAGES):
            if await client.get(page) != 200:
                raise RuntimeError("not the page that was to be measured")
        figures.weights.append(memory(process.pid))
        client.close()
