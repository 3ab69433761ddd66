"""The list of what is stored about people, against the keys that there are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from webui.commands.erase import NOT_ENDED
from webui.oauth_manager import Answer
from webui.oauth_manager.storage import keys

ROOT = Path(__file__).parents[2]
DATA = (ROOT / "docs" / "data.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
# Of all keys that there are, those that say nothing of a person.
OF_NOBODY = (
    "api_keys",
    "api_use",
    "canary",
    "census",
    "digests",
    "erasing_lock",
    "keep_alive",
    "notices_read",
    "oauth_server",
    "ready",
    "rotation",
    "web_signon",
    "webhook_to",
    "webhook_turn",
)


def lives(page: str) -> dict[str, str]:
    """The life of every key in a page's table, by its name."""
    rows = re.findall(r"^\| (`stargazer:[^|]*?) \|.* \| ([^|]*) \|$", page, re.M)
    return dict(rows)


def test_what_is_stored_of_people_are_all_keys_but_those_that_say_nothing_of_them() -> None:
    everything, of_people = lives(OPERATING), lives(DATA)
    left_out = everything.keys() - of_people.keys()
    assert of_people.keys() <= everything.keys()
    assert [key for key in left_out if not any(name in key for name in OF_NOBODY)] == []


def test_how_long_each_is_kept_is_the_same_on_both_pages() -> None:
    everything, of_people = lives(OPERATING), lives(DATA)
    assert [key for key, life in of_people.items() if everything[key] != life] == []


def test_an_erasure_knows_every_key_that_is_made_of_a_person() -> None:
    made = {
        name: make("ann", *["github"] * (len(inspect.signature(make).parameters) - 1))
        for name, make in inspect.getmembers(keys, inspect.isfunction)
        if next(iter(inspect.signature(make).parameters), "") == "user_id"
    }
    names = {key for key in made.values() if isinstance(key, str) and key.startswith("stargazer:")}
    known = {*keys.of_person("ann"), *keys.beside_tokens("ann", "github")}
    assert names - known == {keys.tokens("ann", "github")}


def test_every_answer_of_a_provider_is_explained() -> None:
    listed = re.findall(r"^\| `(\w+)` \| [^|]*\|$", DATA.partition("| Answer |")[2], re.M)
    assert listed == [answer.value for answer in Answer]
    assert f"with {NOT_ENDED} if everything is erased" in DATA
