"""The demo's bot: what a bot's author writes against the library, and nothing of the site.

It sends people to our landing page and never straight to a provider: a link to
a provider can be forwarded, and whoever opens it is not asked who they are.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webui.labels import clean_label
from webui.oauth_manager import (
    LINK_CODE_TTL,
    Connection,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthProvider,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    StoreUnavailable,
    get_oauth_manager,
)

from .whoami import Caller, whoami

NAME = "Stargazer"

# A code, or what somebody made of one.  No command of six letters is without a vowel or has a
# digit, so none is taken for a code.
_CODE = re.compile(r"(?=.*\d|[^AEIOU]*$)[A-Z0-9]{6}")
_WORD = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class Reply:
    """One message of the bot, with at most one link."""

    text: str
    url: str = field(default="", repr=False)
    label: str = ""


async def answer(caller: Caller, text: str) -> Reply:
    """The reply to whatever a person sent."""
    verb, rest = _read(text)
    command = COMMANDS.get(verb)
    if command is None:
        return Reply("I did not understand that. Send help to see what I can do.")
    try:
        return await command(caller, rest)
    except OAuthNotConnected as error:
        return await _offer_again(caller, error)
    except StoreUnavailable:
        return Reply("Something on our side does not answer. Try again in a moment.")
    except OAuthUnavailable as trouble:
        return Reply(
            f"{_label(trouble.provider)} does not answer right now. "
            "Your connection is kept; try again in a few minutes."
        )
    except OAuthMisconfigured as fault:
        return Reply(
            f"{_label(fault.provider)} is not set up correctly here. "
            "There is nothing you can do about it; whoever runs me has to."
        )


def _read(text: str) -> tuple[str, str]:
    """The command and what follows it; a code alone is a command too."""
    if _CODE.fullmatch("".join(text.upper().split())):
        return "confirm", text
    verb, *rest = _WORD.findall(text.lower()) or [""]
    return verb, " ".join(rest)


async def explain(_: Caller, __: str) -> Reply:
    services = ", ".join(get_oauth_manager().list_configured_providers())
    return Reply(
        "• connect github: a link to connect GitHub\n"
        "• KT4 9WX: the code that a page of mine shows you\n"
        "• whoami github: I use the connection and ask GitHub who you are\n"
        "• list: what is connected\n"
        "• disconnect github: my access ends\n"
        "• connect: a link to your connections page\n"
        f"It works with {services}."
    )


async def connect(caller: Caller, rest: str) -> Reply:
    if not rest:
        return await _offer(caller, None, "Here is your connections page.")
    provider = _provider(rest)
    if provider is None:
        return _which("connect")
    manager = get_oauth_manager()
    connection = await manager.connection(caller.user_id, provider.name, caller.redis)
    if connection.status is Status.CONNECTED:
        return Reply(
            f"{provider.label} is already connected{_as_account(connection)}. "
            f"To connect another account, send disconnect {provider.name} first."
        )
    purpose = provider.purpose.removeprefix("Lets {bot} ").rstrip(".")
    return await _offer(caller, provider, f"Connect {provider.label} so I can {purpose}.")


async def confirm(caller: Caller, code: str) -> Reply:
    """The code that a browser shows; it counts only for the person it was made for."""
    left = await get_oauth_manager().proofs.confirm(caller.redis, caller.user_id, code)
    if left is None:
        return Reply("That matches. Go back to your browser to continue.")
    if left:
        tries = "1 try" if left == 1 else f"{left} tries"
        return Reply(f"That code does not match. Check the page and send it again ({tries} left).")
    return Reply(
        "That code does not match, and no page is waiting for a code of yours. "
        "Send connect and the name of a service for a new link."
    )


async def use(caller: Caller, rest: str) -> Reply:
    provider = _provider(rest)
    return Reply(await whoami(caller, provider)) if provider else _which("whoami")


async def show(caller: Caller, _: str) -> Reply:
    rows = await get_oauth_manager().connections(caller.user_id, caller.redis)
    lines = [f"{_label(row.provider)}: {_STANDING[row.status]}{_as_account(row)}" for row in rows]
    return Reply("\n".join(lines))


async def disconnect(caller: Caller, rest: str) -> Reply:
    provider = _provider(rest)
    if provider is None:
        return _which("disconnect")
    result = await get_oauth_manager().delete_token(caller.redis, caller.user_id, provider.name)
    text = _ENDED[result.at_provider].format(provider=provider.label)
    if result.at_provider in (RevokeOutcome.UNCONFIRMED, RevokeOutcome.UNSUPPORTED):
        return Reply(text, provider.own_manage_url, f"Open {provider.manage_label}")
    return Reply(text)


COMMANDS: dict[str, Callable[[Caller, str], Awaitable[Reply]]] = {
    "help": explain,
    "connect": connect,
    "confirm": confirm,
    "whoami": use,
    "list": show,
    "disconnect": disconnect,
}

_STANDING = {
    Status.NOT_CONNECTED: "not connected",
    Status.CONNECTED: "connected",
    Status.RECONNECT_NEEDED: "needs reconnecting",
    Status.UNREADABLE: "cannot be read",
}

_ENDED = {
    RevokeOutcome.REVOKED: "{provider} is disconnected. {provider} has cancelled my access too.",
    RevokeOutcome.UNCONFIRMED: "I have deleted my access to {provider}. {provider} did not "
    f"confirm, so it may still list {NAME}. I cannot use that entry any more.",
    RevokeOutcome.UNSUPPORTED: "I have deleted my access. {provider} keeps its own list of apps; "
    f"you can take {NAME} off it there.",
    RevokeOutcome.NOTHING: "{provider} was already disconnected.",
}


async def _offer(caller: Caller, provider: OAuthProvider | None, why: str) -> Reply:
    """A link to our landing page, for this person alone."""
    manager = get_oauth_manager()
    name = provider.name if provider else ""
    code = await manager.create_link_code(caller.redis, caller.user_id, provider=name)
    end = datetime.fromtimestamp(time.time() + LINK_CODE_TTL, UTC).astimezone()
    return Reply(
        f"{why} This link is only for you and works once, until {end:%H:%M}. Do not forward it.",
        manager.landing_url(code),
        f"Connect {provider.label}" if provider else "Open my connections",
    )


async def _offer_again(caller: Caller, error: OAuthNotConnected) -> Reply:
    """Any tool may fail for want of a connection; the answer is always a link."""
    manager = get_oauth_manager()
    known = await manager.connection(caller.user_id, error.provider, caller.redis)
    provider = manager.providers[error.provider]
    why = f"{provider.label} is not connected, so I could not do that. Here is a link."
    if known.status is Status.RECONNECT_NEEDED:
        why = f"{provider.label} needs reconnecting, so I could not do that. Here is a new link."
    return await _offer(caller, provider, why)


def _provider(text: str) -> OAuthProvider | None:
    """The first service that the words name."""
    manager = get_oauth_manager()
    names = manager.list_configured_providers()
    return next((manager.providers[word] for word in text.split() if word in names), None)


def _which(verb: str) -> Reply:
    names = get_oauth_manager().list_configured_providers()
    return Reply("\n".join(["Which service? Send one of these:", *(f"{verb} {n}" for n in names)]))


def _label(name: str) -> str:
    return get_oauth_manager().providers[name].label


def _as_account(connection: Connection) -> str:
    label = clean_label(connection.profile.account.label)
    return f" as {label}" if label and connection.status is Status.CONNECTED else ""
