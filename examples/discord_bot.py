"""A Discord bot whose people connect accounts: slash commands, codes in direct messages."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands
from redis.asyncio import Redis

from webui.chat import connect_service, notice_text, sent_code, split_link
from webui.oauth_manager import (
    OAuthManager,
    StoreUnavailable,
    init_oauth_manager,
    redis_from_url,
)

Context = commands.Context[commands.Bot]

OF_A_SERVICE = {
    "connect": "Get a link to connect a service",
    "status": "See how one connection stands",
    "check": "Ask a service whether access works",
    "disconnect": "End my access to a service",
}
OF_ALL = {
    "list": "See what is connected",
    "manage": "Get a link to your connections page",
}


@dataclass
class Caller:
    """The speaker, as Discord names them."""

    user_id: str
    redis: Redis
    is_private: bool = True


def make_bot(manager: OAuthManager, redis: Redis) -> commands.Bot:
    intents = discord.Intents(guilds=True, messages=True, message_content=True)
    bot = commands.Bot(_prefix, intents=intents)
    services = [
        app_commands.Choice(name=manager.providers[name].label, value=name)
        for name in manager.list_configured_providers()[:25]  # as many as Discord shows
    ]
    for action, description in OF_A_SERVICE.items():
        _add_of_a_service(bot, redis, action, description, services)
    for action, description in OF_ALL.items():
        _add_of_all(bot, redis, action, description)
    _add_confirm(bot, redis)

    @bot.event
    async def on_message(message: discord.Message) -> None:
        if message.author.bot:
            return
        caller = Caller(str(message.author.id), redis, message.guild is None)
        if code := await sent_code(caller, message.content):
            said = await connect_service(caller, "confirm", code=code)
            await message.channel.send(**as_message(said))
        else:
            await bot.process_commands(message)

    return bot


def _prefix(_: commands.Bot, message: discord.Message) -> str:
    return "" if message.guild is None else "!"


def _add_of_a_service(
    bot: commands.Bot,
    redis: Redis,
    action: str,
    description: str,
    services: list[app_commands.Choice[str]],
) -> None:
    @bot.hybrid_command(name=action, description=description)
    @app_commands.describe(service="Which one")
    @app_commands.choices(service=services)
    async def command(ctx: Context, *, service: str = "") -> None:
        await _answer(ctx, redis, action, provider=service)


def _add_of_all(bot: commands.Bot, redis: Redis, action: str, description: str) -> None:
    @bot.hybrid_command(name=action, description=description)
    async def command(ctx: Context) -> None:
        await _answer(ctx, redis, action)


def _add_confirm(bot: commands.Bot, redis: Redis) -> None:
    @bot.hybrid_command(name="confirm", description="Send the code that a page of ours shows you")
    @app_commands.describe(code="Such as KT4 9WX")
    async def command(ctx: Context, *, code: str) -> None:
        await _answer(ctx, redis, "confirm", code=code)


async def _answer(
    ctx: Context, redis: Redis, action: str, *, provider: str = "", code: str = ""
) -> None:
    """Only the person sees the answer to a slash command, wherever they are."""
    is_private = ctx.guild is None or ctx.interaction is not None
    await ctx.defer(ephemeral=True)
    caller = Caller(str(ctx.author.id), redis, is_private)
    said = await connect_service(caller, action, provider=provider, code=code)
    await ctx.send(**as_message(said), ephemeral=True)


def as_message(said: str) -> dict[str, Any]:
    """Text without markup and mentions; its link is a button, so that no preview is fetched."""
    text, url = split_link(said)
    message: dict[str, Any] = {
        "content": discord.utils.escape_markdown(text),
        "allowed_mentions": discord.AllowedMentions.none(),
        "suppress_embeds": True,
    }
    if url:
        message["view"] = discord.ui.View()
        message["view"].add_item(discord.ui.Button(label="Open the link", url=url))
    return message


async def speak_first(bot: commands.Bot, manager: OAuthManager, redis: Redis) -> None:
    """Tell people what happened to their connections; a notice that failed comes again."""
    async for notice in manager.notices(redis, consumer="discord-bot"):
        said = await notice_text(manager, redis, notice)
        try:
            person = await bot.fetch_user(int(notice.user_id))
            await person.send(**as_message(said))
        except (discord.Forbidden, discord.NotFound):
            pass  # takes no messages of ours, or is gone


async def keep_speaking(bot: commands.Bot, manager: OAuthManager, redis: Redis) -> None:
    while True:
        try:
            await speak_first(bot, manager, redis)
        except (StoreUnavailable, discord.DiscordException):
            await asyncio.sleep(5)


async def main() -> None:
    github = {
        "client_id": os.environ["GITHUB_CLIENT_ID"],
        "client_secret": os.environ["GITHUB_CLIENT_SECRET"],
    }
    manager = init_oauth_manager(
        os.environ["ENCRYPTION_KEY"], os.environ["BASE_URL"], {"github": github}
    )
    redis = redis_from_url(os.environ["REDIS_URL"])
    bot = make_bot(manager, redis)

    @bot.event
    async def setup_hook() -> None:
        await bot.tree.sync()  # registers the slash commands

    async with bot, asyncio.TaskGroup() as group:
        speaking = group.create_task(keep_speaking(bot, manager, redis))
        await bot.start(os.environ["DISCORD_BOT_TOKEN"])
        speaking.cancel()
    await manager.aclose()
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main())
