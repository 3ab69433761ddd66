"""Every published error code of the four providers, row by row of ``docs/errors.md``.

Each is answered by the fake provider at its step, through the real pages and the library.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.cards_shown import said_by
from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.library import age
from tests.kit.site_fixtures import Browser, Place
from webui.oauth_manager import (
    Health,
    Meaning,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthProvider,
    OAuthRefused,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    require_oauth_token,
)
from webui.oauth_manager import access as access_module
from webui.oauth_manager.errors import ProviderFailure
from webui.oauth_manager.protocol.answers import Answer as Got
from webui.oauth_manager.protocol.meanings import meaning_of
from webui.oauth_manager.protocol.token_answers import read_token_answer
from webui.oauth_manager.providers import PROVIDER_TEMPLATES, build_providers

pytestmark = pytest.mark.anyio

DOCUMENT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
PROVIDERS = build_providers(PROVIDER_TEMPLATES, {})
ERRORS = {
    "OAuthNotConnected": OAuthNotConnected,
    "OAuthMisconfigured": OAuthMisconfigured,
    "OAuthUnavailable": OAuthUnavailable,
}


@dataclass(frozen=True)
class Row:
    """One code or status at one step of one provider, and what the table makes of it."""

    provider: str
    step: str
    said: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.provider}-{self.step}-{self.said}"


def rows() -> Iterator[Row]:
    for section in re.split(r"^## ", DOCUMENT, flags=re.M)[1:]:
        provider = section.splitlines()[0].lower()
        for step, cell, meaning in re.findall(r"^\| (\w+) \| (.+) \| ([\w ]+) \|$", section, re.M):
            for said in cell.replace("`", "").split() if step != "At" else ():
                yield Row(provider, step, said, meaning)


ROWS = list(rows())
CODES = [row for row in ROWS if row.step in ("authorize", "exchange", "refresh")]
NUMBERS = [row for row in ROWS if row.step == "any"]
FIRST_NUMBERS = list({row.meaning: row for row in NUMBERS}.values())
LEGEND = {
    meaning: (connecting.strip(), renewing, ERRORS[error])
    for meaning, connecting, renewing, error in re.findall(
        r"^\| `(\w+)` \|(.*)\| (.+) \| `(\w+)` \|$", DOCUMENT, re.M
    )
}


def each(found: list[Row], *steps: str) -> pytest.MarkDecorator:
    chosen = [row for row in found if not steps or row.step in steps]
    return pytest.mark.parametrize("row", chosen, ids=map(str, chosen))


def refusal(row: Row, status: int = 400) -> Answer:
    """The answer of a token address, in the provider's own shape."""
    if row.provider == "microsoft" and row.said.isdigit():
        body = {"error": "invalid_grant", "error_codes": [int(row.said)], "trace_id": "0a-1b"}
        return json_answer(body, status)
    if row.provider == "discord" and row.said.isdigit():
        return json_answer({"message": "said by the fake", "code": int(row.said)}, status)
    if row.said == "invalid_rapt":
        body = {"error": "invalid_grant", "error_subtype": "invalid_rapt"}
        return json_answer(body, status)
    return error_answer(row.said, 200 if row.provider == "github" else status)


def named(sentence: str, row: Row) -> str:
    return sentence.replace("GitHub", PROVIDERS[row.provider].label)


# The table itself


def test_every_meaning_is_explained_with_its_sentences() -> None:
    assert LEGEND.keys() == set(Meaning)


def test_every_provider_has_rows_for_every_step() -> None:
    steps = {"authorize", "exchange", "refresh", "account", "revoke"}
    for name in PROVIDER_TEMPLATES:
        own = {row.step for row in ROWS if row.provider == name} - {"any"}
        assert own == (steps - {"revoke"} if name == "microsoft" else steps)


@pytest.mark.parametrize("name", sorted(PROVIDER_TEMPLATES))
def test_every_word_that_the_provider_knows_is_in_the_table(name: str) -> None:
    listed = {row.said for row in ROWS if row.provider == name}
    assert {word for words in PROVIDERS[name].words.values() for word in words} <= listed


def test_no_word_means_two_things_at_one_step() -> None:
    found: dict[tuple[str, str, str], str] = {}
    for row in ROWS:
        assert found.setdefault((row.provider, row.step, row.said), row.meaning) == row.meaning


@every("row", {str(row): row for row in NUMBERS})
def test_a_number_decides_at_every_step_and_is_kept_for_support(row: Row) -> None:
    provider = PROVIDERS[row.provider]
    for step in ("authorize", "exchange", "refresh"):
        said = ["invalid_client", row.said]
        assert meaning_of(provider, step, said) == (row.meaning, row.said)
    body = f'{{"error": "invalid_client", "error_codes": [{row.said}]}}'
    with pytest.raises(ProviderFailure) as caught:
        read_token_answer(provider, "refresh", Got(400, {}, body.encode()))
    assert caught.value.code == f"invalid_client {row.said}"


# Every other provider

OTHERS = DOCUMENT.partition("## Every other provider")[2]
ELSEWHERE = OAuthProvider("plain", "https://p.example/authorize", "https://p.example/token")


@every("said", re.findall(r"^\| `(.+)` \| .*\|$", OTHERS, re.M))
def test_a_renewal_that_is_refused_in_a_word_of_the_table_has_ended(said: str) -> None:
    together = said.split() if said[0].isupper() and said[1:] != said[1:].lower() else [said]
    body = {"error": together[0], "more": together[1:]}
    for status in (200, 400, 401, 403):
        with pytest.raises(OAuthRefused) as caught:
            read_token_answer(ELSEWHERE, "refresh", Got(status, {}, json.dumps(body).encode()))
        assert caught.value.meaning is Meaning.GONE


@every("step", ["authorize", "exchange", "refresh"])
@every("said", re.findall("`([a-z_]+)`", OTHERS.partition("end nothing:")[2]))
def test_a_word_about_the_client_is_the_operators_at_every_step(said: str, step: str) -> None:
    assert meaning_of(ELSEWHERE, step, [said]) == (Meaning.SETUP, said)
    assert meaning_of(ELSEWHERE, step, [said, "invalid refresh token"])[0] is Meaning.SETUP


# Connecting


async def shown(ann: Browser, row: Row) -> tuple[str, httpx.Response]:
    page = await ann.get("/connections")
    return said_by(page, row.provider), page


async def told(place: Place, ann: Browser, row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Check what the person reads, what is stored, what the timeline and the log say."""
    said, page = await shown(ann, row)
    assert said.startswith(named(LEGEND[row.meaning][0], row)), said
    assert "said by the fake" not in page.text + caplog.text
    assert await place.records() == {}
    (event, *_) = (await place.bot.activity(place.redis, "ann")).events
    outcome = Meaning(row.meaning).outcome
    is_denied = outcome == "denied"
    assert (event.kind, event.detail) == (
        ("denied" if is_denied else "connect_failed"),
        outcome,
    )


@each([*CODES, *FIRST_NUMBERS], "authorize", "any")
async def test_at_the_callback_it_is_told_and_nothing_is_asked_for(
    place: Place, ann: Browser, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    state = httpx.URL(await ann.begin(row.provider)).params["state"]
    fields = {"state": state, "error": row.said, "error_description": "said by the fake"}
    if row.said.isdigit():
        fields |= {"error": "server_error", "error_description": f"AADSTS{row.said}: x. Trace"}
    await ann.get(f"/oauth/{row.provider}/callback?{httpx.QueryParams(fields)}")
    await told(place, ann, row, caplog)
    assert not place.fake.calls["token"]


@each([*CODES, *FIRST_NUMBERS], "exchange", "any")
async def test_at_the_exchange_it_is_told_and_nothing_is_stored(
    place: Place, ann: Browser, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    place.fake.script("token", refusal(row))
    await place.connect(ann, row.provider)
    await told(place, ann, row, caplog)
    assert place.fake.calls["token"] == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert any(row.said in error for error in errors) is (row.meaning in ("setup", "unknown"))


# Renewing


@each([*CODES, *FIRST_NUMBERS], "refresh", "any")
async def test_at_a_renewal_the_card_the_record_the_log_and_the_tool_say_the_same(
    place: Place,
    ann: Browser,
    row: Row,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await place.connect(ann, row.provider)
    await ann.post(f"/connections/{row.provider}/dismiss")
    await age(place.bot, place.redis, "ann", row.provider)
    place.fake.always["token"] = refusal(row)
    monkeypatch.setattr(access_module, "_instance", place.bot)
    caller = SimpleNamespace(user_id="ann", redis=place.redis)
    _, renewing, error = LEGEND[row.meaning]
    with pytest.raises(error) as caught:
        await require_oauth_token(caller, row.provider)
    assert "said by the fake" not in str(caught.value)
    said, page = await shown(ann, row)
    assert said.startswith(named(renewing, row)), said
    assert re.search(rf'id="conn-{row.provider}-reconnect"', page.text)
    known = await place.bot.connection(place.redis, "ann", row.provider)
    profile = known.profile
    if error is OAuthNotConnected:
        assert known.status is Status.RECONNECT_NEEDED
        assert not known.has_tokens
        assert profile.problem_kind == row.meaning
        kept, at_least = profile.problem, logging.WARNING
    else:
        kinds = {"setup": "setup", "trouble": "provider", "unknown": "refused"}
        assert (known.status, known.has_tokens) == (Status.CONNECTED, True)
        assert profile.trouble == kinds[row.meaning]
        kept = profile.trouble_code
        at_least = logging.ERROR if row.meaning != "trouble" else logging.NOTSET
    numbers = row.said.isdigit() or row.said == "invalid_rapt"
    assert row.said in kept or (numbers and "invalid_grant" in kept)
    if at_least:
        lines = [r.getMessage() for r in caplog.records if r.levelno >= at_least]
        assert any(kept in line for line in lines)


# The account and the revocation


@each(ROWS, "account")
async def test_at_the_account_address_the_status_decides(
    place: Place, ann: Browser, row: Row
) -> None:
    await place.connect(ann, row.provider)
    status = int(row.said)
    body: dict[str, Any] = {"message": "said by the fake", "code": 0} if status != 200 else {}
    place.fake.script("account", json_answer(body or place.fake.account, status))
    health = await place.bot.check(place.redis, "ann", row.provider)
    assert place.fake.calls["refresh"] == (1 if row.meaning == "over" else 0)
    expected = Health.PROVIDER_TROUBLE if row.meaning == "trouble" else Health.WORKING
    assert health is expected
    assert await place.bot.has_token("ann", row.provider, place.redis)


@each(ROWS, "revoke")
async def test_at_the_revocation_address_the_status_decides(
    place: Place, ann: Browser, row: Row
) -> None:
    await place.connect(ann, row.provider)
    status = int(row.said)
    error = {"error": "invalid_token"} if status != 200 else {}
    place.fake.script("revoke", Answer(204) if status == 204 else json_answer(error, status))
    done = await place.bot.delete_token(place.redis, "ann", row.provider)
    is_confirmed = done.at_provider is RevokeOutcome.REVOKED
    assert is_confirmed is (row.meaning == "confirmed")
    assert not await place.bot.has_token("ann", row.provider, place.redis)


GONE = ("Bad_OAuth_Token", "token_revoked", "190")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, body=b"Bad_OAuth_Token"),
        json_answer({"ok": False, "error": "token_revoked"}),
        json_answer({"error": {"type": "OAuthException", "code": 190}}, 400),
    ],
)
async def test_at_the_account_address_a_providers_own_word_says_that_the_token_is_over(
    place: Place, ann: Browser, answer: Answer
) -> None:
    await place.connect(ann, "discord")
    place.fake.script("account", answer, answer)
    await place.bot.check(place.redis, "ann", "discord")
    assert place.fake.calls["refresh"] == 0
    place.bot.providers["discord"].gone = GONE
    place.fake.script("account", answer)
    await age(place.bot, place.redis, "ann", "discord", 4e9)
    await place.bot.check(place.redis, "ann", "discord")
    assert place.fake.calls["refresh"] == 1


async def test_at_the_account_address_a_number_in_a_good_answer_ends_nothing(
    place: Place, ann: Browser
) -> None:
    await place.connect(ann, "discord")
    place.bot.providers["discord"].gone = GONE
    place.fake.account = {"user": {"id": "190", "username": "token_revoked"}, "size": 190}
    assert await place.bot.check(place.redis, "ann", "discord") is Health.WORKING
    assert place.fake.calls["refresh"] == 0


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (error_answer("invalid_client", 401), logging.ERROR),
        (error_answer("unsupported_token_type"), logging.WARNING),
        (json_answer({"ok": False}), logging.WARNING),
        (Answer(503), logging.WARNING),
    ],
)
async def test_what_a_revocation_is_refused_for_is_in_the_log(
    place: Place, ann: Browser, answer: Answer, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    await place.connect(ann, "google")
    place.fake.script("revoke", answer)
    done = await place.bot.delete_token(place.redis, "ann", "google")
    assert done.at_provider is RevokeOutcome.UNCONFIRMED
    (line,) = [r for r in caplog.records if "revoke not confirmed" in r.getMessage()]
    assert line.levelno == level
    assert str(answer.status) in line.getMessage()


# Another client id


class TestAnotherClientId:
    @pytest.mark.parametrize(
        "error", ["unauthorized_client", "invalid_client", "invalid_grant", "never_heard_of"]
    )
    async def test_a_refused_renewal_is_that_persons_reconnect(
        self, place: Place, ann: Browser, error: str
    ) -> None:
        await place.connect(ann, "google")
        await ann.post("/connections/google/dismiss")
        await age(place.bot, place.redis, "ann", "google")
        place.fake.always["token"] = error_answer(error, 401)
        place.bot.providers["google"].client_id = "another"
        assert await place.bot.get_token("ann", "google", place.redis) is None
        row = Row("google", "refresh", error, "moved")
        said, _ = await shown(ann, row)
        assert said.startswith(named(LEGEND["moved"][1], row))

    async def test_a_refused_renewal_under_the_same_one_stays_the_operators_and_offers_to_reconnect(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "google")
        await age(place.bot, place.redis, "ann", "google")
        place.fake.always["token"] = error_answer("unauthorized_client", 401)
        with pytest.raises(OAuthMisconfigured):
            await place.bot.get_token("ann", "google", place.redis)
        page = await ann.get("/connections")
        assert 'id="conn-google-reconnect"' in page.text
        place.fake.always.clear()
        await place.connect(ann, "google")
        assert await ann.state_of("google") == "connected"

    async def test_trouble_with_another_one_is_trouble(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "google")
        await age(place.bot, place.redis, "ann", "google")
        place.bot.providers["google"].client_id = "another"
        for answer in (Answer(503), Answer(429), error_answer("invalid_grant", 500)):
            place.fake.script("token", answer)
            with pytest.raises(OAuthUnavailable):
                await place.bot.get_token("ann", "google", place.redis)
            await place.redis.delete("stargazer:oauth_lock:ann:google")
        assert await place.bot.has_token("ann", "google", place.redis)

    async def test_a_record_that_does_not_say_whose_it_is_stays_the_operators(
        self, place: Place, ann: Browser, redis: Redis
    ) -> None:
        await place.connect(ann, "google")
        token = await place.bot.valid_token(redis, "ann", "google")
        assert token
        assert token.client_id == place.fake.client_id
        token.client_id, token.expires_at = "", 1000.0
        await place.bot.store_token(redis, "ann", token)
        place.bot.providers["google"].client_id = "another"
        place.fake.always["token"] = error_answer("unauthorized_client", 401)
        with pytest.raises(OAuthMisconfigured):
            await place.bot.get_token("ann", "google", redis)

    async def test_a_renewal_is_of_the_client_that_asked(
        self, place: Place, redis: Redis, ann: Browser
    ) -> None:
        await place.connect(ann, "google")
        place.bot.providers["google"].client_id = place.fake.client_id = "another"
        await age(place.bot, redis, "ann", "google")
        token = await place.bot.valid_token(redis, "ann", "google")
        assert token
        assert token.client_id == "another"
        assert "client_id" not in token.to_dict()
