"""``webui status``: one screen about Redis, the keys and what is stored; no secret, no user id."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import click

from webui.commands.runner import UNAVAILABLE, read_settings, with_store
from webui.oauth_manager import Census, OAuthManager, Status, StoreUnavailable
from webui.oauth_manager.storage import SAFE_POLICY, TROUBLE, Engine, Fit, facts
from webui.oauth_manager.storage.calls import RedisClient
from webui.support.identifiers import spelled

MANY_UNREAD = 1000  # notices: by then nobody reads them

_PERSISTENCE = {
    "appendonly": "keeps what is written (appendonly)",
    "snapshots": "keeps snapshots alone",
    "none": "keeps nothing over a restart",
    "": "does not say what it keeps",
}
_FIT = {
    Fit.FITS: "they fit what is stored",
    Fit.NOTHING: "nothing is stored yet",
    Fit.WRONG_KEY: "they do NOT fit what is stored",
    Fit.TOO_OLD: "a NEWER version of this program has taken over",
    Fit.NO_RECORD_OPENS: "they do NOT fit what is stored",
}


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One JSON object.")
def status(is_json: bool) -> None:
    """Print how it is: Redis, keys, people, connections, links, notices, warnings."""
    keys = len(read_settings().encryption_keys)

    async def work(manager: OAuthManager, redis: RedisClient) -> dict[str, Any]:
        try:
            engine = await facts(redis)
            return _report(keys, engine, await manager.census(redis))
        except StoreUnavailable:
            return _report(keys, None, None)

    found = with_store(work)
    click.echo(json.dumps(found) if is_json else "\n".join(_lines(found)))
    if not found["engine"]["ok"] or found["keys"]["canary"] in set(TROUBLE):
        sys.exit(UNAVAILABLE)


def _report(keys: int, engine: Engine | None, census: Census | None) -> dict[str, Any]:
    """Return the object that ``--json`` prints; null is what nobody knows."""
    named = ("kind", "persistence", "policy", "version", "mode")
    counted = ("people", "connections", "open_links", "notices_unread")
    return {
        "version": version("stargazer-webui"),
        "engine": {
            "ok": census is not None,
            **{name: getattr(engine, name, "") or None for name in named},
        },
        "keys": {"in_use": keys, "canary": getattr(census, "fit", None)},
        **{name: getattr(census, name, None) for name in counted},
        "last_rotation": getattr(census, "last_rotation", 0) or None,
        "last_keep_alive": getattr(census, "last_keep_alive", 0) or None,
        "warnings": list(_warnings(engine, census)),
    }


def _moment(at: float | None) -> str:
    """Write epoch seconds as a moment in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else "none yet"


def _warnings(engine: Engine | None, census: Census | None) -> Iterator[str]:
    if engine is None or census is None:
        yield "Redis does not answer, or refuses. `webui check` says why, and what to do about it."
        return
    if engine.policy and engine.policy != SAFE_POLICY:
        yield (
            f"maxmemory-policy is {engine.policy}: when Redis is full, it drops connections. "
            f"Set `maxmemory-policy {SAFE_POLICY}`."
        )
    if engine.persistence == "none":
        yield "A restart of Redis loses every connection. Set `appendonly yes`."
    if engine.is_saving_failed:
        yield "Redis could not save to its disk the last time. See its log and its disk."
    if census.fit in TROUBLE:
        yield f"{TROUBLE[census.fit]}."
    unreadable = sum(one.get(Status.UNREADABLE, 0) for one in census.connections.values())
    if unreadable:
        yield f"Of the connections, {unreadable} cannot be read. `webui check` names them."
    if census.notices_unread >= MANY_UNREAD:
        yield f"{census.notices_unread} notices wait for the bot. See whether it runs."


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the screen, from what ``--json`` would print."""
    engine, keys = found["engine"], found["keys"]
    yield f"webui {found['version']}"
    if engine["ok"]:
        named = " ".join(filter(None, (engine["kind"], engine["version"], engine["mode"])))
        yield f"Redis: {named or 'reached'}; {_PERSISTENCE[engine['persistence'] or '']}"
        yield f"Keys: {keys['in_use']} in use; {_FIT[Fit(keys['canary'])]}"
        yield f"People: {found['people']}"
        yield "Connections:" if found["connections"] else "Connections: none"
        for provider, states in found["connections"].items():
            counts = (f"{number} {state.replace('_', ' ')}" for state, number in states.items())
            yield f"  {spelled(provider)}: {', '.join(counts)}"
        yield f"Open links: {found['open_links']}"
        yield f"Notices that the bot has not read: {found['notices_unread']}"
        yield f"Last rotation of keys: {_moment(found['last_rotation'])}"
        yield f"Last keep-alive: {_moment(found['last_keep_alive'])}"
    for warning in found["warnings"]:
        yield f"  ! {warning}"
