"""The page of the API against the API itself: its tables, and its examples, which are run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.kit.api_caller import Caller, caller
from tests.kit.library import connected, fake_provider, providers_config
from tests.kit.site_fixtures import Place, site_environment
from tests.rules.test_documents import bare, code_blocks, table
from webui.api.operations import OPERATIONS, PREFIX
from webui.api.problems import CODES
from webui.api.service_keys import RIGHTS
from webui.cli import main

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SHELL = code_blocks(PAGE, "sh")
CALLS = [block for block in SHELL if block.startswith("curl ")]


def test_the_rights_are_those_there_are() -> None:
    assert [bare(row[0]) for row in table(PAGE, "Right")] == list(RIGHTS)


def test_the_calls_are_those_there_are() -> None:
    rows = [row[:4] for row in table(PAGE, "Method")]
    assert rows == [
        [
            one.method,
            f"`{PREFIX}{one.path}`",
            f"`{one.right}`",
            " ".join(f"`{m.name}{'' if m.is_required else '?'}`" for m in one.members),
        ]
        for one in OPERATIONS
    ]


def test_the_problems_are_those_there_are() -> None:
    rows = [[bare(code), int(status), said] for code, status, said in table(PAGE, "Code")]
    assert rows == [[code, *said] for code, said in CODES.items()]


async def sent(bot: Caller, block: str) -> Any:
    """What a call of curl on the page sends to the site's address, by this bot."""
    words = shlex.split(block.replace("\\\n", " "))
    (url,) = [word for word in words if word.startswith("https://connect.example.org/api/v1/")]
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    assert headers.pop("Authorization") == "Bearer $SERVICE_KEY"
    path = url.removeprefix("https://connect.example.org/api/v1")
    if "-d" not in words:
        return await bot.client.get(path, headers=headers)
    body = words[words.index("-d") + 1]
    return await bot.client.post(path, content=body, headers=headers)


async def test_the_calls_on_the_page_are_answered(place: Place) -> None:
    await connected(place.bot, place.fake, place.redis, "ann", "github")
    bot = await caller(place)
    answers = [await sent(bot, block) for block in CALLS]
    assert [answer.status_code for answer in answers] == [200] * len(CALLS)
    shown = [json.loads(block) for block in code_blocks(PAGE, "json")]
    assert [answers[0].json().keys(), answers[2].json().keys()] == [one.keys() for one in shown]
    (notice,) = answers[2].json()["notices"]
    (example,) = shown[1]["notices"]
    assert notice | {"id": "", "at": 0} == example | {"id": "", "at": 0}


def test_the_commands_on_the_page_work(empty_redis_url: str) -> None:
    environment = site_environment(
        "https://connect.example.org", empty_redis_url, providers_config(fake_provider())
    )
    key = ""
    commands = [
        shlex.split(line)[1:]
        for block in SHELL
        for line in block.splitlines()
        if line.startswith("webui keys")
    ]
    assert [words[1] for words in commands] == ["new", "list", "revoke"]
    for words in commands:
        words = [key if word.startswith("stargazer_") else word for word in words]
        done = CliRunner().invoke(main, words, env=environment)
        assert done.exit_code == 0, done.output
        key = key or re.findall(r"stargazer_[a-z0-9]{10}", done.stdout)[0]
    done = CliRunner().invoke(main, ["keys", "list"], env=environment)
    assert "There are no keys" in done.stdout
