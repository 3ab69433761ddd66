"""The kind of server behind REDIS_URL: its own statements, and whether it can be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from webui.commands.check.engine_faults import CLUSTER, SENTINEL
from webui.commands.check.report import Report

OLDEST = {"redis": 7, "valkey": 8}


async def kind_of(redis: Redis, report: Report) -> Mapping[str, Any]:
    """Return ``INFO``; if that is forbidden, the greeting, which needs no permission."""
    try:
        about: Mapping[str, Any] = await redis.info()
    except NoPermissionError:
        greeting = await _greeting(redis)
        report.say(f"Redis: reached{_named(greeting)}")
        report.warning(
            "It may not tell this user what it does when it is full, and whether it saves.",
            "Allow that: `ACL SETUSER <user> +info`.",
        )
        return greeting
    report.say(f"Redis: reached{_named(about)}")
    return about


async def _greeting(redis: Redis) -> Mapping[str, Any]:
    """Return ``HELLO`` in the words of ``INFO``; empty if it is not known there."""
    try:
        answer = await redis.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        return {}
    said = answer if isinstance(answer, Mapping) else {}  # a list by the older protocol
    words = {_text(name): _text(value) for name, value in said.items()}
    if "version" not in words:
        return {}
    kind = "valkey" if words.get("server") == "valkey" else "redis"
    return {
        "server_name": words.get("server", ""),
        f"{kind}_version": words["version"],
        "server_mode": words.get("mode", ""),
        "role": "slave" if words.get("role") == "replica" else words.get("role", ""),
    }


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _kind_and_version(about: Mapping[str, Any]) -> tuple[str, str]:
    kind = "valkey" if about.get("server_name") == "valkey" else "redis"
    return kind, str(about.get(f"{kind}_version", "0"))


def _named(about: Mapping[str, Any]) -> str:
    kind, version = _kind_and_version(about)
    return f", {kind.capitalize()} {version[:20]}" if about else ""


def is_usable(
    about: Mapping[str, Any], report: Report, kind: str = "server", part: str = "primary"
) -> bool:
    """Return whether it is, as far as it says, a server that can hold connections.

    ``kind`` is that of the address, and ``part`` what the others say that it is.
    """
    mode = about.get("server_mode") or about.get("redis_mode")  # Valkey, Redis
    if mode == "sentinel" or "sentinel_masters" in about:
        report.fault(*SENTINEL)
        return False
    is_member = mode == "cluster" or bool(int(about.get("cluster_enabled", 0)))
    if is_member and kind != "cluster":
        report.fault(*CLUSTER)
        return False
    name, version = _kind_and_version(about)
    major = version.partition(".")[0]
    if about and (not major.isdecimal() or int(major) < OLDEST[name]):
        report.fault("It is too old.", "Use Redis 7 or newer, or Valkey 8 or newer.")
        return False
    if about.get("role") == "slave" and part == "primary":
        report.fault(
            "It is a replica: what is written here is refused, or lost.",
            "Name its primary in REDIS_URL, or the Sentinels that know which one that is.",
        )
        return False
    return True
