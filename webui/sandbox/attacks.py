"""Attacks on the running site: played by HTTP like a browser's, and told from what came back.

Mallory attacks and Vera is attacked; each time they are new people, who meet nobody else.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from webui.oauth_manager import Status, StoreUnavailable, get_oauth_manager
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import Struct

from .bot import answer
from .grants import Grants
from .whoami import Caller

PROVIDER = "github"
_ACCOUNT = "hubert"  # Mallory's at the provider
_TAG = re.compile(r"<[^>]+>")
_CODE = re.compile(r'aria-hidden="true">(\w{3} \w{3})<')
_LEAVING = re.compile(r'http-equiv="refresh" content="0; *url=([^"]+)"')


class NotPlayed(Exception):
    """The site did not answer as it does on an ordinary day; the message says which step."""


class Outcome(Struct, frozen=True):
    """Sentences about an attack; ``is_held`` is None if it could not be played."""

    lines: tuple[str, ...]
    verdict: str
    is_held: bool | None


class Visitor:
    """A person with a browser of their own and a chat with the bot."""

    def __init__(self, name: str, site: str, redis: RedisClient, http: httpx.AsyncClient) -> None:
        self.id = f"{name.lower()}-{secrets.token_hex(4)}"
        self._site = site
        self._redis = redis
        self._caller = Caller(self.id, redis, http)
        self.browser = httpx.AsyncClient(base_url=site, trust_env=False, follow_redirects=True)

    async def say(self, text: str) -> str:
        """Return the bot's answer, its link included."""
        reply = await answer(self._caller, text)
        return reply.url or reply.text

    async def press(self, page: httpx.Response, button: str) -> httpx.Response:
        """Send the form that has the button of that id.  Raises ``NotPlayed``."""
        found = re.search(rf'action="([^"]+)"[^>]*>\s*<button[^>]*id="{button}"', page.text)
        if not found:
            raise NotPlayed(f"there was no button {button}")
        return await self.browser.post(html.unescape(found[1]), headers={"Origin": self._site})

    async def accept(self, link: str) -> tuple[httpx.Response, str]:
        """Open a link and press Yes; returns the page with the code, and the code."""
        page = await self.press(await self.browser.get(link), "link-yes")
        return page, _first(_CODE, page, "there was no code")

    async def try_link_of(self, asker: Visitor) -> str:
        """Open somebody else's link, and send its code from the own chat; returns the answer."""
        page, code = await self.accept(await asker.say(f"connect {PROVIDER}"))
        said = await self.say(code)
        await self.press(page, "proof-sent")
        return said

    async def sign_in(self, text: str) -> httpx.Response:
        """Ask for a link, use it, and send its code: as somebody does who means it."""
        page, code = await self.accept(await self.say(text))
        await self.say(code)
        return await self.press(await self.browser.get(page.url), "proof-continue")

    async def is_signed_in(self) -> bool:
        page = await self.browser.get("/connections")
        return page.url.path == "/connections"

    async def is_connected(self) -> bool:
        connection = await get_oauth_manager().connection(self._redis, self.id, PROVIDER)
        return connection.status is not Status.NOT_CONNECTED

    async def leave(self) -> None:
        await self.browser.post("/signout", headers={"Origin": self._site})
        await self.browser.aclose()


@dataclass
class Attacks:
    """The three attacks on the site at the origin ``site``, and the last outcome of each."""

    site: str
    redis: RedisClient
    http: httpx.AsyncClient
    grants: Grants  # of the stand-ins
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    async def play(self, name: str) -> bool:
        """Play one, and keep its outcome; false if there is no such attack."""
        acts: dict[str, Callable[[Visitor, Visitor], Awaitable[Outcome]]] = {
            "stranger": self._stranger,
            "forwarded": self._forwarded,
            "planted": self._planted,
        }
        if name not in acts:
            return False
        mallory, vera = (
            Visitor(person, self.site, self.redis, self.http) for person in ("Mallory", "Vera")
        )
        try:
            self.outcomes[name] = await acts[name](mallory, vera)
        except (NotPlayed, StoreUnavailable, httpx.HTTPError) as why:
            said = f"{why}" if isinstance(why, NotPlayed) else "something did not answer"
            told = f"The attack could not be played: {said}. End the trouble, and try again."
            self.outcomes[name] = Outcome((), told, None)
        finally:
            await self._clear(mallory, vera)
        return True

    async def _clear(self, *people: Visitor) -> None:
        for person in people:
            try:
                await person.leave()
            except httpx.HTTPError:
                continue  # its session runs out

    async def _stranger(self, mallory: Visitor, vera: Visitor) -> Outcome:
        """Mallory's own link, for Vera to connect her account to him."""
        said = await vera.try_link_of(mallory)
        return await _judged(
            mallory,
            vera,
            "Mallory asked Stargazer for a link, and sent it to Vera.",
            "She opened it. She pressed “Yes, I asked for this” in spite of the warning.",
            f"She sent the page's code from her chat. Stargazer answered: “{said}”",
            held="Vera's GitHub did not reach Mallory: the code has to come from "
            "the chat of the person who asked for the link.",
        )

    async def _forwarded(self, mallory: Visitor, vera: Visitor) -> Outcome:
        """Vera's link, in Mallory's hands, for him to become her."""
        said = await mallory.try_link_of(vera)
        return await _judged(
            mallory,
            vera,
            "Vera asked Stargazer for a link, and forwarded it. Mallory opened it before her.",
            "He pressed “Yes, I asked for this”, and the page showed him a code.",
            f"He sent the code from his own chat. Stargazer answered: “{said}”",
            held="Mallory is not signed in as Vera: only a message from her chat opens that page.",
        )

    async def _planted(self, mallory: Visitor, vera: Visitor) -> Outcome:
        """Mallory's account, for Vera to use as if it were hers."""
        before = set(self.grants.grants)
        address = await _allow(mallory, await mallory.sign_in(f"connect {PROVIDER}"))
        await vera.sign_in("manage")
        seen = await vera.browser.get(address)
        for grant in set(self.grants.grants) - before:
            self.grants.end_grant(grant)  # the list of apps is to be as it was
        heading = _first(re.compile(r"<h1[^>]*>(.*?)</h1>", re.S), seen, "the page had no heading")
        return await _judged(
            mallory,
            vera,
            "Mallory signed in, began to connect GitHub, and allowed access to his own account.",
            "He sent the address that leads back from GitHub to Vera, who was signed in.",
            f"She opened it. The site answered: “{_plain(heading)}”",
            held="Mallory's account was not planted on Vera: an answer of GitHub "
            "counts only in the browser in which the connecting began.",
            signed_in=True,
        )


async def _allow(mallory: Visitor, leaving: httpx.Response) -> str:
    """Allow access to Mallory's account; returns the address that leads back."""
    asked = _first(_LEAVING, leaving, "the site did not lead to GitHub")
    form = {"account": _ACCOUNT, "decision": "allow"}
    decided = await mallory.browser.post(html.unescape(asked), data=form, follow_redirects=False)
    if decided.status_code != 303:
        raise NotPlayed("GitHub did not take the answer")
    return decided.headers["location"]


def _first(pattern: re.Pattern[str], page: httpx.Response, missing: str) -> str:
    """Find the pattern's group on a page.  Raises ``NotPlayed``."""
    found = pattern.search(page.text)
    if not found:
        raise NotPlayed(missing)
    return found[1]


def _plain(markup: str) -> str:
    return html.unescape(" ".join(_TAG.sub("", markup).split()))


async def _judged(
    mallory: Visitor, vera: Visitor, *lines: str, held: str, signed_in: bool = False
) -> Outcome:
    """Ask the store and the site what the attack has won, whatever they answered before."""
    won = [who.id for who in (mallory, vera) if await who.is_connected()]
    if not signed_in:
        won += [who.id for who in (mallory, vera) if await who.is_signed_in()]
    if won:
        return Outcome(lines, "The attack got through: please tell the makers.", False)
    return Outcome(lines, held, True)
