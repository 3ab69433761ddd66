"""The tool ``connect_service`` in every situation: what it says and does."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.types import Receive, Scope, Send

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer
from tests.kit.fake_provider import serve
from tests.kit.library import (
    BASE_URL,
    KEY,
    OTHER_KEY,
    age,
    callback_query,
    connected,
    fake_provider,
    granted,
    impatient,
    providers_config,
    time_passes,
    tokens_key,
)
from tests.kit.redis_fleets import one_url
from tests.library.test_asked import config as asking
from webui.chat import (
    ACTIONS,
    CONNECT_SERVICE_TOOL,
    connect_service,
    for_model,
    notice_text,
    split_link,
)
from webui.chat import phrases as wording
from webui.oauth_manager import (
    LinkRequest,
    Notice,
    NoticeKind,
    OAuthManager,
    OAuthNotConnected,
    TokenData,
    init_oauth_manager,
    require_oauth_token,
)
from webui.rate_limits import LIMITS
from webui.text import words

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CLIENT = {"client_id": "client", "client_secret": "client-secret"}
CHAT_LIMIT = 2000  # characters of one message, where that is least (Discord)

URL = rf"{BASE_URL}/connect/[\w-]{{40,}}"
LINK = rf"only for you and works once, for 10 minutes\. Do not forward it\.\n{URL}"
OFFER = f"Here is a new link. This link is {LINK}"
TIME = "less than a minute ago"


class Stage:
    """One served address for all tests here; the provider behind it is each test's own."""

    def __init__(self) -> None:
        self.fake = fake_provider()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.fake(scope, receive, send)


class Scene:
    """Alice's private chat, and the provider."""

    def __init__(self, redis: Redis, stage: Stage, url: str) -> None:
        self.redis = redis
        self.url = url
        self._stage = stage
        self._managers: list[OAuthManager] = []
        self.after: list[Callable[[], None]] = []  # what lets go of whatever a scene holds up
        self.begin()

    def begin(self) -> None:
        self.fake = self._stage.fake = fake_provider()
        self.more: dict[str, Any] = {}
        self.set_up(self.everything())

    def set_up(self, config: dict[str, dict[str, Any]], key: str = KEY) -> None:
        """Another installation on the same Redis."""
        self.manager = impatient(init_oauth_manager(key, BASE_URL, config, clock=FakeClock()))
        self._managers.append(self.manager)

    def everything(self) -> dict[str, dict[str, Any]]:
        """The built-in providers, and one that says little of itself."""
        wiki = {**self.fake.endpoints(self.url, "/wiki"), **CLIENT, "scopes": ["wiki.read"]}
        return {**providers_config(self.fake, self.url), "wiki": wiki}

    async def begin_again(self) -> None:
        """Begin with nothing stored and another provider."""
        await self.end()
        self.after.clear()
        self._managers.clear()
        await self.redis.flushall()
        self.begin()

    async def end(self) -> None:
        for release in self.after:
            release()
        for manager in self._managers:
            await manager.aclose()

    async def say(
        self, action: str, provider: str = "", code: str = "", *, user: str = "alice", **more: Any
    ) -> str:
        context = SimpleNamespace(**{"user_id": user, "redis": self.redis, **self.more, **more})
        return await connect_service(context, action, provider, code)

    async def connect(self, provider: str = "github") -> None:
        await connected(self.manager, self.fake, self.redis, "alice", provider)

    async def hold(self, **token: Any) -> None:
        """Tokens at GitHub, without any record of how they came to be."""
        stored = TokenData(**{"access_token": "a", "provider": "github", **token})
        await self.manager.store_token(self.redis, "alice", stored)

    async def lose_google(self) -> None:
        """Access that was there has ended, and that is known."""
        await self.connect("google")
        self.fake.withdraw()
        await age(self.manager, self.redis, "alice", "google")
        assert await self.manager.get_token("alice", "google", self.redis) is None

    async def code_shown(self, user: str = "alice") -> str:
        """The code that the browser of a person with a link shows."""
        secret = await self.manager.proofs.start(self.redis, LinkRequest(user, "github"))
        proof = await self.manager.proofs.peek(self.redis, secret)
        assert proof
        return proof.code

    async def notice(
        self, kind: str, provider: str = "github", account: str = "", detail: str = ""
    ) -> str:
        notice = Notice(NoticeKind(kind), "alice", provider, account, time.time(), detail)
        return await notice_text(self.manager, self.redis, notice)

    async def asks_for(self, text: str) -> tuple[str, ...]:
        """The scopes of the link in the text, which is open."""
        _, url = split_link(text)
        found = await self.manager.links.peek(self.redis, url.rpartition("/")[2])
        assert found
        return found[0].scopes


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, str]]:
    stage = Stage()
    with serve(stage) as url:
        yield stage, url


@pytest.fixture
async def scene(redis: Redis, stage: tuple[Stage, str]) -> AsyncIterator[Scene]:
    scene = Scene(redis, *stage)
    yield scene
    await scene.end()


# What may have happened before


async def nothing(_: Scene) -> None:
    pass


async def connect_github(scene: Scene) -> None:
    await scene.connect()


async def connect_two(scene: Scene) -> None:
    """Alice is connected as mona, and as hubert, which she calls Work."""
    await scene.connect()
    scene.fake.account = {"id": 99, "login": "hubert"}
    manager, redis = scene.manager, scene.redis
    url = await manager.begin(redis, "alice", "github", browser="b", account="Work", is_adding=True)
    back = callback_query(scene.fake.authorize(url))
    attempt = await manager.links.take_attempt(redis, back["state"], "b")
    assert attempt
    assert await manager.complete(redis, attempt, back["code"])


async def connect_as_many_as_there_can_be(scene: Scene) -> None:
    await connect_two(scene)
    scene.manager.providers["github"].max_accounts = 2


async def connect_without_a_name(scene: Scene) -> None:
    scene.fake.account = {"unexpected": []}
    await scene.connect()


async def leave_permissions_off(scene: Scene) -> None:
    scene.fake.scope = "openid"
    await scene.connect("google")


async def connect_an_app(scene: Scene) -> None:
    scene.fake.client_id, scene.fake.scope = "Iv23abc", ""
    config = scene.everything()
    config["github"] |= {"client_id": "Iv23abc", "permissions_url": f"{scene.url}/installations"}
    scene.set_up(config)
    await scene.connect()


async def lose_google(scene: Scene) -> None:
    await scene.lose_google()


async def lock_with_another_key(scene: Scene) -> None:
    await scene.connect()
    scene.set_up(scene.everything(), OTHER_KEY)


async def have_another_key_than_the_site(scene: Scene) -> None:
    await scene.manager.settle(scene.redis)
    scene.set_up(scene.everything(), OTHER_KEY)


async def set_nothing_up(scene: Scene) -> None:
    scene.set_up({})


async def set_up_github_alone(scene: Scene) -> None:
    scene.set_up({"github": CLIENT})


async def connect_them_all(scene: Scene) -> None:
    for provider in ("discord", "github", "google", "microsoft", "wiki"):
        await scene.connect(provider)


async def many_permissions(scene: Scene) -> None:
    await scene.hold(scopes=["repo", "gist", "delete_repo", "workflow", "codespace", "odd:one"])


async def an_unknown_permission(scene: Scene) -> None:
    await scene.hold(scopes=["odd:one"], expires_at=time.time() + 3600)


async def run_out(scene: Scene) -> None:
    await scene.hold(expires_at=1000.0)


async def show_a_code(scene: Scene) -> None:
    await scene.code_shown()


async def guess_four_times(scene: Scene) -> None:
    await scene.code_shown()
    for _ in range(3):
        await scene.say("confirm", code="000 000")


async def be_in_trouble(scene: Scene) -> None:
    await scene.connect()
    scene.fake.always["account"] = Answer(503)


async def be_set_up_wrongly(scene: Scene) -> None:
    await scene.connect("google")
    await age(scene.manager, scene.redis, "alice", "google")
    scene.fake.always["token"] = error_answer("invalid_client", 401)


async def be_refused(scene: Scene) -> None:
    """Renewing is refused in words that nobody knows."""
    await scene.connect("google")
    await age(scene.manager, scene.redis, "alice", "google")
    scene.fake.always["token"] = error_answer("never_heard_of")
    await scene.say("check", "google")


async def be_refused_for_long(scene: Scene) -> None:
    await be_refused(scene)
    time_passes(scene.manager, 3700)
    await scene.redis.delete("stargazer:oauth_lock:alice:google")


async def be_refused_and_stuck(scene: Scene) -> None:
    await be_refused_for_long(scene)
    await scene.say("check", "google")


async def find_setup_wrong(scene: Scene) -> None:
    await be_set_up_wrongly(scene)
    await scene.say("check", "google")


async def find_trouble(scene: Scene) -> None:
    await be_in_trouble(scene)
    await scene.say("check", "github")


async def take_access_away(scene: Scene) -> None:
    await scene.connect()
    scene.fake.withdraw()


async def do_not_confirm(scene: Scene) -> None:
    await scene.connect("discord")
    scene.manager.providers["discord"].manage_url = "https://discord.example/apps"
    scene.fake.always["revoke"] = Answer(503)


async def have_no_way_to_ask(scene: Scene) -> None:
    await scene.connect("microsoft")
    scene.manager.providers["microsoft"].manage_url = "javascript:alert(1)"


async def in_a_group(scene: Scene) -> None:
    scene.more["is_private"] = False


async def nobody(scene: Scene) -> None:
    scene.more["user_id"] = ""


async def redis_away(scene: Scene) -> None:
    scene.more["redis"] = Redis.from_url("unix:///nowhere", retry=Retry(NoBackoff(), 0))


async def ask_all_the_time(scene: Scene) -> None:
    for _ in range(int(LIMITS["link"].partition("/")[0])):
        assert "Do not forward it." in await scene.say("manage")


async def lose_and_unset(scene: Scene) -> None:
    await scene.lose_google()
    scene.set_up({})


@dataclass(frozen=True)
class Situation:
    """Something that happened, what is asked (or noticed) then, and the whole answer."""

    asked: tuple[str, ...]
    answer: str
    before: Callable[[Scene], Awaitable[None]] = nothing
    is_notice: bool = False

    async def play(self, scene: Scene) -> str:
        await self.before(scene)
        if self.is_notice:
            return await scene.notice(*self.asked)
        return await scene.say(*self.asked)


def notice(
    kind: str, answer: str, before: Callable[[Scene], Awaitable[None]] = nothing, **asked: str
) -> Situation:
    what = asked.get("provider", "github"), asked.get("account", ""), asked.get("detail", "")
    return Situation((kind, *what), answer, before, is_notice=True)


ALL = "discord, github, google, microsoft, wiki"
NOT_GITHUB = "Not connected: discord, google, microsoft, wiki. Send connect and the name"
SAYS_NO_MORE = "Try again in a few minutes."


async def be_refused_once(scene: Scene) -> None:
    scene.fake.gives_refresh_token = False
    await scene.connect("discord")
    impatient(scene.manager)
    scene.fake.withdraw()


async def lose_the_account_address(scene: Scene) -> None:
    scene.fake.gives_refresh_token = False
    await scene.connect("discord")
    scene.manager.providers["discord"].account_url = ""


async def ask_a_provider_that_takes_its_time(scene: Scene) -> None:
    await scene.connect()
    gate = scene.fake.gate("revoke")
    await scene.manager.disconnect(scene.redis, "alice", "github", by="web")
    await gate.reached()
    scene.after.append(gate.open)


async def ask_a_provider_that_does_not_confirm(scene: Scene) -> None:
    await scene.connect()
    scene.fake.script("revoke", Answer(503))
    await scene.manager.delete_token(scene.redis, "alice", "github")


async def hold_up_the_answer(scene: Scene) -> None:
    await scene.connect()
    scene.after.append(scene.fake.gate("revoke").open)


SITUATIONS = {
    # connect
    "a link": Situation(
        ("connect", "github"),
        f"Connect GitHub so I can work with your GitHub account. This link is {LINK}",
    ),
    "a link to what says little of itself": Situation(
        ("connect", "wiki"), f"Here is a link to connect Wiki. This link is {LINK}"
    ),
    "a name as people write it": Situation(
        ("connect", "  GitHub "), f"Connect GitHub so I can .* This link is {LINK}"
    ),
    "no service means all of them": Situation(
        ("connect", " "), f"Here are your connections. This link is {LINK}"
    ),
    "connected already": Situation(
        ("connect", "github"),
        r"GitHub is already connected as mona\. To undo: disconnect github\.",
        connect_github,
    ),
    "an account under a new name": Situation(
        ("connect", "github as Play"),
        r"Connect GitHub \(Play\) so I can .* This link is .*|Here is a link to connect GitHub "
        rf"\(Play\)\. This link is {LINK}|Connect GitHub so I can .* This link is {LINK}",
        connect_two,
    ),
    "which of several": Situation(
        ("disconnect", "github"),
        r"Which GitHub: mona, work\? Send it like this: github as mona\.",
        connect_two,
    ),
    "one of several, connected already": Situation(
        ("connect", "github as work"),
        r"GitHub \(Work\) is already connected as hubert\. To undo: disconnect github as Work\.",
        connect_two,
    ),
    "the list of several": Situation(
        ("list",),
        r"GitHub \(mona\): connected as mona\.\nGitHub \(Work\): connected as hubert\.\n.*",
        connect_two,
    ),
    "the end of one of several": Situation(
        ("disconnect", "GitHub work"),
        r"GitHub \(work\) is disconnected\. GitHub \(work\) has cancelled my access too\..*",
        connect_two,
    ),
    "an account that is not there": Situation(
        ("status", "github as play"),
        r"GitHub \(play\): not connected\.",
        connect_two,
    ),
    "one of several in the words of the list": Situation(
        ("status", "GitHub (Work)"), r"GitHub \(Work\): connected as hubert\..*", connect_two
    ),
    "one of several, aloud": Situation(
        ("status", "GITHUB AS work"), r"GitHub \(Work\): connected as hubert\..*", connect_two
    ),
    "a name that is not said": Situation(
        ("disconnect", "github as"), r"An account's name is .*: github as work\.", connect_two
    ),
    "what cannot be a name": Situation(
        ("connect", "github as ../x"), "An account's name is up to 32 letters, .*", connect_two
    ),
    "as many accounts as there can be": Situation(
        ("connect", "github as Play"),
        "You have as many GitHub accounts here as you can have. Disconnect one of them to add "
        "another.",
        connect_as_many_as_there_can_be,
    ),
    "connected already, as somebody": Situation(
        ("connect", "github"),
        r"GitHub is already connected\. To undo: disconnect github\.",
        connect_without_a_name,
    ),
    "connected with too little": Situation(
        ("connect", "google"),
        "Google is connected. I do not have permission to: see your main Google e-mail address. "
        f"Here is a link to allow it. This link is {LINK}",
        leave_permissions_off,
    ),
    "a provider that does not accept access, this time": Situation(
        ("check", "discord"),
        "Discord did not accept my access when I asked. That can pass, so your connection is "
        "kept. Send check discord again in a minute.",
        be_refused_once,
    ),
    "a provider that nobody can ask": Situation(
        ("check", "discord"),
        "Discord gives me no way to check that. Your connection is kept.",
        lose_the_account_address,
    ),
    "a provider that takes its time": Situation(
        ("status", "github"),
        "GitHub: not connected. I am asking GitHub to cancel my access there too.",
        ask_a_provider_that_takes_its_time,
    ),
    "a provider that did not confirm": Situation(
        ("status", "github"),
        "GitHub: not connected. GitHub did not confirm that it has cancelled my access, so it "
        "may still list me. I cannot use that entry.",
        ask_a_provider_that_does_not_confirm,
    ),
    "access has ended": Situation(
        ("connect", "google"), f"Google needs reconnecting. {OFFER}", lose_google
    ),
    "renewing is refused, and again": Situation(
        ("connect", "google"),
        "Google does not renew .* Your connection is kept. If you do not want to wait, here is "
        f"a link to connect it again. This link is {LINK}",
        be_refused,
    ),
    "renewing was refused for long": Situation(
        ("connect", "google"),
        f"Google has refused to renew my access for over an hour. {OFFER}",
        be_refused_and_stuck,
    ),
    "access ends soon": Situation(
        ("connect", "github"),
        r"My access to GitHub ends in \d+ \w+, and does not renew by itself. Here is a link to "
        f"renew it. This link is {LINK}",
        an_unknown_permission,
    ),
    "the provider is away": Situation(
        ("connect", "github"),
        f"GitHub is not answering.* This link is {LINK}",
        find_trouble,
    ),
    "the set-up is wrong": Situation(
        ("connect", "google"),
        f"Our set-up for Google has a fault.* This link is {LINK}",
        find_setup_wrong,
    ),
    "stored, and not to be read": Situation(
        ("connect", "github"),
        "I cannot read what is stored for GitHub. Here is a link to replace it. "
        f"This link is {LINK}",
        lock_with_another_key,
    ),
    "not set up": Situation(
        ("connect", "google"),
        "Google is not set up here, so I cannot connect it.",
        set_up_github_alone,
    ),
    "nothing set up": Situation(
        ("connect", "gitlab"), r"No services are set up here yet\.", set_nothing_up
    ),
    "unknown": Situation(("connect", "gitlab"), rf"I do not know that service\. I know: {ALL}\."),
    # confirm
    "a wrong code": Situation(
        ("confirm", "", "000 000"),
        r"That code does not match\. Check the page and send it again \(4 tries left\)\.",
        show_a_code,
    ),
    "a wrong code, nearly the last": Situation(
        ("confirm", "", "000 000"),
        r"That code does not match\. Check the page and send it again \(1 try left\)\.",
        guess_four_times,
    ),
    "a code that nothing waits for": Situation(
        ("confirm", "", "KT4 9WX"),
        "That code does not match, and no page is waiting for a code of yours.*",
    ),
    "no code": Situation(("confirm", "github", " ?! "), "Which code.*", show_a_code),
    # list
    "nothing connected": Situation(
        ("list",), rf"Nothing is connected yet\. Send connect and the name of a service: {ALL}\."
    ),
    "one connected": Situation(
        ("list",), rf"GitHub: connected as mona\.\n{NOT_GITHUB} of a service\.", connect_github
    ),
    "all connected": Situation(("list",), r"(\w+: connected( as \w+)?\.\n?){5}", connect_them_all),
    "one without a name": Situation(
        ("list",), rf"GitHub: connected\.\n{NOT_GITHUB}.*", connect_without_a_name
    ),
    "one with too little": Situation(
        ("list",),
        r"Google: connected\. Some permissions were left off \(send connect google to allow "
        r"them\)\.\nNot connected: .*",
        leave_permissions_off,
    ),
    "an app that is installed nowhere": Situation(
        ("list",),
        r"GitHub: connected as mona\. It is not installed there yet \(send manage to see where\)\."
        r"\nNot connected: .*",
        connect_an_app,
    ),
    "one that does not work just now": Situation(
        ("list",), r"GitHub: connected as mona\. GitHub is not answering\. .*", find_trouble
    ),
    "one that has ended": Situation(
        ("list",),
        r"Google: needs reconnecting\. Send connect google\.\nNot connected: .*",
        lose_google,
    ),
    "nothing to list": Situation(("list",), "No services are set up here yet.", set_nothing_up),
    # status
    "no service": Situation(("status",), rf"Which service\? I know: {ALL}\."),
    "status of what is connected": Situation(
        ("status", "github"),
        rf"GitHub: connected as mona\. Connected {TIME}\. "
        r"I can now: read your full profile\.",
        connect_github,
    ),
    "status of what is not": Situation(("status", "github"), r"GitHub: not connected\."),
    "status of what is not set up": Situation(
        ("status", "google"), "Google is not set up here.*", set_nothing_up
    ),
    "status of what lacks permissions": Situation(
        ("status", "google"),
        r"Google: connected\. Some permissions .* I can now: recognise you as the same Google "
        r"account next time\. I do not have permission to: see your main Google e-mail address\.",
        leave_permissions_off,
    ),
    "status of what ended": Situation(
        ("status", "google"),
        rf"Google: needs reconnecting\. Send connect google\. Google ended my access {TIME}\.",
        lose_google,
    ),
    "status of what has run out": Situation(
        ("status", "github"),
        "GitHub: needs reconnecting. Send connect github. My access ran out on 1 January 1970.",
        run_out,
    ),
    "status of what ends": Situation(
        ("status", "github"),
        r"GitHub: connected\. I can now: “odd:one”\. Access ends in 59 minutes\.",
        an_unknown_permission,
    ),
    "status of what may do a lot": Situation(
        ("status", "github"),
        r"GitHub: connected\. I can now: delete repositories you administer; .*"
        r"; and 1 more \(send manage to see them\)\.",
        many_permissions,
    ),
    "status of what cannot be read": Situation(
        ("status", "github"),
        "GitHub: I cannot read what is stored. It is kept. Send connect github to replace it.",
        lock_with_another_key,
    ),
    # check
    "it works": Situation(("check", "github"), "GitHub checked: working.", connect_github),
    "it was never connected": Situation(("check", "github"), r"GitHub: not connected\."),
    "it was taken away": Situation(
        ("check", "github"),
        r"GitHub: needs reconnecting\. .* GitHub ended my access .*",
        take_access_away,
    ),
    "the provider is in trouble": Situation(
        ("check", "github"),
        rf"GitHub is not answering\. Your connection is safe\. {SAYS_NO_MORE}",
        be_in_trouble,
    ),
    "renewing is refused": Situation(
        ("check", "google"),
        "Google does not renew my access, and gives no reason that I understand. "
        "Your connection is kept.",
        be_refused,
    ),
    "renewing has been refused for long": Situation(
        ("check", "google"),
        "Google has refused to renew my access for over an hour. "
        "Send connect google for a new link.",
        be_refused_for_long,
    ),
    "our set-up is wrong": Situation(
        ("check", "google"),
        "Our set-up for Google has a fault, .* You do not need to do anything.*",
        be_set_up_wrongly,
    ),
    "checking nothing": Situation(("check",), r"Which service\?.*"),
    # disconnect
    "the provider confirms": Situation(
        ("disconnect", "github"),
        r"GitHub is disconnected\. GitHub has cancelled my access too\."
        r"\nDisconnected GitHub \(mona\) on .* UTC, GitHub confirmed, reference \w{6}\.",
        connect_github,
    ),
    "the provider has not answered yet": Situation(
        ("disconnect", "github"),
        r"I have deleted my access to GitHub\. .*"
        r"\nDisconnected GitHub \(mona\) on .* UTC, GitHub has not answered yet, reference .*",
        hold_up_the_answer,
    ),
    "there is nothing to disconnect": Situation(
        ("disconnect", "github"), "GitHub was not connected."
    ),
    "what is disconnected had ended": Situation(
        ("disconnect", "google"),
        r"Google is removed here\. It had already ended my access\."
        r"\nDisconnected Google.* on .* UTC, Google had already ended our access, .*\.",
        lose_google,
    ),
    "the provider does not confirm": Situation(
        ("disconnect", "discord"),
        r"I have deleted my access to Discord\. Discord did not confirm.* remove me there\."
        r"\nDisconnected Discord.* on .* UTC, Discord did not confirm, reference \w{6}\."
        r"\nhttps://discord\.example/apps",
        do_not_confirm,
    ),
    "the provider cannot be asked": Situation(
        ("disconnect", "microsoft"),
        r"I have deleted my access to Microsoft\. Microsoft keeps .* remove me there\."
        r"\nDisconnected Microsoft.* on .* UTC, Microsoft keeps its own list, .*",
        have_no_way_to_ask,
    ),
    "disconnecting nothing": Situation(("disconnect", "all"), "I do not know that service.*"),
    # everything
    "all of them with another key": Situation(
        ("manage",),
        r"That does not work here: our set-up has a fault, .* You do not need to do anything.*",
        have_another_key_than_the_site,
    ),
    "the connections page": Situation(
        ("manage",), f"Here are your connections. This link is {LINK}"
    ),
    "something else": Situation(("delete",), f"I can do this: {', '.join(ACTIONS)}."),
    "in a group": Situation(("list",), "Please ask me that in a private chat.", in_a_group),
    "of nobody": Situation(("list",), "I cannot tell who you are.*", nobody),
    "without Redis": Situation(
        ("connect", "github"),
        "I cannot look that up. Nothing was changed. Try again in a moment.",
        redis_away,
    ),
    "without Redis, to change something": Situation(
        ("disconnect", "github"),
        "Part of our system is not answering, so I do not know whether that worked.*",
        redis_away,
    ),
    "too often": Situation(
        ("connect", "github"),
        r"You have tried that several times\. Try again in 10 minutes\.",
        ask_all_the_time,
    ),
    # without being asked
    "connected": notice(
        "connected",
        r"GitHub is now connected as mona\. I can now: read your full profile\. "
        r"Not you\? Send: disconnect github",
        connect_github,
        account="mona",
    ),
    "added, and connected already": notice(
        "connected",
        r"GitHub was connected as mona already, so I added nothing and renewed its access\. "
        r"To add another account, choose that one at GitHub\. I can now: .*",
        connect_github,
        account="mona",
        detail="was_there",
    ),
    "added, and connected already as somebody": notice(
        "connected",
        r"GitHub was connected with this account already, so I added nothing and renewed .*",
        connect_without_a_name,
        detail="was_there",
    ),
    "connected as somebody": notice(
        "connected", r"GitHub is now connected\. I can now: .*", connect_without_a_name
    ),
    "disconnected": notice(
        "disconnected",
        "GitHub is disconnected. I no longer use it. To connect it again, send: connect github",
    ),
    "reconnect needed": notice(
        "reconnect_needed",
        f"Google needs reconnecting, so I cannot use it. {OFFER}",
        lose_google,
        provider="google",
    ),
    "reconnect needed, and not set up": notice(
        "reconnect_needed",
        "Google needs reconnecting, but it is switched off here.",
        lose_and_unset,
        provider="google",
    ),
    "cancelled": notice(
        "link_cancelled",
        "That link was cancelled. Nothing was connected. "
        "Send connect github if you want a new one.",
    ),
    "cancelled, to sign in": notice(
        "link_cancelled",
        "That link was cancelled. Send connect if you want a new one.",
        provider="",
    ),
    "said no": notice(
        "denied",
        r"You chose not to connect GitHub\. Nothing was shared\. "
        r"If you change your mind, send: connect github",
    ),
    **{
        f"did not finish: {detail}": notice("connect_failed", said, detail=detail)
        for detail, said in {
            "failed": r"Connecting GitHub did not finish\. Nothing was changed\. .*connect github",
            "of a later release": r"Connecting GitHub did not finish\. .*connect github",
            "misconfigured": r"GitHub was not connected\. Our set-up has a fault, .* was changed\.",
            "provider_trouble": r"GitHub is not answering, so .*send: connect github",
            "needs_admin": r"Your organisation has to allow me at GitHub first\..*: connect github",
            "not_understood": r"GitHub answered in a way I do not understand, .* was changed\.",
            "verify": r"GitHub wants you to verify .* you have done that, send: connect github",
            "other_account": r"GitHub does not allow this with that account.* connect github",
            "other_browser": r"GitHub does not allow sign-in in that window.* connect github",
            "elsewhere": r"The way back from GitHub was opened in another .*connect github",
            "cancelled": r"You cancelled connecting GitHub\. .*send: connect github",
            "too_many": r"You have as many GitHub accounts here .* send: connect github",
            "kept_old": r"GitHub keeps the account it had\.",
            "not_you": r"You said that this GitHub account was not yours, .* send: connect github",
            "start_here": r"I could not show you whose GitHub account .* send: connect github",
        }.items()
    },
    "the link ran out": notice(
        "link_ran_out",
        r"The link for GitHub has run out\. Nothing was changed\. "
        r"For a new one, send: connect github",
    ),
    "nothing renews access, and it ends soon": notice(
        "ends_soon",
        "My access to GitHub ends within a day, and I cannot renew it. "
        "To keep it, send: connect github",
        connect_github,
    ),
    "the link to sign in ran out": notice(
        "link_ran_out",
        r"The link to your connections has run out\. For a new one, send: connect",
        provider="",
    ),
    "connected, and gone again": notice(
        "connected",
        "Something has changed with GitHub. This is its state now. GitHub: not connected.",
    ),
    "disconnected, and back": notice(
        "disconnected", ".* its state now. GitHub: connected as mona.", connect_github
    ),
    "broken, and mended": notice(
        "reconnect_needed", ".* its state now. GitHub: connected as mona.", connect_github
    ),
    "support checked": notice(
        "support_checked",
        "Support has checked GitHub for you. GitHub: connected as mona.",
        connect_github,
    ),
    "support switched off links": notice(
        "support_cancelled_links",
        "Support has switched off your open links. Send connect if you want a new one.",
        provider="",
    ),
    "support disconnected": notice(
        "support_disconnected",
        "Support has disconnected GitHub for you. I no longer use it. "
        "To connect it again, send: connect github",
    ),
    "support disconnected, and back": notice(
        "support_disconnected", ".* its state now. GitHub: connected as mona.", connect_github
    ),
    "support ended sessions": notice(
        "support_ended_sessions",
        "Support has signed you out in every browser. Your connections keep working. "
        "To sign in again, send: manage",
        provider="",
    ),
    "of a provider unknown here": notice(
        "connected",
        "Something has changed with gitea, which I do not know here. "
        "Send manage to see your connections.",
        provider="gitea",
    ),
}


@every("situation", SITUATIONS)
async def test_every_situation_is_told_in_plain_words(scene: Scene, situation: Situation) -> None:
    await scene.begin_again()
    said = await situation.play(scene)
    assert re.fullmatch(situation.answer, said, re.DOTALL), said
    text, url = split_link(said)
    assert "http" not in text
    assert url in said
    assert len(said) < CHAT_LIMIT
    assert not any(secret in said for secret in scene.fake.issued)
    jargon = r"\b(oops|tokens?|scopes?|oauth|revoked?|authenticat\w*|invalid|error)\b|!"
    assert not re.search(jargon, text, re.IGNORECASE)


async def test_every_sentence_for_the_chat_is_said_in_some_situation(scene: Scene) -> None:
    """The counterpart of the same test of the screens."""
    said = []
    for situation in SITUATIONS.values():
        await scene.begin_again()
        said.append(await situation.play(scene))
    said.append(await matched(scene))
    said += await asked_for_a_value(scene)
    said += [wording.span(count * unit) for count in (1, 2) for unit in (60, 3600, 86_400)]
    said += [wording.moment(away, 0.0) for away in (-90, 90)]
    said.append(for_model("https://connect.example/connect/x"))
    for key, sentence in words.CATALOGUE.items():
        if key.startswith(("chat.", "notice.")):
            pieces = [re.escape(piece) for piece in re.split(r"\{\w+\}", sentence)]
            assert any(re.search(".+".join(pieces), text, re.DOTALL) for text in said), key


# Times


@every(
    ("seconds", "said"),
    [
        (0, "1 minute"),
        (59, "1 minute"),
        (119, "1 minute"),
        (120, "2 minutes"),
        (600, "10 minutes"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (7200, "2 hours"),
        (86_400, "1 day"),
        (6 * 86_400, "6 days"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, said: str) -> None:
    assert wording.span(seconds) == said


@every(
    ("away", "said"),
    [
        (-1, "less than a minute ago"),
        (-61, "1 minute ago"),
        (-7210, "2 hours ago"),
        (7210, "in 2 hours"),
        (-3 * 86_410, "3 days ago"),
        (-8 * 86_400, r"on \d+ [A-Z][a-z]+ \d{4}"),
        (8 * 86_400, r"on \d+ [A-Z][a-z]+ \d{4}"),
        (-1e12, "on 1 January 1970"),
        (1e15, "on 31 December 9999"),
    ],
)
def test_a_moment_is_told_without_a_clock(away: float, said: str) -> None:
    assert re.fullmatch(said, wording.moment(away, 0.0))


@every("key", {k: k for k in words.CATALOGUE if k.startswith(("chat.", "notice."))})
def test_no_sentence_for_the_chat_has_a_clocks_time(key: str) -> None:
    assert not re.search(r"UTC|\{time\}", words.CATALOGUE[key])


# Codes


async def asked_for_a_value(scene: Scene) -> list[str]:
    """A service whose address needs a shop: without it, and with one that is none."""
    scene.set_up({"acme": asking()})
    return [await scene.say("connect", said) for said in ("acme", "acme evil.example")]


async def test_a_service_whose_address_needs_a_shop_is_connected_with_it(scene: Scene) -> None:
    page, wrong = await asked_for_a_value(scene)
    assert "The page asks for: Your shop." in page
    assert "connect acme one" in page
    assert "/connect/" in page
    assert wrong.startswith("Acme needs one more thing: Your shop, for example one.")
    assert "/connect/" not in wrong
    assert "evil" not in wrong
    right = await scene.say("connect", "Acme https://one.shops.example/admin")
    assert "/connect/" in right
    assert "The page asks" not in right


async def matched(scene: Scene) -> str:
    return await scene.say("confirm", code=await scene.code_shown())


async def test_the_right_code_matches_however_it_is_written(scene: Scene) -> None:
    expected = "That matches. Go back to your browser to continue."
    assert await matched(scene) == expected
    code = await scene.code_shown()
    written = f" {code[:3].lower()}-{code[3:]}\n"
    assert await scene.say("confirm", code=written) == expected


async def test_a_code_is_worth_nothing_in_the_chat_of_somebody_else(scene: Scene) -> None:
    code = await scene.code_shown("alice")
    assert "does not match" in await scene.say("confirm", code=code, user="bob")
    assert "That matches." in await scene.say("confirm", code=code, user="alice")


async def test_a_hundred_guesses_are_five(scene: Scene) -> None:
    code = await scene.code_shown()
    answers = [await scene.say("confirm", code="000000") for _ in range(100)]
    left = [re.findall(r"\((\d) tr", answer) for answer in answers[:5]]
    assert left == [["4"], ["3"], ["2"], ["1"], []]
    allowed = int(LIMITS["guess"].partition("/")[0])
    assert all("no page is waiting" in answer for answer in answers[4:allowed])
    assert all("You have tried" in answer for answer in answers[allowed:])
    assert "That matches." not in await scene.say("confirm", code=code)


async def test_no_code_at_all_costs_no_try(scene: Scene) -> None:
    await scene.code_shown()
    for _ in range(10):
        await scene.say("confirm", code="...")
    assert "(4 tries left)" in await scene.say("confirm", code="wrong")


# Links


async def test_a_newer_link_replaces_the_older(scene: Scene) -> None:
    first = await scene.say("connect", "github")
    second = await scene.say("connect", "github")
    await scene.asks_for(second)
    _, url = split_link(first)
    assert await scene.manager.links.peek(scene.redis, url.rpartition("/")[2]) is None


async def test_a_link_asks_for_what_a_tool_was_lacking(scene: Scene) -> None:
    context = SimpleNamespace(user_id="alice", redis=scene.redis)
    with pytest.raises(OAuthNotConnected):
        await require_oauth_token(context, "github", ["gist"])
    for _ in range(2):  # a second link loses nothing either
        offered = await scene.say("connect", "github")
        assert await scene.asks_for(offered) == ("read:user", "gist")


async def test_a_connected_service_may_lack_what_a_tool_needs(scene: Scene) -> None:
    await scene.connect()
    assert "already connected" in await scene.say("connect", "github")
    context = SimpleNamespace(user_id="alice", redis=scene.redis)
    with pytest.raises(OAuthNotConnected):
        await require_oauth_token(context, "github", ["gist"])
    offered = await scene.say("connect", "github")
    assert "I do not have permission to: create and change your gists." in offered
    assert await scene.asks_for(offered) == ("read:user", "gist")


async def test_a_link_for_what_is_missing_asks_for_the_rest_as_well(scene: Scene) -> None:
    await leave_permissions_off(scene)
    asked = await scene.asks_for(await scene.say("connect", "google"))
    assert asked == ("openid", "email")


async def test_reconnecting_asks_for_what_was_asked_before(scene: Scene) -> None:
    wanted = ["read:user", "gist"]
    url = await scene.manager.begin(
        scene.redis, "alice", "github", browser="a browser", scopes=wanted
    )
    state = re.findall(r"state=([\w-]+)", url)[0]
    attempt = await scene.manager.links.take_attempt(scene.redis, state, "a browser")
    assert attempt
    code = re.findall(r"code=([\w-]+)", scene.fake.authorize(url))[0]
    await scene.manager.complete(scene.redis, attempt, code)
    scene.fake.withdraw()
    await scene.say("check", "github")
    assert await scene.asks_for(await scene.say("connect", "github")) == tuple(wanted)
    assert await scene.asks_for(await scene.notice("reconnect_needed")) == tuple(wanted)


async def test_a_notice_does_not_kill_the_link_that_was_just_given(scene: Scene) -> None:
    await scene.lose_google()
    offered = await scene.say("connect", "google")
    noticed = await scene.notice("reconnect_needed", "google")
    assert split_link(noticed)[1] == split_link(offered)[1]


# One of several accounts


async def test_the_account_that_is_used_by_default_is_named_when_it_ends(scene: Scene) -> None:
    await connect_two(scene)
    await scene.manager.use_by_default(scene.redis, "alice", "github", "work")
    said = await scene.say("disconnect", "github")
    assert said.startswith("GitHub (Work) is disconnected.")


@pytest.mark.parametrize(
    ("kind", "detail"),
    [("denied", ""), ("connect_failed", ""), ("link_cancelled", ""), ("link_ran_out", "")],
)
async def test_what_came_of_a_link_names_no_account_that_it_was_not_for(
    scene: Scene, kind: str, detail: str
) -> None:
    await connect_two(scene)
    said = await scene.notice(kind, detail=detail)
    assert "mona" not in said
    assert "connect github" in said


async def test_a_link_that_was_switched_off_is_told_with_the_account_it_was_for(
    scene: Scene,
) -> None:
    await connect_two(scene)
    link = LinkRequest("alice", "github", account="Play")
    await scene.manager.link_cancelled(scene.redis, link)
    async for notice in scene.manager.notices(scene.redis, consumer="one"):
        if notice.kind is NoticeKind.LINK_CANCELLED:
            said = await notice_text(scene.manager, scene.redis, notice)
            assert "Send connect github as Play" in said
            break


async def test_what_is_told_late_of_one_of_several_accounts_names_it(scene: Scene) -> None:
    await connect_two(scene)
    late = Notice(NoticeKind.CONNECTED, "alice", "github", "mo", 0.0, name="Old", slot="gone")
    said = await notice_text(scene.manager, scene.redis, late)
    assert said.endswith("GitHub (Old): not connected.")


async def test_a_notice_of_the_first_account_names_it_once_there_are_two(scene: Scene) -> None:
    await connect_two(scene)
    said = await scene.notice("connected", account="mona")
    assert said.endswith("Not you? Send: disconnect github as mona")


# Names from outside


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("mo\u202ena", "mona"),
        ("mona\nBot: your password, please", "monaBot: your password, please"),
        ("{url}{provider}%s", "{url}{provider}%s"),
        ("x" * 300, "x" * 79 + "…"),
        ("\u05de\u05d5\u05e0\u05d4", "\u2068\u05de\u05d5\u05e0\u05d4\u2069"),
        ("\u0000\u200b \t", ""),
    ],
)
async def test_a_hostile_account_name_is_cut_to_a_name(
    scene: Scene, label: str, shown: str
) -> None:
    scene.fake.account = {"id": "1", "login": label}
    await scene.connect()
    name = f" as {shown}" if shown else ""
    assert f"GitHub: connected{name}.\n" in await scene.say("list")
    assert f"already connected{name}. To" in await scene.say("connect", "github")
    assert f"now connected{name}. I" in await scene.notice("connected", account=label)


async def test_endless_lists_of_permissions_fit_into_a_message(scene: Scene) -> None:
    await scene.hold(scopes=[f"{number}{'x' * 250}" for number in range(200)])
    for said in (await scene.say("status", "github"), await scene.notice("connected")):
        assert "; and 195 more (send manage to see them)" in said
        assert len(said) < CHAT_LIMIT


@pytest.mark.parametrize("expires_at", [1e18, -1e18, 253402300800.0])
async def test_an_impossible_time_is_told_all_the_same(scene: Scene, expires_at: float) -> None:
    await scene.hold(expires_at=expires_at)
    assert await scene.say("status", "github")


# Who asks


@every("user", ["", "x" * 256, "a\nb", "\ud800", 42, None])
@every("action", list(ACTIONS))
async def test_an_action_for_an_id_that_is_none_is_refused(
    scene: Scene, action: str, user: Any
) -> None:
    said = await scene.say(action, "github", "KT49WX", user=user)
    assert said == "I cannot tell who you are, so I cannot do that."


@pytest.mark.parametrize("user", ["a:b*?[c] %00", "\u00e4/\u202e..", "@alice:example.org"])
async def test_strange_ids_are_people_like_all_others(scene: Scene, user: str) -> None:
    for action in ("connect", "list", "status", "check", "disconnect", "manage"):
        assert "cannot tell" not in await scene.say(action, "github", user=user)
    code = await scene.code_shown(user)
    assert "That matches." in await scene.say("confirm", code=code, user=user)


@every(
    "where",
    [
        {"is_private": False},
        {"is_private": False, "guild_id": ""},
        {"guild_id": "1001"},
        {"guild_id": 1001, "channel_id": 5, "platform": "discord", "is_private": None},
    ],
)
@every("action", list(ACTIONS))
async def test_nothing_is_done_or_said_where_others_read(
    scene: Scene, redis: Redis, action: str, where: dict[str, Any]
) -> None:
    await scene.begin_again()
    await scene.connect()
    code = await scene.code_shown()
    before = sorted(await redis.keys("*"))
    said = await scene.say(action, "github", code, **where)
    assert said == "Please ask me that in a private chat."
    assert sorted(await redis.keys("*")) == before
    assert "That matches." in await scene.say("confirm", code=code)


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"guild_id": ""},
        {"guild_id": None, "channel_id": "5"},
        {"guild_id": "1001", "is_private": True},
    ],
)
async def test_a_chat_is_private_unless_something_says_otherwise(
    scene: Scene, where: dict[str, Any]
) -> None:
    """In a server a slash command is answered to that person alone: the bot says so."""
    assert split_link(await scene.say("connect", "github", **where))[1]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("is_none", [True, False])
async def test_without_redis_every_action_says_so(scene: Scene, action: str, is_none: bool) -> None:
    await redis_away(scene)
    if is_none:
        scene.more["redis"] = None
    assert "Try again in a moment." in await scene.say(action, "github", "KT49WX")


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_client_that_decodes_does_as_well(
    scene: Scene, redis_url: str, action: str
) -> None:
    await scene.connect()
    code = await scene.code_shown()
    async with Redis.from_url(one_url(redis_url), decode_responses=True) as decoding:
        said = await scene.say(action, "github", code, redis=decoding)
    expected = {
        "connect": "already connected",
        "confirm": "That matches.",
        "list": "GitHub: connected as mona",
        "status": "GitHub: connected as mona",
        "check": "working",
        "disconnect": "has cancelled",
        "manage": "Do not forward it.",
    }
    assert expected[action] in said


@pytest.mark.parametrize("name", ["link", "check", "guess"])
async def test_every_limit_is_told_with_a_wait_that_is_long_enough(scene: Scene, name: str) -> None:
    asked = {"link": ("manage",), "check": ("check", "github"), "guess": ("confirm", "", "x")}
    for _ in range(int(LIMITS[name].partition("/")[0])):
        assert "You have tried" not in await scene.say(*asked[name])
    said = await scene.say(*asked[name])
    assert re.fullmatch(r"You have tried .* Try again in 10 minutes\.", said)
    assert "You have tried" not in await scene.say(*asked[name], user="bob")


async def test_a_link_that_is_not_made_is_not_counted(scene: Scene) -> None:
    await scene.connect()
    for _ in range(30):
        assert "already connected" in await scene.say("connect", "github")


async def test_a_disconnect_in_chat_reaches_the_provider_and_the_store(scene: Scene) -> None:
    await scene.connect()
    await scene.say("disconnect", "github")
    assert scene.fake.calls["revoke"] == 1
    assert await scene.redis.get(tokens_key("alice", "github")) is None


async def test_tokens_of_an_older_system_are_connected_and_nothing_is_missed(
    scene: Scene,
) -> None:
    """Nobody knows what was asked for then."""
    token = granted(scene.fake, "github", expires_at=0.0, scope="")
    await scene.manager.store_token(scene.redis, "alice", token)
    assert "already connected" in await scene.say("connect", "github")


# For a model

CALLS = jsonschema.Draft202012Validator(CONNECT_SERVICE_TOOL["parameters"])


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(CONNECT_SERVICE_TOOL["parameters"])
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", CONNECT_SERVICE_TOOL["name"])
    assert CONNECT_SERVICE_TOOL["description"]


def test_the_schema_knows_every_action_but_the_one_that_takes_a_code() -> None:
    """Text in front of a model could have it prove a stranger's browser."""
    properties = CONNECT_SERVICE_TOOL["parameters"]["properties"]
    assert [*properties["action"]["enum"], "confirm"] == sorted(
        ACTIONS, key=lambda action: action == "confirm"
    )
    assert set(properties) == {"action", "account", "provider"}
    for action in properties["action"]["enum"]:
        assert f"{action}: " in properties["action"]["description"]
    assert "confirm" not in str(CONNECT_SERVICE_TOOL)


@pytest.mark.parametrize(
    "call",
    [
        {"action": "list"},
        {"action": "connect", "provider": "github"},
        {"action": "manage", "provider": ""},
    ],
)
async def test_a_call_that_fits_the_schema_is_answered(scene: Scene, call: dict[str, str]) -> None:
    CALLS.validate(call)
    assert await connect_service(SimpleNamespace(user_id="alice", redis=scene.redis), **call)


@every(
    "call",
    [
        {},
        {"provider": "github"},
        {"action": "delete everything"},
        {"action": "connect", "provider": 1},
        {"action": "confirm"},
        {"action": "confirm", "code": "KT4 9WX"},
        {"action": "list", "code": ""},
        {"action": "connect", "user_id": "bob"},
        {"action": "connect", "scopes": ["repo"]},
        [],
    ],
)
def test_a_call_that_asks_for_more_than_a_model_may_choose_does_not_fit(call: Any) -> None:
    """Neither for whom nor with what permissions is for a model to say."""
    assert not CALLS.is_valid(call)


@every("call", [("list", 7), ("status", ["github"]), (["list"], ""), ({}, None), (None, None)])
async def test_arguments_of_another_type_are_answered_like_none(scene: Scene, call: Any) -> None:
    """A bot that hands over what a model sent must not fail."""
    action, provider = call
    expected = await scene.say(action if isinstance(action, str) else "", "")
    assert await scene.say(action, provider) == expected


async def test_a_service_with_endless_blanks_keeps_nobody_waiting(scene: Scene) -> None:
    begun = time.process_time()
    said = await scene.say("status", f"github x{' ' * 20_000}!")
    assert said.startswith("An account's name is")
    assert time.process_time() - begun < 0.5


async def test_what_a_model_leaves_out_may_be_null(scene: Scene) -> None:
    assert await scene.say("list", None, None)  # type: ignore[arg-type]


def test_a_bots_process_needs_nothing_of_the_site() -> None:
    script = (
        "import sys, webui.chat\n"
        "banned = {'starlette', 'jinja2', 'uvicorn', 'itsdangerous'} & set(sys.modules)\n"
        "raise SystemExit(f'{banned}' if banned else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
