"""Connections of another system: lines of JSON, read, checked and stored a page at a time.

A fault names the line by its number, and never repeats what stands there.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from webui.oauth_manager import (
    Account,
    Health,
    Imported,
    OAuthManager,
    Profile,
    TokenData,
    check_user_id,
)
from webui.oauth_manager.storage import account_name, as_shown, seconds, texts
from webui.oauth_manager.storage.calls import RedisClient

PAGE = 500  # lines that are stored together
LONGEST = 256 * 1024  # bytes of a line
_ASKED_AT_ONCE = 8  # providers that are asked together
_TEXTS = ("access_token", "refresh_token", "token_type")

Row = tuple[str, TokenData, Profile, str]  # the last is the account's name


class Fault(ValueError):
    """The end of a sentence about a line, without anything of the line."""


@dataclass
class Report:
    """Counts by outcome; ``say`` is handed each fault as it is found."""

    say: Callable[[str], object]
    counts: Counter[str] = field(default_factory=Counter)

    def fault(self, number: int, fault: Fault) -> None:
        self.counts["faulty"] += 1
        self.say(f"Line {number} {fault}.")

    @property
    def is_whole(self) -> bool:
        """Return whether nothing was left: no faulty line, no account too many, no dead token."""
        left = ("faulty", "refused", "not_verified", "full")
        return not any(self.counts[name] for name in left)


async def run(
    manager: OAuthManager,
    redis: RedisClient,
    file: IO[bytes],
    report: Report,
    *,
    replaces: bool = False,
    writes: bool = True,
    verifies: bool = False,
) -> None:
    """Store every line, in flat memory.  Raises ``StoreUnavailable``; may then be repeated."""
    if writes:
        await manager.settle_for_import(redis)
    for page in _pages(_rows(manager, file, report)):
        outcomes = await manager.import_page(redis, page, replaces=replaces, writes=writes)
        report.counts.update(outcome.value for outcome in outcomes)
        if verifies:
            ours = [
                row
                for row, outcome in zip(page, outcomes, strict=True)
                if outcome not in (Imported.KEPT, Imported.FULL)
            ]
            await _verify(manager, redis, ours, report)


async def _verify(
    manager: OAuthManager, redis: RedisClient, page: list[Row], report: Report
) -> None:
    """Ask the provider of each, a few at a time."""
    room = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(user_id: str, provider: str, name: str) -> Health:
        async with room:
            health = await manager.check(redis, user_id, provider, account=name or "~")
            if health is Health.RECONNECT_NEEDED:  # the bot does not tell of it unasked
                known = await manager.connection(redis, user_id, provider, account=name or "~")
                await manager.stories.told_of_end(redis, user_id, provider, known.slot)
            return health

    found = await asyncio.gather(
        *(ask(user_id, token.provider, name) for user_id, token, _, name in page)
    )
    for health in found:
        if health is Health.WORKING:
            report.counts["verified"] += 1
        elif health is Health.RECONNECT_NEEDED:
            report.counts["refused"] += 1
        else:
            report.counts["not_verified"] += 1


def _pages(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield pages in which no connection comes twice."""
    page: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        place = row[0], row[1].provider, row[3] and account_name(row[3])
        if len(page) == PAGE or place in page:
            yield list(page.values())
            page.clear()
        page[place] = row
    if page:
        yield list(page.values())


def _rows(manager: OAuthManager, file: IO[bytes], report: Report) -> Iterator[Row]:
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            yield read_row(line, manager.providers)
        except Fault as fault:
            report.fault(number, fault)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines; of one that is too long only its beginning, which is too long too."""
    while line := file.readline(LONGEST + 1):
        yield line
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST + 1)


def read_row(line: bytes, providers: Mapping[str, object]) -> Row:
    """Read one line.  Raises ``Fault``."""
    if len(line) > LONGEST:
        raise Fault("is too long")
    try:
        found = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        raise Fault("is no JSON") from None
    if not isinstance(found, dict):
        raise Fault("is no object")
    try:
        user_id = check_user_id(found.get("user_id"))  # type: ignore[arg-type]
    except ValueError:
        raise Fault("has no user_id that can be one") from None
    if not isinstance(found.get("provider"), str) or found["provider"] not in providers:
        raise Fault("has a provider that is not known here")
    return user_id, _token(found), _profile(found), _name(found)


def _token(found: dict[str, Any]) -> TokenData:
    for name in _TEXTS:
        if not isinstance(found.get(name) or "", str):
            raise Fault(f"has something else than text as its {name}")
    if not found.get("access_token"):
        raise Fault("has no access_token")
    scopes = found.get("scopes") or []
    try:
        seconds(float(found.get("expires_at") or 0.0))
    except (TypeError, ValueError):
        raise Fault("has an expires_at that is no moment in epoch seconds") from None
    try:
        return TokenData.from_dict({**found, "scopes": scopes, "generation": "", "client_id": ""})
    except (TypeError, ValueError):
        raise Fault("has a field that cannot be read") from None


def _name(found: dict[str, Any]) -> str:
    """Return what the person calls the account, ``""`` if it has no name."""
    given = found.get("account")
    name = given.get("name") or "" if isinstance(given, dict) else ""
    try:
        return as_shown(name) if name else ""
    except ValueError:
        raise Fault("has an account name that is not 1 to 32 letters, digits, hyphens") from None


def _profile(found: dict[str, Any]) -> Profile:
    given = found.get("account") or {}
    account = {"label": given} if isinstance(given, str) else given
    try:
        names = [account.get(name) or "" for name in ("id", "label")]
        identifier, label = texts([str(n) if isinstance(n, int) else n for n in names])
        connected_at = seconds(found.get("connected_at") or 0.0)
        asked = found.get("scopes") or []
        scopes = texts(asked.split() if isinstance(asked, str) else asked)
    except (TypeError, AttributeError):
        raise Fault("has a field that cannot be read") from None
    return Profile(Account(identifier, label), connected_at=connected_at, requested_scopes=scopes)
