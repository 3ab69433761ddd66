"""Each control: what it sends, what comes back, where the focus goes, what is said aloud.

With JavaScript a card changes where it stands; without, every control leads to a page.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Response, Route, expect
from redis.asyncio import Redis

from tests.kit import browser, hosted
from tests.kit.fake_answers import Answer, error_answer
from tests.kit.hosted import Desk, Host, desk
from webui.oauth_manager.storage import Clock
from webui.rate_limits import Limiter

pytestmark = pytest.mark.anyio
chromium, housed, host = browser.chromium, hosted.housed, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])

DAYS_3 = 3 * 24 * 3600
Step = Callable[[Desk], Awaitable[object]]


# How things stand before a control is pressed


def noted(key: str, provider: str = "github") -> Step:
    return lambda ann: ann.note(provider, key)


def connected(provider: str) -> Step:
    return lambda ann: ann.connect(provider)


def disconnected(provider: str) -> Step:
    return lambda ann: ann.disconnect(provider)


async def nothing(ann: Desk) -> None:
    pass


async def refusing(ann: Desk) -> None:
    ann.refuse()


async def ended(ann: Desk) -> None:
    await ann.connect("github")
    ann.fake.withdraw()
    await ann.bot.check(ann.redis, "ann", "github")


async def ending_soon(ann: Desk) -> None:
    ann.fake.gives_refresh_token, ann.fake.expires_in = False, DAYS_3
    await ann.connect("google")
    ann.fake.gives_refresh_token = True


async def limited(ann: Desk) -> None:
    ann.fake.scope = "openid"
    await ann.connect("google")
    ann.fake.scope = None


async def withdrawn(ann: Desk) -> None:
    await ann.connect("google")
    ann.fake.withdraw()


async def in_trouble(ann: Desk) -> None:
    await ann.connect("google")
    ann.fake.always["account"] = Answer(503)


async def checked_often(ann: Desk) -> None:
    await ann.connect("google")
    for _ in range(10):
        await Limiter(ann.redis, Clock()).hit("check", "ann")


async def without_revocation(ann: Desk) -> None:
    await ann.connect("github")
    ann.fake.always["revoke"] = Answer(503)


async def another_account(ann: Desk) -> None:
    await ann.connect("github")
    await ann.offer_another("github")


async def confirming_again(ann: Desk) -> None:
    ann.fake.always.pop("revoke")


async def slow_to_confirm(ann: Desk) -> None:
    await ann.connect("github")
    ann.fake.gate("revoke")
    ann.host.site.manager.patience = 0.01


async def out_of_reach(ann: Desk) -> None:
    """Redis, for the one command that disconnects, however often it is sent."""
    ann.host.store.cut += [b"GETDEL", b"GETDEL"]


async def not_disconnected(ann: Desk) -> None:
    await ann.connect("github")
    await out_of_reach(ann)


async def failing(ann: Desk) -> None:
    ann.fake.always["token"] = error_answer("invalid_grant")


async def away(ann: Desk) -> None:
    ann.fake.always["token"] = Answer(503)


async def blocked(ann: Desk) -> None:
    ann.refuse("consent_required")


@dataclass(frozen=True)
class Row:
    """One control.  ``buttons`` are pressed one after the other; the last is looked at.

    ``statuses`` are those with htmx and without; ``focus`` is the end of the id
    that has the focus with htmx, ``lands`` the address without.  ``moves`` is a
    control that leads to a page either way.
    """

    name: str
    given: Step
    buttons: str
    sends: str
    statuses: tuple[int, int]
    state: str
    focus: str
    lands: str
    says: str = ""
    plainly_sends: str = ""
    meanwhile: Step = nothing
    moves: bool = False
    page: str = "/connections"

    @property
    def provider(self) -> str:
        return self.sends.split("/")[2]


def leaves(name: str, given: Step, button: str, provider: str, state: str = "connected") -> Row:
    """A control that goes to the provider, from where the person comes back."""
    sends = f"POST /connections/{provider}/connect"
    lands = f"/connections#conn-{provider}-n"
    return Row(name, given, button, sends, (200, 200), state, "n", lands, moves=True)


GITHUB, GOOGLE, MICROSOFT = (f"/connections#conn-{n}-" for n in ("github", "google", "microsoft"))
ROWS = [
    leaves("Connect", nothing, "connect", "github"),
    leaves("Connect, and say no", refusing, "connect", "github", "denied"),
    leaves("Reconnect", ended, "reconnect", "github"),
    leaves("Renew", ending_soon, "renew", "google"),
    leaves("Allow the rest", limited, "allow", "google"),
    leaves("Start again", noted("attempt_over"), "start_again", "github"),
    leaves("Try again", noted("failed"), "try_again", "github"),
    leaves("Start again: was waiting", noted("waiting"), "start_again", "github"),
    leaves("Connect: does not finish", failing, "connect", "github", "failed"),
    leaves("Connect: no answer", away, "connect", "github", "trouble"),
    leaves("Connect: it takes an administrator", blocked, "connect", "microsoft", "needs_admin"),
    leaves(
        "Try again: it took an administrator",
        noted("needs_admin", "microsoft"),
        "try_again",
        "microsoft",
    ),
    Row(
        "Check now: works",
        connected("google"),
        "check",
        "POST /connections/google/check",
        (200, 303),
        "connected",
        "check",
        GOOGLE + "n",
        "Google checked: working.",
    ),
    Row(
        "Check now: has ended",
        withdrawn,
        "check",
        "POST /connections/google/check",
        (200, 303),
        "reconnect",
        "t",
        GOOGLE + "n",
        "Google checked: it needs reconnecting.",
    ),
    Row(
        "Check now: no answer",
        in_trouble,
        "check",
        "POST /connections/google/check",
        (200, 303),
        "provider_trouble",
        "check",
        GOOGLE + "n",
        "Google checked: it does not answer.",
    ),
    Row(
        "Check now: too often",
        checked_often,
        "check",
        "POST /connections/google/check",
        (429, 303),
        "connected",
        "check",
        GOOGLE + "n",
        "Google not checked: too many tries.",
    ),
    Row(
        "Disconnect: asks",
        connected("github"),
        "disconnect",
        "GET /connections/github/disconnect",
        (200, 200),
        "asking",
        "t",
        "/connections/github/disconnect",
    ),
    Row(
        "Keep connected",
        connected("github"),
        "disconnect keep",
        "GET /connections/github",
        (200, 200),
        "connected",
        "disconnect",
        GITHUB + "t",
        plainly_sends="GET /connections",
    ),
    Row(
        "Disconnect",
        connected("github"),
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (200, 303),
        "disconnected",
        "n",
        GITHUB + "n",
    ),
    Row(
        "Check now: on the page of the service",
        connected("google"),
        "check",
        "POST /connections/google/check",
        (200, 303),
        "connected",
        "check",
        "/connections/google#conn-google-n",
        "Google checked: working.",
        page="/connections/google",
    ),
    Row(
        "Disconnect: on the page of the service",
        connected("github"),
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (303, 303),
        "disconnected",
        "n",
        "/connections/github#conn-github-n",
        moves=True,
        page="/connections/github",
    ),
    Row(
        "Disconnect: not confirmed",
        without_revocation,
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (200, 303),
        "still_listed",
        "n",
        GITHUB + "n",
    ),
    Row(
        "Disconnect: keeps its own list",
        connected("microsoft"),
        "disconnect confirm",
        "POST /connections/microsoft/disconnect",
        (200, 303),
        "own_list",
        "n",
        MICROSOFT + "n",
    ),
    Row(
        "Disconnect: another tab was faster",
        connected("github"),
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (200, 303),
        "disconnected",
        "n",
        GITHUB + "n",
        meanwhile=disconnected("github"),
    ),
    Row(
        "Disconnect: takes its time",
        slow_to_confirm,
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (202, 303),
        "disconnecting",
        "n",
        GITHUB + "n",
    ),
    Row(
        "Check again: disconnecting",
        slow_to_confirm,
        "disconnect confirm check_again",
        "GET /connections/github",
        (200, 200),
        "disconnecting",
        "check_again",
        "/connections",
        "Disconnecting GitHub.",
        plainly_sends="GET /connections",
    ),
    Row(
        "Disconnect: our own fault",
        connected("github"),
        "disconnect confirm",
        "POST /connections/github/disconnect",
        (503, 503),
        "kept",
        "t",
        "/connections/github/disconnect",
        meanwhile=out_of_reach,
    ),
    Row(
        "Try again: our own fault",
        not_disconnected,
        "disconnect confirm retry_disconnect",
        "POST /connections/github/disconnect",
        (200, 303),
        "disconnected",
        "n",
        "/connections/github#conn-github-n",
    ),
    Row(
        "Try again at the provider",
        without_revocation,
        "disconnect confirm ask_again",
        "POST /connections/github/revoke",
        (200, 303),
        "disconnected",
        "n",
        GITHUB + "n",
        meanwhile=confirming_again,
    ),
    Row(
        "Try again at the provider: in vain",
        without_revocation,
        "disconnect confirm ask_again",
        "POST /connections/github/revoke",
        (200, 303),
        "still_listed",
        "ask_again",
        GITHUB + "n",
        r"Asked again at \d\d:\d\d: still no answer\.",
    ),
    Row(
        "Check again: waiting",
        noted("waiting"),
        "check_again",
        "GET /connections/github",
        (200, 200),
        "waiting",
        "check_again",
        "/connections",
        "Waiting for GitHub.",
        plainly_sends="GET /connections",
    ),
    Row(
        "Check again: has happened",
        noted("waiting"),
        "check_again",
        "GET /connections/github",
        (200, 200),
        "connected",
        "t",
        "/connections",
        "GitHub: Connected.",
        plainly_sends="GET /connections",
        meanwhile=connected("github"),
    ),
    Row(
        "Cancel: was waiting",
        noted("waiting"),
        "cancel",
        "POST /connections/github/cancel",
        (200, 303),
        "not_connected",
        "t",
        GITHUB + "t",
    ),
    Row(
        "Cancel: it took an administrator",
        noted("needs_admin", "microsoft"),
        "cancel",
        "POST /connections/microsoft/cancel",
        (200, 303),
        "not_connected",
        "t",
        MICROSOFT + "t",
    ),
    Row(
        "Dismiss this message: still listed",
        noted("still_listed"),
        "dismiss",
        "POST /connections/github/dismiss",
        (200, 303),
        "not_connected",
        "t",
        GITHUB + "t",
    ),
    Row(
        "Dismiss this message: its own list",
        noted("own_list", "microsoft"),
        "done",
        "POST /connections/microsoft/dismiss",
        (200, 303),
        "not_connected",
        "t",
        MICROSOFT + "t",
    ),
    Row(
        "Keep as it is",
        limited,
        "keep_limited",
        "POST /connections/google/accept-limited",
        (200, 303),
        "connected",
        "t",
        GOOGLE + "t",
        "Google kept as it is.",
    ),
    Row(
        "Use the new account",
        another_account,
        "new",
        "POST /connections/github/switch",
        (303, 303),
        "connected",
        "n",
        GITHUB + "n",
        moves=True,
        page="/connections/github/switch",
    ),
    Row(
        "Keep the old account",
        another_account,
        "old",
        "POST /connections/github/switch",
        (303, 303),
        "connected",
        "n",
        GITHUB + "n",
        moves=True,
        page="/connections/github/switch",
    ),
]


async def control(ann: Desk, row: Row, button: str) -> Locator:
    if row.page.endswith("/switch"):
        return ann.window.page.locator(f"button[value={button}]")
    return await ann.window.reach(row.provider, button)


@SCRIPT
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_control_sends_shows_focuses_and_says_what_its_row_tells(
    chromium: Browser, host: Host, redis: Redis, row: Row, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        page = ann.window.page
        await row.given(ann)
        await ann.window.go(row.page)
        *first, last = row.buttons.split()
        for button in first:
            await (await control(ann, row, button)).click()
        looked_at = await control(ann, row, last)
        await looked_at.wait_for()
        await row.meanwhile(ann)

        def is_it(response: Response) -> bool:
            asked = f"{response.request.method} {urlsplit(response.url).path}"
            return asked == ((not script and row.plainly_sends) or row.sends)

        async with page.expect_response(is_it) as caught:
            await looked_at.click()
        response = await caught.value
        assert response.status == row.statuses[0 if script else 1]
        swaps = script and not row.moves
        by_htmx = "hx-request" in response.request.headers
        assert by_htmx == (script and row.statuses[0] != 303)
        assert (response.headers.get("x-fragment") == "1") == by_htmx
        assert response.headers["cache-control"] == "no-store"
        await ann.window.card(row.provider, row.state)
        if swaps:
            await ann.window.focuses(f"conn-{row.provider}-{row.focus}")
            await expect(page.locator("#announce")).to_have_text(re.compile(f"^{row.says}$"))
            assert page.url == host.town.site.base_url + row.page
        else:
            await page.wait_for_url(host.town.site.base_url + row.lands)
            if "#" in row.lands:
                await ann.window.focuses(row.lands.partition("#")[2])
            assert await page.locator("#announce").inner_text() == ""
        ids = await page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        told = ann.window.complaints  # Chromium reports the status of a refusal
        told[:] = [said for said in told if not re.search("status of (429|503)", said)]


# What goes wrong on the way

FOREIGN = "<h1>502 Bad Gateway</h1><p>canary of a proxy</p>"
CONTROLS = pytest.mark.parametrize("button", ["check", "disconnect", "confirm"])


async def at(ann: Desk, button: str) -> Locator:
    """A control of a connected GitHub, ready to be pressed."""
    await ann.connect("github")
    await ann.window.go("/connections")
    if button == "confirm":
        await ann.window.press_on("github", "disconnect")
        await ann.window.card("github", "asking")
    return await ann.window.reach("github", button)


async def alerted(ann: Desk, words: str) -> None:
    """The page's alert has the focus and says so; Chromium's own report is no complaint."""
    await ann.window.page.locator("#page-alert :focus").wait_for()
    assert words in await ann.window.page.locator("#page-alert").inner_text()
    ann.window.complaints.clear()


@CONTROLS
@SCRIPT
class TestAControlThatIsPressed:
    async def test_after_the_session_has_ended_leads_to_signing_in(
        self, chromium: Browser, host: Host, redis: Redis, script: bool, button: str
    ) -> None:
        async with desk(chromium, host, redis, script=script) as ann:
            looked_at = await at(ann, button)
            await ann.window.page.context.clear_cookies()
            async with ann.window.page.expect_response("**/connections/github/**") as caught:
                await looked_at.click()
            response = await caught.value
            assert response.status == (401 if script else 303)
            leads = response.headers["hx-redirect" if script else "location"]
            assert leads.startswith("/signin?next=/connections")
            await ann.window.page.get_by_role("heading", name="Sign in", level=1).wait_for()
            ann.window.complaints.clear()

    async def test_while_redis_is_away_changes_nothing_and_says_so(
        self, chromium: Browser, host: Host, redis: Redis, script: bool, button: str
    ) -> None:
        async with desk(chromium, host, redis, script=script) as ann:
            looked_at = await at(ann, button)
            await host.store.go()
            try:
                await looked_at.click()
                if script:
                    await alerted(ann, "is not available")
                    await ann.window.card(
                        "github", "asking" if button == "confirm" else "connected"
                    )
                else:
                    heading = ann.window.page.locator("h1")
                    await expect(heading).to_have_text("Stargazer is not available")
                    ann.window.complaints.clear()
            finally:
                await host.store.come()
            await ann.window.go("/connections")
            await ann.window.card("github", "connected")


@CONTROLS
class TestAControlWhoseAnswer:
    async def test_is_a_proxys_leaves_the_card_and_says_so(
        self, chromium: Browser, host: Host, redis: Redis, button: str
    ) -> None:
        async with desk(chromium, host, redis) as ann:
            looked_at = await at(ann, button)

            async def bad_gateway(route: Route) -> None:
                await route.fulfill(status=502, content_type="text/html", body=FOREIGN)

            await ann.window.page.route("**/connections/github/*", bad_gateway)
            await looked_at.click()
            await alerted(ann, "could not answer")
            assert "canary" not in await ann.window.page.content()
            await ann.window.card("github", "asking" if button == "confirm" else "connected")

    async def test_never_arrives_says_so(
        self, chromium: Browser, host: Host, redis: Redis, button: str
    ) -> None:
        async with desk(chromium, host, redis) as ann:
            looked_at = await at(ann, button)
            await ann.window.page.route("**/connections/github/*", lambda route: route.abort())
            await looked_at.click()
            await alerted(ann, "could not reach")
            await ann.window.page.unroute_all()
            await ann.window.page.locator("#page-alert a").click()
            await ann.window.card("github", "connected")


PRESSED_TWICE = {
    "connect": (nothing, "github", "connected"),
    "check": (connected("google"), "google", "connected"),
    "keep_limited": (limited, "google", "connected"),
    "disconnect confirm": (connected("github"), "github", "disconnected"),
    "dismiss": (noted("still_listed"), "github", "not_connected"),
}


@pytest.mark.parametrize("buttons", PRESSED_TWICE)
async def test_a_control_pressed_twice_asks_once(
    chromium: Browser, host: Host, redis: Redis, buttons: str
) -> None:
    given, provider, state = PRESSED_TWICE[buttons]
    async with desk(chromium, host, redis) as ann:
        page = ann.window.page
        await given(ann)
        await ann.window.go("/connections")
        *first, last = buttons.split()
        for button in first:
            await ann.window.press_on(provider, button)
            await ann.window.card(provider, "asking")
        posts: list[str] = []
        page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
        await (await ann.window.reach(provider, last)).dblclick()
        await ann.window.card(provider, state)
        assert len(posts) == 1


# As soon as the first answer is in: the page is still there until the provider's comes.
PRESSED_AGAIN = """button => {
  const again = () => setTimeout(() => button.click());
  document.addEventListener('htmx:finally:request', again, {once: true});
  button.click();
}"""


async def test_connect_pressed_again_on_the_way_to_the_provider_begins_nothing_more(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        page = ann.window.page
        await ann.window.go("/connections")
        button = await ann.window.reach("github", "connect")
        posts: list[str] = []
        page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
        await button.evaluate(PRESSED_AGAIN)
        await ann.window.card("github", "connected")
        assert len(posts) == 1


@SCRIPT
class TestAnotherSitesPage:
    async def test_cannot_press_a_control(
        self, chromium: Browser, host: Host, redis: Redis, script: bool
    ) -> None:
        async with desk(chromium, host, redis, script=script) as ann:
            await ann.connect("github")
            action = host.town.site.base_url + "/connections/github/disconnect"
            form = f'<form action="{action}" method="post"><button>Win</button></form>'
            page = Answer(200, {"content-type": "text/html"}, form.encode())
            host.fake.always["account"] = page
            elsewhere = host.town.standins.replace("127.0.0.1", "localhost")
            await ann.window.page.goto(elsewhere + "/account")
            await ann.window.press("Win")
            await ann.window.page.get_by_text(
                "Your browser says that another site sent this"
            ).wait_for()
            assert await ann.bot.has_token("ann", "github", redis)
            ann.window.complaints.clear()
            ann.window.requested.clear()


async def test_a_refusal_that_htmx_gets_is_told_in_the_alert(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    """A proxy may change where a request seems to come from."""

    async def elsewhere(route: Route) -> None:
        headers = {**route.request.headers, "origin": "https://elsewhere.example"}
        await route.fulfill(response=await route.fetch(headers=headers))

    async with desk(chromium, host, redis) as ann:
        looked_at = await at(ann, "confirm")
        await ann.window.page.route("**/disconnect", elsewhere)
        async with ann.window.page.expect_response("**/disconnect") as caught:
            await looked_at.click()
        response = await caught.value
        assert (response.status, response.headers["hx-retarget"]) == (403, "#page-alert")
        await alerted(ann, "load its page again and repeat your last step.")
        await ann.window.card("github", "asking")
        assert await ann.bot.has_token("ann", "github", redis)
