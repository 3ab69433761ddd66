"""The demo's bot: an author's code around ``connect_service`` and a tool of their own.

It sends people to our landing page and never straight to a provider: it says what will
be requested, and proves the right person first.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from webui.chat import ACTIONS, connect_service, notice_text, split_link
from webui.oauth_manager import (
    Notice,
    OAuthAmbiguous,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthProvider,
    OAuthUnavailable,
    Status,
    StoreUnavailable,
    get_oauth_manager,
)
from webui.oauth_manager.storage.calls import RedisClient

from .whoami import Caller, whoami, write_note

NAME = "Stargazer"

# A code, or a mistyped one.  No command of six letters is without a vowel or has a digit, so
# none is taken for a code.
_CODE = re.compile(r"(?=.*\d|[^AEIOU]*$)[A-Z0-9]{6}")
_WORD = re.compile(r"[a-z0-9_-]+")
_FILLERS = {"account", "now", "please", "thanks"}


_TOOLS: dict[str, Callable[[Caller, OAuthProvider], Awaitable[str]]] = {
    "note": write_note,
    "whoami": whoami,
}


@dataclass(frozen=True)
class Reply:
    """One message of the bot, with at most one link."""

    text: str
    url: str = field(default="", repr=False)
    label: str = ""


async def answer(caller: Caller, text: str) -> Reply:
    """Reply to a person's message."""
    action, rest = _read(text)
    if action == "confirm":
        return Reply(await connect_service(caller, action, code=rest))
    provider = _named_in(rest)
    behind = rest.removeprefix(provider.name) if provider else ""
    if provider and behind == rest:  # "my github"
        rest, behind = provider.name, ""
    if action in ACTIONS:
        return _reply(await connect_service(caller, action, rest), provider)
    if action in _TOOLS:
        account = behind.removeprefix(" as").strip()
        return await _use(replace(caller, account=account), provider, _TOOLS[action])
    if action == "help":
        return Reply(_help())
    return Reply("I did not understand that. Send help to see what I can do.")


async def told(redis: RedisClient, notice: Notice) -> Reply:
    """Put a notice into a message.  Raises ``StoreUnavailable``."""
    manager = get_oauth_manager()
    return _reply(await notice_text(manager, redis, notice), manager.providers.get(notice.provider))


async def chips(redis: RedisClient, person: str) -> list[str]:
    """List messages that make sense to send now; never a code, which only its page shows."""
    manager, general = get_oauth_manager(), ["list", "help"]
    try:
        mine = await manager.connections(redis, person)
    except StoreUnavailable:
        return general
    mine.sort(key=lambda each: each.provider != "github")  # the guide begins with it
    there = [each.provider for each in mine if each.status is Status.CONNECTED][:1]
    others = [each.provider for each in mine if each.status is not Status.CONNECTED][:1]
    used = [f"{verb} {name}" for name in there for verb in ("whoami", "disconnect")]
    return [*used, *(f"connect {name}" for name in others), *general]


def _read(text: str) -> tuple[str, str]:
    """Split a message into the command and its arguments; a code alone is a command too."""
    if _CODE.fullmatch("".join(text.upper().split())):
        return "confirm", text
    # The site suggests the question in words.
    verb, *rest = _WORD.findall(text.lower().replace("who am i", "whoami")) or [""]
    return verb, " ".join(word for word in rest if word not in _FILLERS)


def _named_in(words: str) -> OAuthProvider | None:
    """Find the first service that the words name."""
    known = get_oauth_manager().providers
    return next((known[word] for word in words.split() if word in known), None)


def _reply(said: str, provider: OAuthProvider | None) -> Reply:
    """Make a reply; the link of a text becomes a button."""
    text, url = split_link(said)
    if not url:
        return Reply(text)
    if provider is None:
        return Reply(text, url, "Open my connections")
    is_ours = url.startswith(get_oauth_manager().base_url)
    return Reply(text, url, f"Connect {provider.label}" if is_ours else f"Look at {provider.label}")


async def _use(
    caller: Caller,
    provider: OAuthProvider | None,
    tool: Callable[[Caller, OAuthProvider], Awaitable[str]],
) -> Reply:
    """Run a tool that needs access: any obstacle becomes a sentence, or a link."""
    if provider is None:
        # Lists the services, like every action that needs one.
        return Reply(await connect_service(caller, "status"))
    try:
        return Reply(await tool(caller, provider))
    except OAuthAmbiguous as error:
        return Reply(f"{error} Name it behind the service: whoami {provider.name} work.")
    except OAuthNotConnected as error:
        if error.missing_scopes:
            wanted = ", ".join(error.missing_scopes)
            said = f"For that {provider.label} wants more access from you: {wanted}."
            return Reply(said, error.connect_url, f"Connect {provider.label}")
        meant = f"{provider.name} as {error.account}" if error.account else provider.name
        offer = await connect_service(caller, "connect", meant)
        return _reply(f"I cannot ask {provider.label} who you are. {offer}", provider)
    except StoreUnavailable:
        return Reply("Part of our system is not answering. Try again in a moment.")
    except OAuthUnavailable:
        return Reply(
            f"{provider.label} is not answering. "
            "Your connection is safe. Try again in a few minutes."
        )
    except OAuthMisconfigured:
        return Reply(
            f"Our set-up for {provider.label} has a fault, and we have to fix it. "
            "You do not need to do anything."
        )


def _help() -> str:
    manager = get_oauth_manager()
    services = ", ".join(manager.list_configured_providers())
    servers = [name for name, known in manager.providers.items() if known.resource]
    notes = "".join(f"• note {name}: I write a note there\n" for name in servers)
    return (
        "• connect github: a link to connect GitHub\n"
        "• KT4 9WX: the code that a page of mine shows you\n"
        "• whoami github: I use the connection and ask GitHub who you are\n"
        f"{notes}"
        "• list: what is connected\n"
        "• status github: how one connection stands\n"
        "• check github: I ask GitHub whether my access works\n"
        "• disconnect github: my access ends\n"
        "• manage: a link to your connections page\n"
        f"It works with {services}."
    )
