"""Rows of the peers: each is said beside ours, in so many times as long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from bench.meter import Call, interleaved, median, ratios
from bench.report import Report

ROUNDS = 5
CALLERS = 16
READS = 20  # of each caller, a round
PAGES = 25  # a round, at most: one person may begin thirty authorizations a minute
OURS = "this product"

# So many times as long is asked for.
ASKED: dict[str, float] = {
    "py-key-value, Fernet wrapper, Redis": 2,
    "django-allauth, SQLite": 6,
    "python-social-auth, SQLite": 6,
    "MSAL, its cache in Redis": 6,
    "SQLAlchemy and Fernet, PostgreSQL": 8,
    "slack_sdk with rotator, SQLAlchemy on SQLite": 18,
    "slack_sdk with rotator, its store on sqlite3": 18,
    "django-allauth, connections": 10,
    "hand-written Django, the same records": 2.5,
    "Authlib, as documented, connect": 30,
    "django-allauth, connect": 4.5,
    "django-allauth, callback": 4,
    "Authlib, shared TLS context, callback": 1,
    "django-allauth, warm, under uvicorn": 1 / 0.85,
}


async def read_all(rows: Mapping[str, Call], report: Report) -> None:
    for name, call in rows.items():
        if not isinstance(await call(), str):
            raise RuntimeError(f"{name} has no token")

    async def by_all(call: Call) -> None:
        async def one() -> None:
            for _ in range(READS):
                await call()

        await asyncio.gather(*(one() for _ in range(CALLERS)))

    figures = await interleaved(
        {name: partial(by_all, call) for name, call in rows.items()}, rounds=ROUNDS, calls=1
    )
    report.title(f"A stored token, {CALLERS} callers, {ROUNDS} rounds")
    for name, figure in figures.items():
        speed = CALLERS * READS / median(figure) * 1e6
        report.say(name, f"{speed:7.0f} a second{_beside(name, figure, figures[OURS])}")


async def compare(
    title: str,
    rows: Mapping[str, Call],
    report: Report,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    figures = await interleaved(rows, rounds=ROUNDS, calls=PAGES, clock=clock)
    report.title(f"{title}, {ROUNDS} rounds of {PAGES}")
    say(figures, report, 1000, "ms")


def say(figures: Mapping[str, list[float]], report: Report, divisor: float, unit: str) -> None:
    for name, figure in figures.items():
        beside = _beside(name, figure, figures[OURS])
        report.say(name, f"{median(figure) / divisor:7.2f} {unit}{beside}")


def _beside(name: str, figure: list[float], ours: list[float]) -> str:
    if figure is ours:
        return ""
    least, middle, most = ratios(figure, ours)
    asked = f"; asked for: {ASKED[name]:.3g}" if name in ASKED else ""
    return f"   {middle:5.2f} times ours ({least:.2f} to {most:.2f}){asked}"
