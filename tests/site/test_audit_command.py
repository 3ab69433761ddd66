"""``webui audit``: what support looked at and did, for whoever runs the site."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.kit.library import KEY
from tests.kit.site_fixtures import SESSION_SECRET
from webui.cli import main
from webui.oauth_manager import AuditRecord, redis_from_url
from webui.oauth_manager.journal.audit import Audit
from webui.oauth_manager.storage import Clock

AUDIT = "stargazer:oauth_audit"
NOW = time.time()
RECORDS = [
    AuditRecord("carol", "sso", "viewed", "ann", "", "ticket 1", "shown", "ab12", NOW - 10 * 86400),
    AuditRecord(
        "carol", "sso", "disconnected", "ann", "github", "t 2", "begun", "cd34", NOW - 9000
    ),
    AuditRecord("eve\r\nwho=x", "chat", "denied", request_id="ef56", at=NOW - 60),
]


def run(redis_url: str, *arguments: str) -> Result:
    environment = {
        "BASE_URL": "https://connect.example.org",
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
    }
    return CliRunner().invoke(main, ["audit", *arguments], env=environment)


@pytest.fixture
def kept(redis_url: str) -> str:
    """The address of a Redis with the records, each at the moment it was made."""

    async def fill() -> None:
        client: Any = redis_from_url(redis_url)
        async with client as redis:
            await redis.flushall()
            for record in RECORDS:
                await Audit(Clock()).write(redis, record)
            entries = [entry for _, entry in await redis.xrange(AUDIT)]
            await redis.delete(AUDIT)
            for record, entry in zip(RECORDS, entries, strict=True):
                await redis.xadd(AUDIT, entry, id=f"{int(record.at * 1000)}-0")

    asyncio.run(fill())
    return redis_url


def test_a_line_for_each_record_oldest_first(kept: str) -> None:
    done = run(kept, "--since", "30d")
    assert done.exit_code == 0
    first, second, third = done.output.splitlines()
    assert first.endswith(
        "who=carol via=sso action=viewed whom=ann reason='ticket 1' result=shown request_id=ab12"
    )
    assert "provider=github" in second
    assert "who='eve\\r\\nwho=x'" in third


def test_an_object_for_each_record(kept: str) -> None:
    done = run(kept, "--since", "30d", "--json")
    assert [AuditRecord(**json.loads(line)) for line in done.output.splitlines()] == RECORDS


@pytest.mark.parametrize(
    ("since", "count"), [("7d", 2), ("1h", 1), ("1999-12-31", 3), ("2999-01-01", 0)]
)
def test_only_what_is_since_then(kept: str, since: str, count: int) -> None:
    done = run(kept, "--since", since, "--json")
    assert (done.exit_code, len(done.output.splitlines())) == (0, count)


def test_an_empty_record_is_said_to_be_empty(kept: str) -> None:
    done = run(kept, "--since", "2999-01-01")
    said = "Since then support has looked at nobody, and done nothing.\n"
    assert (done.exit_code, done.output) == (0, said)


def test_reading_the_record_is_not_on_record_itself(kept: str) -> None:
    for _ in range(2):
        assert len(run(kept, "--since", "30d").output.splitlines()) == len(RECORDS)


@pytest.mark.parametrize("arguments", [(), ("--since", "yesterday"), ("--since", "")])
def test_a_time_that_is_none_is_the_command_lines_fault(
    redis_url: str, arguments: tuple[str, ...]
) -> None:
    assert run(redis_url, *arguments).exit_code == 2


def test_without_redis_it_says_so(tmp_path: Any) -> None:
    done = run(f"unix://{tmp_path}/none.sock", "--since", "7d")
    assert done.exit_code == 1
    assert "Redis does not answer" in done.output
