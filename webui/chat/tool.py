"""``connect_service``: every request about connections in chat, and the bot's answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from webui.chat.phrases import (
    abilities,
    account_name,
    details,
    lost,
    moment,
    named,
    names_of,
    say,
    span,
    standing,
    trouble,
)
from webui.oauth_manager import (
    Connection,
    Disconnected,
    Ending,
    Event,
    Health,
    OAuthAmbiguous,
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    StoreUnavailable,
    ValueNeeded,
    check_user_id,
    get_oauth_manager,
)
from webui.oauth_manager.links import as_typed
from webui.oauth_manager.storage import is_account
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import Struct, replace
from webui.rate_limits import Limiter, TooMany
from webui.text import words
from webui.text.labels import is_web_address
from webui.text.receipts import receipt
from webui.text.times import exact

from .links import new_link, open_link, scopes_to_ask

_AS = re.compile(r"(?<!\S)as(?!\S)", re.IGNORECASE)  # a word; many blanks cost no more
_IN_WORDS = re.compile(r"\((.*)\)", re.DOTALL)  # of an account, in every answer


class ChatContext(Protocol):
    """The speaker, and an asyncio Redis client, like for ``require_oauth_token``.

    A chat that others can read has ``is_private = False`` as well, or a ``guild_id`` that
    is not empty; if both are there, ``is_private`` decides.
    """

    @property
    def user_id(self) -> str: ...

    @property
    def redis(self) -> Any: ...


async def connect_service(
    ctx: ChatContext,
    action: str,
    provider: str | None = "",
    code: str = "",
    account: str | None = None,
) -> str:
    """Carry out the person's request and say the outcome; raises none of the library's errors.

    ``action`` is one of ``ACTIONS``.  Nothing is done in a chat that others can read.
    ``account`` names one of the person's accounts of ``provider``; they may also say it
    behind the service: "github as work".
    ``code`` is for ``confirm`` alone, and comes from a message that the person wrote
    themselves: never from a model, which may pass on a stranger's text.
    """
    known = ACTIONS.get(action) if isinstance(action, str) else None  # a model sends anything
    if known is None:
        return say("unknown_action", actions=", ".join(ACTIONS))
    if not _is_private(ctx):
        return say("private_only")
    if ctx.redis is None:
        return say("store_away")
    try:
        talk = Talk(get_oauth_manager(), check_user_id(ctx.user_id), ctx.redis)
    except ValueError:
        return say("no_person")
    about = code if action == "confirm" else provider
    said = about.strip() if isinstance(about, str) else ""
    if account and isinstance(account, str) and said and action != "confirm":
        said = say("as", name=said, account=account.strip())
    return await _answered(talk, action, known(talk, said))


async def _answered(talk: Talk, action: str, work: Awaitable[str]) -> str:
    """Return the action's answer, or the sentence for the error that stopped it."""
    try:
        return await work
    except StoreUnavailable as error:
        # The answer may have been lost after the deed.
        return say("not_known" if action in ("confirm", "disconnect") else error.outcome)
    except OAuthAmbiguous as error:
        some = ", ".join(error.accounts)
        names = {"name": error.provider, "first": next(iter(error.accounts), "")}
        return say("which_account", provider=talk.label(error.provider), accounts=some, **names)
    except (OAuthUnavailable, OAuthMisconfigured) as error:
        key = _STOPPED.get(error.outcome, error.outcome)
        if key == "misconfigured" and error.provider not in talk.manager.providers:
            key = "set_up"
        return say(key, provider=talk.label(error.provider), name=error.provider)
    except TooMany as error:
        return say("too_many", span=span(error.retry_after + 59))


def _is_private(ctx: ChatContext) -> bool:
    said = getattr(ctx, "is_private", None)
    return bool(said) if said is not None else not getattr(ctx, "guild_id", None)


class Meant(Struct, frozen=True):
    """The service that a person named; ``account`` is ``""`` if they named none of it.

    ``value`` is what its address needs to know, if they said that.
    """

    provider: OAuthProvider
    account: str = ""
    value: str = ""

    @property
    def words(self) -> dict[str, str]:
        return names_of(self.provider, self.account)


class Talk(Struct, frozen=True):
    """One request of one person."""

    manager: OAuthManager
    user_id: str
    redis: RedisClient

    @property
    def now(self) -> float:
        return self.manager.clock.now()

    def services(self) -> str:
        return ", ".join(self.manager.list_configured_providers())

    def label(self, provider: str) -> str:
        known = self.manager.providers.get(provider)
        return known.label if known else provider

    def meant(self, said: str, *, takes_value: bool = False) -> Meant | None:
        """Find what a person means: "github", "GitHub work", "github as work", "GitHub (Work)".

        With ``takes_value`` also "shopify a-shop", if the address needs that.
        """
        found = self._found(said)
        if found is None:
            return None
        length, provider = found
        value, *named = _AS.split(said[length:].strip(), maxsplit=1)
        account = "".join(named).strip()
        if named and not account:
            return None
        if not named and (in_words := _IN_WORDS.fullmatch(value)):
            value, account = "", in_words[1]
        if value.strip() and not (takes_value and len(provider.ask) == 1):
            account, value = value.strip(), ""
        is_known = not account or is_account(account)
        return Meant(provider, account, value.strip()) if is_known else None

    def _found(self, said: str) -> tuple[int, OAuthProvider] | None:
        """Find the service that a text begins with, and the length of its name there."""
        found = [
            (len(name), provider)
            for provider in self.manager.providers.values()
            for name in (provider.name, provider.label)
            if f"{said} ".casefold().startswith(f"{name} ".casefold())
        ]
        return max(found, key=lambda pair: pair[0], default=None)

    def which(self, name: str) -> str:
        """Ask for the service, or for the account of one, that a person did not name well."""
        if not self.services():
            return say("nothing_set_up")
        if found := self._found(name):
            return say("account_name", name=found[1].name)
        return say("unknown" if name else "which", services=self.services())

    async def standing(self, meant: Meant) -> Connection:
        place = self.redis, self.user_id, meant.provider.name
        known = await self.manager.connection(*place, account=meant.account or None)
        return known if known.name or not meant.account else replace(known, name=meant.account)

    async def is_full(self, meant: Meant, known: Connection) -> bool:
        """Return whether an account that is not there yet is one more than there may be."""
        if not meant.account or known.status is not Status.NOT_CONNECTED:
            return False
        provider = meant.provider
        rows = await self.manager.connections(self.redis, self.user_id)
        there = [row for row in rows if row.status is not Status.NOT_CONNECTED]
        return sum(row.provider == provider.name for row in there) >= provider.max_accounts

    async def limit(self, name: str) -> None:
        await Limiter(self.redis, self.manager.clock).hit(name, self.user_id)


async def _connect(talk: Talk, name: str) -> str:
    """Give a link; without a service it leads to all of them, as the sign-in page promises."""
    if not name:
        return await _manage(talk, name)
    meant = talk.meant(name, takes_value=True)
    if meant is None:
        return talk.which(name)
    provider = meant.provider
    if not provider.is_configured:
        return say("not_set_up", provider=provider.label)
    connection = await talk.standing(meant)
    place = talk.manager, talk.redis, talk.user_id, provider.name
    waiting = await open_link(*place, connection.name)
    wanted = [*connection.profile.requested_scopes, *(waiting.scopes if waiting else ())]
    missing = provider.missing_scopes([*wanted, *provider.needed_scopes], connection.scopes)
    if said := await _no_link(talk, meant, connection, missing):
        return said
    await talk.limit("link")
    scopes = scopes_to_ask(provider, connection, waiting)
    asked = {provider.ask[0].name: meant.value} if meant.value else connection.asked
    try:
        link = await new_link(*place, scopes, account=connection.name, asked=asked)
    except ValueNeeded:
        return say("value_needed", provider=provider.label, **_example(provider))
    why = _why(provider, connection, missing, talk.now)
    more = say("value_asked", name=provider.name, **_example(provider)) if provider.ask else ""
    return link.after(" ".join(filter(None, [why, "" if asked else more])))


async def _no_link(
    talk: Talk, meant: Meant, connection: Connection, missing: tuple[str, ...]
) -> str:
    """Say why a link would be of no use, ``""`` if it is of use."""
    is_well = connection.status is Status.CONNECTED and not connection.profile.trouble
    if is_well and not missing and not connection.ends_soon(talk.now):
        label = connection.profile.account.label
        return named("chat.already", meant.provider, label, connection.name)
    is_full = await talk.is_full(meant, connection)
    return say("full", provider=meant.provider.label) if is_full else ""


def _example(provider: OAuthProvider) -> dict[str, str]:
    first = provider.ask[0]
    return {"what": first.label, "example": first.example or ", ".join(first.choices)}


def _why(
    provider: OAuthProvider, connection: Connection, missing: tuple[str, ...], now: float
) -> str:
    """Say the purpose of a link."""
    label = names_of(provider, connection.name)["provider"]
    if connection.status is Status.CONNECTED and not missing:
        if connection.profile.is_stuck:
            return say("offer_stuck", provider=label)
        if not connection.profile.trouble:
            return say("offer_renewal", provider=label, when=moment(connection.expires_at, now))
        return say("offer_troubled", trouble=trouble(provider, connection))
    if connection.status is Status.CONNECTED:
        without = say(
            "without", provider=label, missing=abilities(provider, missing, allowed=False)
        )
        return " ".join(filter(None, [without, lost(connection), say("offer_more")]))
    if connection.status is Status.RECONNECT_NEEDED:
        return say("offer_again", provider=label)
    if connection.status is Status.UNREADABLE:
        return say("offer_instead", provider=label)
    lead, _, purpose = provider.purpose.partition("{bot} ")
    if lead == "Lets " and purpose:
        return say("offer", provider=label, purpose=purpose.rstrip("."))
    return say("offer_plain", provider=label)


async def _confirm(talk: Talk, code: str) -> str:
    if not as_typed(code):
        return say("empty_code")
    await talk.limit("guess")
    left = await talk.manager.proofs.confirm(talk.redis, talk.user_id, code)
    if left is None:
        return say("matches")
    if left == 0:
        return say("no_code")
    return say("no_match_last" if left == 1 else "no_match", left=left)


async def _list(talk: Talk, _: str) -> str:
    if not talk.services():
        return say("nothing_set_up")
    rows = await talk.manager.connections(talk.redis, talk.user_id)
    held = [row for row in rows if row.status is not Status.NOT_CONNECTED]
    names = {row.provider for row in held}
    free = ", ".join(n for n in talk.manager.list_configured_providers() if n not in names)
    lines = [standing(talk.manager.providers[row.provider], row) for row in held]
    if free:
        lines.append(say("others" if held else "none", services=free))
    return "\n".join(lines)


async def _status(talk: Talk, name: str) -> str:
    meant = talk.meant(name)
    if meant is None:
        return talk.which(name)
    return details(meant.provider, await talk.standing(meant), talk.now)


async def _check(talk: Talk, name: str) -> str:
    meant = talk.meant(name)
    if meant is None:
        return talk.which(name)
    await talk.limit("check")
    place = talk.redis, talk.user_id, meant.provider.name
    health = await talk.manager.check(*place, account=meant.account or None)
    if health is Health.PROVIDER_TROUBLE:
        return say("trouble", **meant.words)
    if health in (Health.WORKING, Health.MISCONFIGURED, Health.UNCHECKED):
        return say(health.value, **meant.words)
    connection = await talk.standing(meant)
    if health in (Health.REFUSED, Health.REJECTED):
        return trouble(meant.provider, connection)
    if health is Health.RECONNECT_NEEDED:
        await talk.manager.stories.told_of_end(*place, connection.slot)
    return details(meant.provider, connection, talk.now)


async def _disconnect(talk: Talk, name: str) -> str:
    meant = talk.meant(name)
    if meant is None:
        return talk.which(name)
    provider, account = meant.provider, meant.account or None
    place = talk.redis, talk.user_id, provider.name
    ending = await talk.manager.disconnect(*place, by="chat", account=account)
    known = await ending.within(talk.manager.patience)
    answer = known.at_provider if known else RevokeOutcome.UNCONFIRMED
    outcome = say(_ENDED[answer], **names_of(provider, meant.account or ending.name))
    if ending.at:
        outcome = f"{outcome}\n{_receipt(talk, provider, ending, known)}"
    url = provider.own_manage_url
    is_listed = answer in (RevokeOutcome.UNSUPPORTED, RevokeOutcome.UNCONFIRMED)
    return f"{outcome}\n{url}" if is_listed and is_web_address(url) else outcome


def _receipt(
    talk: Talk, provider: OAuthProvider, ending: Ending, known: Disconnected | None
) -> str:
    answer = known.at_provider.value if known else "asking"
    event = Event("disconnected", provider.name, "chat", ending.at, answer, slot=ending.slot)
    account = account_name(ending.account.label)
    return receipt(words.text, event, talk.user_id, provider.label, account, exact(ending.at))


async def _manage(talk: Talk, _: str) -> str:
    await talk.limit("link")
    return (await new_link(talk.manager, talk.redis, talk.user_id)).after(say("manage"))


ACTIONS: dict[str, Callable[[Talk, str], Awaitable[str]]] = {
    "connect": _connect,
    "confirm": _confirm,
    "list": _list,
    "status": _status,
    "check": _check,
    "disconnect": _disconnect,
    "manage": _manage,
}

# The chat's sentences for errors that it calls by another word.
_STOPPED = {"provider_trouble": "trouble", "not_understood": "misconfigured"}

_ENDED = {
    RevokeOutcome.REVOKED: "disconnected",
    RevokeOutcome.NOTHING: "already_disconnected",
    RevokeOutcome.ENDED: "already_ended",
    RevokeOutcome.UNSUPPORTED: "own_list",
    RevokeOutcome.UNCONFIRMED: "still_listed",
}
