"""One rule for the names of people and groups, at every place where somebody gives one.

Each reader is given the same names.  None of them makes one person out of two.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from starlette.requests import HTTPConnection
from starlette.types import Scope

from tests.kit.site_fixtures import Browser, Place
from tests.kit.standings import (
    GROUP,
    GROUPS_HEADER,
    PROXY,
    STAFF,
    USER_HEADER,
    proxied,
    support_site,
)
from tests.kit.support_fixtures import records
from tests.site.test_commands import run
from tests.site.test_proxy import send
from tests.site.test_settings import GOOD
from tests.site.test_settings import PROXY as PROXY_SETTINGS
from webui.oauth_manager import redis_from_url
from webui.sessions.proxied import proxied_person
from webui.settings.settings import SettingsError, load_settings
from webui.sign_on import IdTokenRefused
from webui.sign_on.identity import read_groups, read_identity
from webui.text.names import read_group, read_user_id

pytestmark = pytest.mark.anyio

ASCII_BLANKS = " \t\n\r\x0b\x0c"
BLANKS = [
    chr(point)
    for point in range(sys.maxunicode + 1)
    if chr(point).isspace() and chr(point) not in ASCII_BLANKS
]
REFUSED = [
    *(f"{blank}boss" for blank in BLANKS),
    *(f"boss{blank}" for blank in BLANKS),
    *(f"\u2003{blank}boss" for blank in " \t"),
    *(blank for blank in BLANKS if not "\x1c" <= blank <= "\x1f"),
    "bo\0ss",
    "bo\x1bss",
    "bo\x7fss",
    "bo\x9bss",
    "bo\nss",
]
KEPT = [
    "boss",
    "Boss",
    "BOSS",
    "bo ss",
    "bo\u00a0ss",
    "bo\u2003ss",
    "\u200bboss",
    "boss\ufeff",
    "\u202eboss",
    "\u3164boss",
    "b\u043ess",
    "bo\u0301ss",
    "b\u00f3ss",
    "@boss:example.org",
    "boss/..",
    "%62oss",
    "😀",
]
Reader = Callable[[str], str | None]
"""From a name to the one that was read, or None if it was refused."""


def by_itself(name: str) -> str | None:
    try:
        return read_user_id(name)
    except ValueError:
        return None


def as_a_group(name: str) -> str | None:
    try:
        return read_group(name)
    except ValueError:
        return None


def in_a_header(name: str) -> str | None:
    seen: list[Scope] = []
    asyncio.run(send(seen, PROXY, [(USER_HEADER, name)]))
    person = proxied_person(HTTPConnection(seen[0])) if seen else None
    return person.user if person else None


def in_a_header_of_groups(name: str) -> str | None:
    seen: list[Scope] = []
    asyncio.run(send(seen, PROXY, [(USER_HEADER, "ann"), (GROUPS_HEADER, f"a , {name}\t,b")]))
    person = proxied_person(HTTPConnection(seen[0])) if seen else None
    return person.groups[1] if person else None


def in_support_users(name: str) -> str | None:
    try:
        found = load_settings({**GOOD, "SUPPORT_USERS": f"ann ,\t{name} "})
    except SettingsError:
        return None
    (only,) = found.support_users - {"ann"}
    return only


def as_support_group(name: str) -> str | None:
    headers = {**PROXY_SETTINGS, "PROXY_GROUPS_HEADER": "X-Groups"}
    try:
        return load_settings({**GOOD, **headers, "SUPPORT_GROUP": f" {name}\n"}).support_group
    except SettingsError:
        return None


def in_a_claim(name: str) -> str | None:
    try:
        return read_identity({"sub": name}, "sub", "groups", 0.0).user
    except IdTokenRefused:
        return None


def in_a_claim_of_groups(name: str) -> str | None:
    return next(iter(read_groups({"groups": [name]}, "groups")), None)


READERS: list[Reader] = [
    by_itself,
    as_a_group,
    in_a_header,
    in_a_header_of_groups,
    in_support_users,
    as_support_group,
    in_a_claim,
    in_a_claim_of_groups,
]
EVERY_READER = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)


@EVERY_READER
def test_a_name_that_begins_or_ends_with_a_unicode_blank_or_has_a_control_is_refused(
    read: Reader,
) -> None:
    assert [name for name in REFUSED if read(name) is not None] == []


@EVERY_READER
def test_every_other_name_is_kept_to_the_letter(read: Reader) -> None:
    assert [read(name) for name in KEPT] == KEPT


def test_the_settings_table_in_a_file_reads_ids_by_the_same_rule(tmp_path: Path) -> None:
    def users(*ids: str) -> set[str] | None:
        config = tmp_path / "webui.toml"
        config.write_text(f"support_users = [{', '.join(map(_toml, ids))}]", encoding="utf-8")
        try:
            return set(load_settings({**GOOD, "WEBUI_CONFIG": str(config)}).support_users)
        except SettingsError:
            return None

    assert users("ann", "bo ss") == {"ann", "bo ss"}
    assert users("\u00a0boss") is None
    assert users("boss\u3000", "ann") is None
    assert users("boss, who is none") is None  # it would make staff of "boss"


def _toml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


@pytest.mark.parametrize("command", [("link",), ("connections",), ("confirm",)])
def test_a_command_refuses_such_a_name_and_changes_nothing(
    redis_url: str, command: tuple[str, ...]
) -> None:
    code = ("BCDFGH",) if command == ("confirm",) else ()
    for name in ("\u00a0boss", "boss\u3000", " boss", "boss ", "", "bo\x1bss", "\udcff", "x" * 256):
        done = run(redis_url, *command, name, *code)
        assert done.exit_code == 2, name
        assert "a user id" in done.output
        assert "boss" not in done.output.partition("Error:")[2]


def test_a_command_takes_every_other_name_to_the_letter(empty_redis_url: str) -> None:
    for name in KEPT:
        link = run(empty_redis_url, "link", name).output.strip()
        assert asyncio.run(_whom(empty_redis_url, link)) == name


async def _whom(redis_url: str, link: str) -> str:
    async with redis_from_url(redis_url) as redis:
        value = await redis.get(f"stargazer:oauth_link:{link.rpartition('/')[2]}")
    return value.decode() if isinstance(value, bytes) else ""


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    async with support_site(redis_url, redis) as made:
        yield made


@pytest.fixture
async def boss(place: Place) -> Browser:
    return await proxied(place, STAFF, GROUP)


async def test_the_site_answers_400_to_such_a_name_from_its_proxy(place: Place) -> None:
    browser = await place.browser(address=PROXY)
    for header in (USER_HEADER, GROUPS_HEADER):
        for name in (f"\u00a0{STAFF}", f"{STAFF}\u2003", f"{GROUP}\u3000", "\u2028"):
            named = [(USER_HEADER.encode(), STAFF.encode())] if header == GROUPS_HEADER else []
            for path in ("/connections", "/support"):
                headers = [*named, (header.encode(), name.encode())]
                answer = await browser.client.get(path, headers=headers)
                assert answer.status_code == 400
                assert "set-cookie" not in answer.headers
    assert not [key async for key in place.redis.scan_iter("stargazer:web_session*")]


async def test_support_is_told_of_a_blank_and_nobody_is_looked_up(
    place: Place, boss: Browser
) -> None:
    await place.bot.create_link_code(place.redis, "ann")
    for where in ("", "github", "reference"):
        for q in ("\u00a0ann", "ann\u2003", "\u3000"):
            answer = await boss.get(f"/support?q={quote(q)}&where={where}&reason=ticket+1")
            assert answer.status_code == 422
            assert "begins or ends with an unusual blank" in answer.text
    assert await records(place.redis) == []
    answer = await boss.get("/support?q=%20ann%09&reason=ticket+1")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/support/people/ann?")


def test_the_commands_of_this_test_are_those_that_take_a_user() -> None:
    from webui.cli import main

    takes = {n for n, c in main.commands.items() if any(p.name == "user" for p in c.params)}
    assert takes == {"link", "connections", "confirm", "export", "erase"}
    assert CliRunner().invoke(main, ["link"]).exit_code == 2
