"""No secret is on a support page, in a fragment, an export or a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from jinja2.runtime import Context
from msgspec import Struct, structs

from tests.journeys.test_secrecy import Secrets
from tests.kit.library import began
from tests.kit.site_fixtures import Browser, Place, handed_off, query_of, shown_code
from tests.kit.support_fixtures import ACCOUNT, CANARY
from webui.rendering import render as pages
from webui.support import export
from webui.views.support.actions import ACTS

pytestmark = pytest.mark.anyio

WHY = "reason=ticket+4411"
LOOKS = (
    "/support",
    f"/support?q=mona&{WHY}",
    f"/support?q=&{WHY}",
    f"/support?q=nobody&{WHY}",
    f"/support?q={ACCOUNT}&{WHY}",
    "/support/people/mona",
    f"/support/people/mona?{WHY}",
    f"/support/people/mona?{WHY}&kind=links",
    f"/support/people/mona/preview?{WHY}",
    *(f"/support/people/mona/{act}?provider=github&{WHY}" for act in ACTS),
)
SECRET_NAMES = re.compile(
    "token|secret|password|verifier|cookie|sealed|session|binding|redis|link_code|auth.*_code|"
    "proof|fernet|encryption"
)


@pytest.fixture
async def secrets(office: Place) -> Secrets:
    """One of every kind, all of them mona's and alive."""
    redis, bot, known = office.redis, office.bot, Secrets()
    known.add("token", f"access-{CANARY}", f"refresh-{CANARY}", f"gAAAA-{CANARY}")
    known.add("key", *office.settings.encryption_keys, *office.settings.session_secrets)
    known.add("client secret", office.fake.client_secret)
    mona, phone = await office.signed_in("mona"), await office.browser()
    known.add("cookie", *mona.client.cookies.values())
    link = await bot.create_link_code(redis, "mona", provider="google")
    known.add("link", link)
    waiting = await bot.create_link_code(redis, "mona", provider="discord")
    known.add("link", waiting)
    await phone.post(f"/connect/{waiting}/start")
    known.add("cookie", *phone.client.cookies.values())
    proof = shown_code(await phone.get("/connect/proof"))
    known.add("proof code", proof, f"{proof[:3]} {proof[3:]}")
    leaving = handed_off(await mona.post("/connections/github/connect"))
    known.add("state", query_of(leaving)["state"], query_of(leaving)["code_challenge"])
    url = await bot.generate_connect_url("mona", "microsoft", redis)
    known.add("state", query_of(url)["state"])
    answer = office.fake.authorize(url)  # parked, unexchanged
    known.add("code", query_of(answer)["code"])
    await (await office.browser()).get(answer)
    office.fake.account = {"id": "77", "login": "someone-else", "name": "Someone"}
    attempt, code = await began(bot, office.fake, redis, "mona", "google")
    await bot.complete(redis, attempt, code)  # waits for her choice
    known.add("token", *(value for value in office.fake.issued if not value.startswith("code-")))
    known.add("sealed", *await _sealed(redis))
    return known


async def _sealed(redis: Any) -> set[str]:
    """Every sealed value there is, which is of no use and still nobody's business."""
    found = set()
    async for key in redis.scan_iter():
        if await redis.type(key) == b"string":
            value = (await redis.get(key) or b"").decode(errors="replace")
            found |= set(re.findall(r"gAAAA[\w-]{20,}", value))
    return found


async def test_no_secret_is_on_a_page_in_a_fragment_in_the_export_or_the_log(
    office: Place, carol: Browser, secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    own = {"cookie": set(carol.client.cookies.values())}
    for path in LOOKS:
        for htmx in (False, True):
            answer = await carol.get(path, htmx=htmx)
            everything = answer.content + str(answer.headers).encode()
            assert secrets.found_in(everything) == set(), path
            assert not any(value.encode() in everything for value in own["cookie"])
            assert ACCOUNT not in answer.text.replace(f'value="{ACCOUNT}"', ""), path
    for act, of_service in ((a.name, a.of_service) for a in ACTS.values()):
        form = {"reason": "ticket", **({"provider": "google"} if of_service else {})}
        answer = await carol.post(f"/support/people/mona/{act}", form)
        assert answer.status_code == 200
        assert secrets.found_in(answer.content) == set(), act
        assert ACCOUNT not in answer.text
    printed = [r async for r in office.bot.audit.read(office.redis, 0)]
    assert len(printed) >= len(LOOKS)
    for form_of in (export.as_line, export.as_json):
        assert secrets.found_in("\n".join(map(form_of, printed)).encode()) == set()
    assert secrets.found_in(caplog.text.encode()) == set()


def names_in(value: Any, path: str = "") -> set[str]:
    """Every name by which a template could reach something from ``value``."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Struct):
        value = structs.asdict(value)
    if isinstance(value, Mapping):
        own = {f"{path}.{name}" for name in value}
        return own.union(*(names_in(v, f"{path}.{name}") for name, v in value.items()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return set().union(*(names_in(each, path) for each in value))
    assert isinstance(value, (str, int, float, bool, type(None))), f"{path} is {type(value)}"
    return set()


async def test_no_field_of_a_secrets_name_reaches_a_template(
    office: Place, carol: Browser, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor anything through which one could be reached: only plain values do."""
    seen: list[dict[str, Any]] = []

    class Recording(Context):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            own = set(self.parent) - set(self.environment.globals)
            seen.append({name: self.parent[name] for name in own})

    monkeypatch.setattr(pages.environment(), "context_class", Recording)
    for path in LOOKS:
        assert (await carol.get(path)).status_code in (200, 303, 422)
    for act in ACTS.values():
        form = {"reason": "ticket", **({"provider": "google"} if act.of_service else {})}
        assert (await carol.post(f"/support/people/mona/{act.name}", form)).status_code == 200
    assert len(seen) >= len(LOOKS) - 1  # a search for one person alone shows no page
    plain = [
        {
            n: v
            for n, v in context.items()
            if not callable(v) and type(v).__name__ != "TemplateModule"
        }
        for context in seen
    ]
    reached = set().union(*(names_in(context) for context in plain))
    assert {name for name in reached if SECRET_NAMES.search(name.rpartition(".")[2])} == set()
    assert {".wrong.account", ".fine.account"} <= reached


async def test_what_cannot_be_read_is_said_to_be_so(carol: Browser) -> None:
    for path in (LOOKS[6], LOOKS[8]):
        answer = await carol.get(path)
        assert answer.status_code == 200
        assert "annot be read" in answer.text
        assert CANARY not in answer.text


async def test_a_look_at_damaged_records_still_is_a_page(office: Place, carol: Browser) -> None:
    """Whatever stands where a record should be."""
    redis = office.redis
    for number, junk in enumerate((b"", b"\xff\xfe", b"[]", b"x" * 100_000)):
        user = f"broken{number}"
        await redis.set(f"stargazer:oauth_tokens:{user}:github", junk)
        await redis.set(f"stargazer:oauth_connection:{user}:github", junk)
        await redis.rpush(f"stargazer:oauth_tokens:{user}:google", "a list")
        await redis.xadd(f"stargazer:oauth_events:{user}", {"sealed": junk})
        await redis.xadd(f"stargazer:oauth_audit:{user}", {"record": junk})
        for page in ("", "/preview"):
            answer = await carol.get(f"/support/people/{user}{page}?{WHY}")
            assert answer.status_code == 200
            assert "Cannot be read" in answer.text
