"""The site as a client of providers: its documents for them, and connecting that cannot begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer, json_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, FAKE_URL, fake_provider, providers_config
from tests.kit.site_fixtures import Browser, Place, card_state, shown_reference, site_at
from webui.settings.settings import SettingsError, load_settings

pytestmark = pytest.mark.anyio

KEY = ECKey.generate_key("P-256").as_pem(private=True).decode()
GOOD = {
    "BASE_URL": "https://connect.test",
    "REDIS_URL": "redis://redis.test:6379/0",
    "ENCRYPTION_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "SESSION_SECRET": "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s",
    "GITHUB_CLIENT_ID": "id",
}


def config(fake: FakeProvider, **more: Any) -> dict[str, dict[str, Any]]:
    """Discord, whose requests are pushed."""
    made = providers_config(fake, FAKE_URL, ["discord"])
    made["discord"] |= {"par_url": f"{FAKE_URL}/discord/par", **more}
    return made


class TestTheKeySet:
    async def test_lists_public_halves_alone_to_anybody(self, redis_url: str, redis: Redis) -> None:
        fake = fake_provider()
        given = config(fake, client_key=KEY, client_secret="")
        async with site_at(redis_url, redis, fake, providers_config=given) as place:
            answer = await (await place.browser()).get("/oauth/jwks.json")
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=300"
            public = ECKey.import_key(KEY)
            (only,) = answer.json()["keys"]
            assert only == {
                **public.as_dict(private=False),
                "kid": public.thumbprint(),
                "use": "sig",
                "alg": "ES256",
            }

    async def test_is_empty_without_keys(self, place: Place) -> None:
        answer = await (await place.browser()).get("/oauth/jwks.json")
        assert answer.json() == {"keys": []}


class TestConnectingThatCannotBegin:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (error_answer("invalid_client", 401), "misconfigured"),
            (json_answer({}, 503), "trouble"),
        ],
    )
    async def test_says_so_on_the_card_and_leads_nowhere(
        self, redis_url: str, redis: Redis, answer: Any, state: str
    ) -> None:
        fake = fake_provider(always={"unknown": answer})
        async with site_at(redis_url, redis, fake, providers_config=config(fake)) as place:
            ann = await place.signed_in("ann")
            back = await ann.post("/connections/discord/connect")
            assert (back.status_code, back.headers["location"]) == (
                303,
                "/connections#conn-discord-n",
            )
            assert "hx-redirect" not in back.headers
            page = await ann.get("/connections")
            assert card_state(page.text, "discord") == state
            assert len(shown_reference(page)) == 6
            card = await ann.post("/connections/discord/connect", htmx=True)
            assert card.status_code == 200
            assert card_state(card.text, "discord") == state

    async def test_says_so_to_who_came_from_chat(self, redis_url: str, redis: Redis) -> None:
        fake = fake_provider(always={"unknown": error_answer("invalid_client", 401)})
        async with site_at(redis_url, redis, fake, providers_config=config(fake)) as place:
            ann = await place.browser()
            back = await place.prove(ann, "ann", "discord")
            assert back.headers["location"] == "/connections#conn-discord-n"
            page = await ann.get("/connections")
            assert card_state(page.text, "discord") == "misconfigured"

    async def test_pushed_requests_lead_to_the_provider_by_a_reference(
        self, redis_url: str, redis: Redis
    ) -> None:
        pushed = json_answer({"request_uri": "urn:example:1", "expires_in": 60}, 201)
        fake = fake_provider(always={"unknown": pushed})
        async with site_at(redis_url, redis, fake, providers_config=config(fake)) as place:
            ann: Browser = await place.signed_in("ann")
            url = await ann.begin("discord")
            assert url == (
                f"{FAKE_URL}/discord/authorize?client_id=client&request_uri=urn%3Aexample%3A1"
            )
            form = fake.requests[-1].form
            assert form["redirect_uri"] == f"{BASE_URL}/oauth/discord/callback"
            assert form["client_secret"] == "client-secret"


class TestSettingsOfAKey:
    def test_a_file_holds_the_key(self, tmp_path: Path) -> None:
        file = tmp_path / "key.pem"
        file.write_text(KEY)
        made = load_settings(GOOD | {"GITHUB_CLIENT_KEY_FILE": str(file)})
        assert made.providers_config["github"]["client_key"] == KEY.strip()
        assert KEY not in repr(made)

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (
                {"GITHUB_CLIENT_KEY": KEY, "GITHUB_CLIENT_SECRET": "secret"},
                "GITHUB_CLIENT_SECRET and GITHUB_CLIENT_KEY are given; give one of them alone.",
            ),
            (
                {"GITHUB_CLIENT_KEY": "not a key"},
                (
                    "GITHUB_CLIENT_KEY must be a private key in PEM without a password, or a JWK: "
                    "of the curve P-256, P-384 or P-521, or RSA of at least 2048 bits."
                ),
            ),
            (
                {"GITHUB_CLIENT_ID": "", "GITHUB_CLIENT_KEY": KEY},
                "GITHUB_CLIENT_ID is missing: client id and client secret go together.",
            ),
        ],
    )
    def test_a_faulty_one_is_refused(self, more: dict[str, str], said: str) -> None:
        with pytest.raises(SettingsError) as raised:
            load_settings(GOOD | more)
        assert raised.value.faults == (said,)
