"""The stand-in providers keep the habits of the real ones."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from webui.sandbox.standins import create_standins, endpoints, manage_urls

pytestmark = pytest.mark.anyio

BASE = "http://standins.test"
PROVIDERS = ("github", "google", "discord", "microsoft")
CLIENTS = {p: (f"{p}-id", f"{p}-secret", f"http://site.test/oauth/{p}/callback") for p in PROVIDERS}
SCOPES = {
    "github": "read:user,repo",
    "google": "openid email https://www.googleapis.com/auth/calendar",
    "discord": "identify guilds",
    "microsoft": "openid offline_access User.Read",
}
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """An application at the stand-ins; ``p`` is a provider's name."""

    http: httpx.AsyncClient
    clock: Clock = field(default_factory=Clock)

    def authorize_url(self, p: str, **changes: str | None) -> str:
        query = {
            "client_id": CLIENTS[p][0],
            "redirect_uri": CLIENTS[p][2],
            "response_type": "code",
            "scope": SCOPES[p],
            "state": "the-state",
            "code_challenge": CHALLENGE.decode(),
            "code_challenge_method": "S256",
            "access_type": "offline",
        } | changes
        kept = {name: value for name, value in query.items() if value is not None}
        return f"{endpoints(BASE)[p]['authorize_url']}?{urlencode(kept)}"

    async def decide(self, p: str, form: dict[str, Any], **changes: str | None) -> httpx.Response:
        shown = await self.http.get(self.authorize_url(p, **changes), follow_redirects=True)
        return await self.http.post(shown.url, data=form)

    async def allow(
        self, p: str, account: str = "mona", *, untick: str = "", **changes: str | None
    ) -> dict[str, str]:
        """The callback's parameters after a person said yes."""
        ticked = [s for s in SCOPES[p].replace(",", " ").split() if s != untick]
        form = {"account": account, "decision": "allow", "scope": ticked}
        answer = await self.decide(p, form, **changes)
        assert answer.status_code == 303
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def token(self, p: str, **form: str | None) -> httpx.Response:
        fields = {"client_id": CLIENTS[p][0], "client_secret": CLIENTS[p][1]} | form
        kept = {name: value for name, value in fields.items() if value is not None}
        url = endpoints(BASE)[p]["token_url"]
        return await self.http.post(url, data=kept, headers={"Accept": "application/json"})

    async def exchange(self, p: str, code: str, **changes: str | None) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CLIENTS[p][2],
            "code_verifier": VERIFIER,
        } | changes
        return await self.token(p, **form)

    async def connect(self, p: str, account: str = "mona", **changes: str | None) -> dict[str, Any]:
        """The token answer of a whole authorization."""
        callback = await self.allow(p, account, untick="", **changes)
        return parsed(await self.exchange(p, callback["code"]))

    async def refresh(self, p: str, refresh_token: str) -> httpx.Response:
        return await self.token(p, grant_type="refresh_token", refresh_token=refresh_token)

    async def account(self, p: str, access_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return await self.http.get(endpoints(BASE)[p]["account_url"], headers=headers)

    async def delete(
        self, what: str, access_token: str, secret: str = "github-secret"
    ) -> httpx.Response:
        return await self.http.request(
            "DELETE",
            f"{BASE}/github/applications/github-id/{what}",
            auth=("github-id", secret),
            json={"access_token": access_token},
        )


def parsed(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200
    content: dict[str, Any] = answer.json()
    return content


def site_of(clock: Clock, state_file: Path | None = None) -> Site:
    app = create_standins(BASE, clients=CLIENTS, state_file=state_file, clock=clock)
    return Site(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE), clock)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = site_of(Clock())
    async with made.http:
        yield made


# Habits of all four


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_yes_leads_to_a_token_that_names_the_chosen_account(site: Site, p: str) -> None:
    answer = await site.connect(p, "hubert")
    account = parsed(await site.account(p, answer["access_token"]))
    assert "hubert" in json.dumps(account)
    assert answer["expires_in"] == 120


@pytest.mark.parametrize("p", PROVIDERS)
async def test_the_token_answer_is_never_cached(site: Site, p: str) -> None:
    answer = await site.exchange(p, (await site.allow(p))["code"])
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_no_leads_back_with_access_denied_and_the_state(site: Site, p: str) -> None:
    answer = await site.decide(p, {"account": "mona", "decision": "deny"})
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (query["error"], query["state"]) == (["access_denied"], ["the-state"])
    assert "code" not in query


@pytest.mark.parametrize("p", PROVIDERS)
async def test_nobody_is_led_to_an_unregistered_address(site: Site, p: str) -> None:
    registered = CLIENTS[p][2]
    for address in (f"{registered}/", f"{registered}?x=1", "http://evil.test/", None):
        answer = await site.http.get(
            site.authorize_url(p, redirect_uri=address), follow_redirects=True
        )
        assert answer.status_code == 400
        assert str(answer.url).startswith(BASE)


@pytest.mark.parametrize("p", PROVIDERS)
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
async def test_other_faults_are_told_to_the_application(
    site: Site, p: str, change: dict[str, str | None], error: str
) -> None:
    url = site.authorize_url(p, **change)
    answer = await site.http.get(url)
    if answer.headers["location"].startswith(BASE):
        answer = await site.http.get(answer.headers["location"])
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (query["error"], query["state"]) == ([error], ["the-state"])


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_code_works_once(site: Site, p: str) -> None:
    code = (await site.allow(p))["code"]
    assert "access_token" in parsed(await site.exchange(p, code))
    assert "access_token" not in (await site.exchange(p, code)).json()


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_code_lasts_a_minute(site: Site, p: str) -> None:
    code = (await site.allow(p))["code"]
    site.clock.now += 60
    assert "error" in (await site.exchange(p, code)).json()


@pytest.mark.parametrize("p", PROVIDERS)
@pytest.mark.parametrize("verifier", ["w" * 50, "", None])
async def test_a_wrong_or_missing_verifier_is_an_invalid_grant(
    site: Site, p: str, verifier: str | None
) -> None:
    code = (await site.allow(p))["code"]
    answer = await site.exchange(p, code, code_verifier=verifier)
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_verifier_without_a_challenge_is_an_invalid_grant(site: Site, p: str) -> None:
    callback = await site.allow(p, code_challenge=None, code_challenge_method=None)
    answer = await site.exchange(p, callback["code"])
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("p", PROVIDERS)
async def test_without_pkce_a_code_is_exchanged_without_a_verifier(site: Site, p: str) -> None:
    callback = await site.allow(p, code_challenge=None, code_challenge_method=None)
    answer = await site.exchange(p, callback["code"], code_verifier=None)
    assert "access_token" in parsed(answer)


@pytest.mark.parametrize("p", PROVIDERS)
async def test_the_token_request_must_repeat_the_redirect_uri(site: Site, p: str) -> None:
    code = (await site.allow(p))["code"]
    answer = await site.exchange(p, code, redirect_uri="http://site.test/other")
    assert "access_token" not in answer.json()


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_code_of_one_provider_is_unknown_to_the_others(site: Site, p: str) -> None:
    for other in PROVIDERS:
        code = (await site.allow(other))["code"]
        body = (await site.exchange(p, code)).json()
        assert ("access_token" in body) == (p == other)


@pytest.mark.parametrize("p", PROVIDERS)
async def test_the_client_may_authenticate_with_basic_or_in_the_form(site: Site, p: str) -> None:
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": CLIENTS[p][2],
        "code_verifier": VERIFIER,
        "code": (await site.allow(p))["code"],
    }
    url = endpoints(BASE)[p]["token_url"]
    answer = await site.http.post(
        url, data=form, auth=CLIENTS[p][:2], headers={"Accept": "application/json"}
    )
    assert "access_token" in parsed(answer)


@pytest.mark.parametrize("p", ["google", "discord", "microsoft"])
async def test_a_wrong_secret_is_an_invalid_client(site: Site, p: str) -> None:
    code = (await site.allow(p))["code"]
    answer = await site.exchange(p, code, client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("p", PROVIDERS)
async def test_a_token_request_must_be_a_form_without_doubled_fields(site: Site, p: str) -> None:
    url = endpoints(BASE)[p]["token_url"]
    headers = {"Accept": "application/json"}
    as_json = await site.http.post(url, json={"grant_type": "refresh_token"}, headers=headers)
    doubled = await site.http.post(
        url,
        content="code=a&code=b",
        headers=headers | {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert as_json.json()["error"] == doubled.json()["error"] == "invalid_request"


@pytest.mark.parametrize("p", PROVIDERS)
async def test_an_access_token_runs_out(site: Site, p: str) -> None:
    token = (await site.connect(p))["access_token"]
    site.clock.now += 120
    assert (await site.account(p, token)).status_code == 401


@pytest.mark.parametrize("p", ["github", "discord"])
async def test_reusing_a_rotated_refresh_token_ends_the_family(site: Site, p: str) -> None:
    first = await site.connect(p)
    second = parsed(await site.refresh(p, first["refresh_token"]))
    assert second["refresh_token"] != first["refresh_token"]
    assert "error" in (await site.refresh(p, first["refresh_token"])).json()
    assert "error" in (await site.refresh(p, second["refresh_token"])).json()
    assert (await site.account(p, second["access_token"])).status_code == 401


@pytest.mark.parametrize("p", PROVIDERS)
async def test_trouble_is_503_on_every_call_and_passes(site: Site, p: str) -> None:
    token = await site.connect(p)
    await site.http.post(f"/{p}/settings/trouble", data={"trouble": "on"})
    assert (await site.account(p, token["access_token"])).status_code == 503
    assert (await site.refresh(p, token["refresh_token"])).status_code == 503
    await site.http.post(f"/{p}/settings/trouble", data={"trouble": "off"})
    assert (await site.account(p, token["access_token"])).status_code == 200


@pytest.mark.parametrize("p", PROVIDERS)
async def test_removed_access_ends_every_token_of_that_person_alone(site: Site, p: str) -> None:
    mona, hubert = await site.connect(p), await site.connect(p, "hubert")
    page = (await site.http.get(manage_urls(BASE)[p])).text
    grant = page.split('name="grant" value="')[1].split('"')[0]
    await site.http.post(f"/{p}/settings/remove", data={"grant": grant})
    assert (await site.account(p, mona["access_token"])).status_code == 401
    assert "error" in (await site.refresh(p, mona["refresh_token"])).json()
    assert (await site.account(p, hubert["access_token"])).status_code == 200


# GitHub


async def test_github_answers_with_a_form_unless_json_is_asked_for(site: Site) -> None:
    code = (await site.allow("github"))["code"]
    answer = await site.http.post(
        f"{BASE}/github/login/oauth/access_token",
        data={
            "client_id": "github-id",
            "client_secret": "github-secret",
            "code": code,
            "redirect_uri": CLIENTS["github"][2],
            "code_verifier": VERIFIER,
        },
    )
    fields = dict(parse_qsl(answer.text))
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert fields["access_token"].startswith("gho_")
    assert fields["refresh_token"].startswith("ghr_")
    assert fields["scope"] == "read:user,repo"


async def test_github_sends_its_errors_with_status_200(site: Site) -> None:
    code = (await site.allow("github"))["code"]
    wrong_secret = await site.exchange("github", code, client_secret="wrong")
    wrong_address = await site.exchange("github", code, redirect_uri="http://site.test/x")
    wrong_code = await site.exchange("github", "unknown")
    wrong_refresh = await site.refresh("github", "unknown")
    assert [
        parsed(a)["error"] for a in (wrong_secret, wrong_address, wrong_code, wrong_refresh)
    ] == [
        "incorrect_client_credentials",
        "redirect_uri_mismatch",
        "bad_verification_code",
        "bad_refresh_token",
    ]


async def test_github_ends_the_old_access_token_on_refresh(site: Site) -> None:
    first = await site.connect("github")
    await site.refresh("github", first["refresh_token"])
    assert (await site.account("github", first["access_token"])).status_code == 401


async def test_github_lists_the_scopes_in_a_header_of_the_account(site: Site) -> None:
    answer = await site.account("github", (await site.connect("github"))["access_token"])
    assert answer.headers["x-oauth-scopes"] == "read:user, repo"


async def test_github_asked_without_scopes_grants_those_granted_before(site: Site) -> None:
    await site.connect("github")
    assert (await site.connect("github", scope=None))["scope"] == "read:user,repo"


async def test_github_deletes_a_grant_for_the_client_alone_and_once(site: Site) -> None:
    token, other = await site.connect("github"), await site.connect("github")
    assert (await site.delete("grant", token["access_token"], "wrong")).status_code == 401
    assert (await site.delete("grant", token["access_token"])).status_code == 204
    assert (await site.delete("grant", token["access_token"])).status_code == 404
    assert (await site.account("github", other["access_token"])).status_code == 401


async def test_github_deletes_a_single_token(site: Site) -> None:
    token, other = await site.connect("github"), await site.connect("github")
    assert (await site.delete("token", token["access_token"])).status_code == 204
    assert (await site.account("github", token["access_token"])).status_code == 401
    assert (await site.account("github", other["access_token"])).status_code == 200


# Google


async def test_google_gives_a_refresh_token_for_offline_access_alone(site: Site) -> None:
    assert "refresh_token" not in await site.connect("google", access_type=None)


async def test_google_repeats_a_refresh_token_only_after_renewed_consent(site: Site) -> None:
    assert "refresh_token" in await site.connect("google")
    assert "refresh_token" not in await site.connect("google")
    assert "refresh_token" in await site.connect("google", prompt="consent")


async def test_google_refreshes_without_a_new_refresh_token(site: Site) -> None:
    first = await site.connect("google")
    for _ in range(2):
        assert "refresh_token" not in parsed(await site.refresh("google", first["refresh_token"]))


async def test_google_lets_people_untick_permissions_and_answers_with_long_names(
    site: Site,
) -> None:
    callback = await site.allow("google", untick="https://www.googleapis.com/auth/calendar")
    answer = parsed(await site.exchange("google", callback["code"]))
    assert answer["scope"] == "openid https://www.googleapis.com/auth/userinfo.email"
    assert callback["scope"] == answer["scope"]


async def test_google_merges_earlier_permissions_where_asked_to(site: Site) -> None:
    await site.connect("google")
    merged = await site.connect("google", scope="openid", include_granted_scopes="true")
    alone = await site.connect("google", scope="openid")
    assert "calendar" in merged["scope"]
    assert alone["scope"] == "openid"


async def test_google_revokes_without_a_client_and_ends_the_whole_grant(site: Site) -> None:
    first, second = await site.connect("google"), await site.connect("google")
    url = f"{BASE}/google/revoke"
    form = {"token": first["refresh_token"]}
    assert (await site.http.post(url, data=form)).status_code == 200
    assert (await site.account("google", second["access_token"])).status_code == 401
    again = await site.http.post(url, data=form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


@pytest.mark.parametrize("p", ["google", "discord", "github"])
async def test_three_name_their_issuer_in_every_callback(site: Site, p: str) -> None:
    issuer = endpoints(BASE)[p]["issuer"]
    denied = await site.decide(p, {"account": "mona", "decision": "deny"})
    assert (await site.allow(p))["iss"] == issuer
    assert parse_qs(urlsplit(denied.headers["location"]).query)["iss"] == [issuer]


async def test_microsoft_names_no_issuer(site: Site) -> None:
    assert "iss" not in await site.allow("microsoft")


# Discord


async def test_discord_revokes_for_its_client_and_ends_the_whole_authorization(site: Site) -> None:
    token = await site.connect("discord")
    url = f"{BASE}/discord/api/oauth2/token/revoke"
    form = {"token": token["access_token"]}
    assert (await site.http.post(url, data=form)).status_code == 401
    assert (await site.http.post(url, data=form, auth=CLIENTS["discord"][:2])).status_code == 200
    assert "error" in (await site.refresh("discord", token["refresh_token"])).json()


async def test_discord_tells_user_scopes_and_expiry_in_one_answer(site: Site) -> None:
    token = await site.connect("discord")
    account = parsed(await site.account("discord", token["access_token"]))
    assert account["user"]["username"] == "mona"
    assert account["scopes"] == ["identify", "guilds"]
    assert "expires" in account


async def test_discord_tells_no_user_without_identify(site: Site) -> None:
    token = await site.connect("discord", scope="guilds")
    assert "user" not in parsed(await site.account("discord", token["access_token"]))


# Microsoft


async def test_microsoft_leads_onward_before_it_asks(site: Site) -> None:
    answer = await site.http.get(site.authorize_url("microsoft"))
    assert answer.status_code == 302
    assert urlsplit(answer.headers["location"]).path == "/microsoft/common/consent"


async def test_microsoft_gives_a_refresh_token_for_offline_access_alone(site: Site) -> None:
    assert "refresh_token" not in await site.connect("microsoft", scope="openid User.Read")


async def test_microsoft_adds_a_refresh_token_and_keeps_the_old_one(site: Site) -> None:
    first = await site.connect("microsoft")
    second = parsed(await site.refresh("microsoft", first["refresh_token"]))
    assert second["refresh_token"] != first["refresh_token"]
    assert "access_token" in parsed(await site.refresh("microsoft", first["refresh_token"]))


async def test_microsoft_has_long_tokens_and_an_id_token_with_tenant_and_object(
    site: Site,
) -> None:
    answer = await site.connect("microsoft")
    payload = answer["id_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    account = parsed(await site.account("microsoft", answer["access_token"]))
    assert 1900 < len(answer["access_token"]) < 2200
    assert claims["oid"] == account["id"]
    assert claims["tid"]
    assert answer["scope"] == "openid User.Read"


async def test_microsoft_numbers_and_traces_its_errors(site: Site) -> None:
    answer = await site.refresh("microsoft", "unknown")
    assert answer.status_code == 400
    assert {"error_codes", "trace_id", "correlation_id"} <= answer.json().keys()


async def test_microsoft_offers_no_revocation() -> None:
    assert "revoke_url" not in endpoints(BASE)["microsoft"]


# State file


async def test_connections_survive_a_restart(tmp_path: Path) -> None:
    before = site_of(Clock(), tmp_path / "standins.json")
    async with before.http:
        token = await before.connect("github")
    after = site_of(before.clock, tmp_path / "standins.json")
    async with after.http:
        assert (await after.account("github", token["access_token"])).status_code == 200
        assert "access_token" in parsed(await after.refresh("github", token["refresh_token"]))


async def test_the_state_file_is_private_and_holds_no_token(tmp_path: Path) -> None:
    file = tmp_path / "standins.json"
    before = site_of(Clock(), file)
    async with before.http:
        token = await before.connect("discord")
    assert file.stat().st_mode & 0o077 == 0
    assert token["access_token"] not in file.read_text()
    assert token["refresh_token"] not in file.read_text()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"grants": [{"x": 1}], "tokens": {}}'])
def test_a_foreign_state_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    file = tmp_path / "standins.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="remove it"):
        create_standins(BASE, clients=CLIENTS, state_file=file)
    assert file.read_text() == content


# Pages


async def test_pages_forbid_scripts_and_frames_and_lead_to_the_application(site: Site) -> None:
    answer = await site.http.get(site.authorize_url("discord"))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://site.test" in policy
    assert "Stand-in for Discord" in answer.text


async def test_what_was_asked_is_shown_as_text(site: Site) -> None:
    answer = await site.http.get(site.authorize_url("github", scope="<b>x</b>", state="<i>"))
    assert "<b>" not in answer.text
    assert "<i>" not in answer.text


async def test_another_site_can_neither_consent_nor_change_settings(site: Site) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    form = {"account": "mona", "decision": "allow"}
    consent = await site.http.post(site.authorize_url("github"), data=form, headers=headers)
    trouble = await site.http.post(
        "/github/settings/trouble", data={"trouble": "on"}, headers=headers
    )
    assert (consent.status_code, trouble.status_code) == (400, 400)
    assert (await site.account("github", "unknown")).status_code == 401


async def test_the_first_page_leads_to_all_four(site: Site) -> None:
    page = (await site.http.get("/")).text
    assert all(f"/{p}/settings" in page for p in PROVIDERS)
