"""``webui status``: one screen, or one object, without a secret or an id of a person."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import KEY, OTHER_KEY, manager_for
from tests.kit.redis_servers import redis_server
from tests.kit.support_fixtures import CANARY, settle
from tests.site.test_commands import fill, run
from webui.commands.status import _FIT
from webui.oauth_manager.storage import Fit

USER = "mona-lisa-the-person"


async def filled(redis: Any) -> None:
    manager = manager_for(FakeProvider())
    await settle(manager, redis, USER)
    await manager.settle(redis)
    await manager.create_link_code(redis, USER, provider="github")


def test_the_object_says_what_is_stored_and_nothing_about_anybody(redis_url: str) -> None:
    fill(redis_url, filled)
    done = run(redis_url, "status", "--json")
    assert done.exit_code == 0
    found = json.loads(done.output)
    assert found["version"] == version("stargazer-webui")
    assert found["engine"].pop("kind") in ("redis", "valkey")
    assert found["engine"].pop("version")
    assert found["engine"] == {
        "ok": True,
        "persistence": "none",
        "policy": "noeviction",
        "mode": "standalone",
    }
    assert found["keys"] == {"in_use": 1, "canary": "fits"}
    assert found["people"] == 1
    assert found["connections"]["github"] == {"connected": 1}
    assert (found["open_links"], found["notices_unread"]) == (1, 0)
    assert (found["last_rotation"], found["last_keep_alive"]) == (None, None)
    assert found["warnings"] == [
        "A restart of Redis loses every connection. Set `appendonly yes`.",
        "Of the connections, 1 cannot be read. `webui check` names them.",
    ]
    for secret in (USER, CANARY, KEY):
        assert secret not in done.output


def test_the_screen_says_the_same(redis_url: str) -> None:
    fill(redis_url, filled)
    done = run(redis_url, "status", ENCRYPTION_KEY=f"{KEY},{OTHER_KEY}")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == f"webui {version('stargazer-webui')}"
    assert lines[1].endswith(" standalone; keeps nothing over a restart")
    assert lines[2:5] == ["Keys: 2 in use; they fit what is stored", "People: 1", "Connections:"]
    assert "  discord: 1 reconnect needed" in lines
    assert "Open links: 1" in lines
    assert "Last rotation of keys: none yet" in lines


def test_the_screen_has_words_for_every_fit_of_the_keys() -> None:
    assert set(_FIT) == set(Fit)


def test_it_ends_with_1_if_the_keys_do_not_fit(redis_url: str) -> None:
    fill(redis_url, filled)
    done = run(redis_url, "status", "--json", ENCRYPTION_KEY=OTHER_KEY)
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert found["keys"] == {"in_use": 1, "canary": "wrong_key"}
    assert any(line.startswith("ENCRYPTION_KEY is not the key") for line in found["warnings"])


def test_it_ends_with_1_and_says_so_if_redis_is_away() -> None:
    done = run("redis://127.0.0.1:1/0", "status", "--json")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert found["engine"]["ok"] is False
    assert (found["people"], found["connections"], found["keys"]["canary"]) == (None, None, None)
    assert len(found["warnings"]) == 1
    done = run("redis://127.0.0.1:1/0", "status")
    assert done.exit_code == 1
    assert "Redis does not answer" in done.output


def test_it_warns_of_a_redis_that_drops_what_it_holds() -> None:
    with redis_server("--maxmemory-policy", "allkeys-lru", "--appendonly", "yes") as port:
        done = run(f"redis://127.0.0.1:{port}/0", "status", "--json")
    assert done.exit_code == 0
    (warning,) = json.loads(done.output)["warnings"]
    assert warning.startswith("maxmemory-policy is allkeys-lru: ")
