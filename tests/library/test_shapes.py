"""Records out of JSON: every field of the type that its dataclass names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.library import subject
from webui.oauth_manager.shapes import shaped
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.lock import Lock
from webui.oauth_manager.storage.sealer import Sealer
from webui.oauth_manager.storage.storage import Storage


@dataclass(frozen=True)
class Shape:
    name: str
    at: float = 0.0
    count: int = 1
    is_on: bool = False
    words: tuple[str, ...] = ()
    other: object = None


GOOD: dict[str, Any] = {"name": "a", "at": 5, "count": 2, "is_on": True, "words": ["x", "y"]}


def test_a_record_makes_an_instance_and_what_it_has_more_is_passed_over() -> None:
    assert shaped(Shape, {**GOOD, "colour": "red"}) == Shape("a", 5.0, 2, True, ("x", "y"))
    assert shaped(Shape, {"name": ""}) == Shape("")
    assert shaped(Shape, {"name": 5, "other": 5}, name="given", other=[]) == Shape(
        "given", other=[]
    )


STRANGE: dict[str, list[Any]] = {
    "name": [None, 5, True, [], {}, b"a", "\ud800"],
    "at": [None, "5", True, -1, 1e12, float("nan"), 10**400, []],
    "count": [None, "5", True, -1, 1.5, 10**10],
    "is_on": [None, 0, 1, "true"],
    "words": [None, "xy", 5, {"x": "y"}, ["x", 5], [None], ["\udfff"]],
}


@every("name", list(STRANGE))
def test_a_field_of_another_type_is_refused(name: str) -> None:
    for value in STRANGE[name]:
        with pytest.raises(TypeError):
            shaped(Shape, {**GOOD, name: value})


@every("record", [None, 5, "text", [], [["name", "a"]], {}, {"at": 5}])
def test_what_is_no_record_or_lacks_a_field_is_refused(record: object) -> None:
    with pytest.raises(TypeError):
        shaped(Shape, record)


@pytest.mark.anyio
async def test_junk_in_the_place_of_a_lock_is_one_only_until_it_runs_out(redis: Redis) -> None:
    key = "stargazer:oauth_lock:ann:github"
    place = Storage(Sealer(), Clock()), subject(redis, "ann", "github")
    for junk in ("junk", "sent:", "failed:x", "\0"):
        await redis.set(key, junk)
        assert (await Lock(*place).acquire()).answer == "got"
        await redis.set(key, junk, ex=15)
        assert (await Lock(*place).acquire()).answer == "held"
