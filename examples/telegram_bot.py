"""A Telegram bot (python-telegram-bot) whose people connect accounts in their own chat."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, Update
from telegram.ext import Application, CommandHandler, ContextTypes, MessageHandler, filters

from webui.chat import connect_service, sent_code, split_link
from webui.connections import connections_from_environment
from webui.oauth_manager.storage.calls import RedisClient

ACTIONS = ["connect", "list", "status", "check", "disconnect", "manage"]


@dataclass
class Caller:
    user_id: str
    redis: RedisClient
    is_private: bool = True


def add_handlers(app: Application[Any, Any, Any, Any, Any, Any], redis: RedisClient) -> None:
    async def command(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        if (caller := caller_of(update, redis)) and update.message and update.message.text:
            action = update.message.text.split()[0][1:].partition("@")[0].lower()
            service = " ".join(context.args or [])
            await reply(update, await connect_service(caller, action, service))

    async def message(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        caller, text = caller_of(update, redis), update.message and update.message.text
        if caller and text and (code := await sent_code(caller, text)):
            await reply(update, await connect_service(caller, "confirm", code=code))

    app.add_handler(CommandHandler(ACTIONS, command, filters.UpdateType.MESSAGE))
    app.add_handler(MessageHandler(filters.ChatType.PRIVATE & filters.TEXT, message))


def caller_of(update: Update, redis: RedisClient) -> Caller | None:
    """The speaker, as Telegram names them; nobody for a channel, or a group's own voice."""
    user, chat = update.effective_user, update.effective_chat
    if user is None or chat is None or user.is_bot:
        return None
    return Caller(str(user.id), redis, chat.type == chat.PRIVATE)


async def reply(update: Update, said: str) -> None:
    """Plain text; its link is a button, and no preview is fetched."""
    text, url = split_link(said)
    button = InlineKeyboardButton("Open the link", url) if url else None
    if update.message:
        await update.message.reply_text(
            text,
            reply_markup=InlineKeyboardMarkup.from_button(button) if button else None,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )


def main() -> None:
    connections = connections_from_environment()

    async def begin(_: object) -> None:
        await connections.__aenter__()

    async def end(_: object) -> None:
        await connections.__aexit__()

    builder = Application.builder().token(os.environ["TELEGRAM_BOT_TOKEN"])
    app = builder.post_init(begin).post_shutdown(end).build()
    add_handlers(app, connections.redis)
    app.run_polling(allowed_updates=[Update.MESSAGE])


if __name__ == "__main__":
    main()
