"""Codes in a person's messages, told apart from words, since a wrong one costs a try."""

from __future__ import annotations

import re

from webui.oauth_manager import StoreUnavailable, check_user_id, get_oauth_manager
from webui.oauth_manager.links import CODE_ALPHABET, CODE_LENGTH

from .tool import ChatContext

_HALF = CODE_LENGTH // 2
# In two parts, like on pages: with a digit, or without a vowel, and so no two words.
_IN_PARTS = re.compile(rf"(?=.*\d|[^AEIOU]*$)[A-Z0-9]{{{_HALF}}}[\s-]+[A-Z0-9]{{{_HALF}}}")
_IN_ONE = re.compile(f"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}")


async def sent_code(ctx: ChatContext, text: str) -> str:
    """Return the code that a message consists of, for ``connect_service(ctx, "confirm")``.

    ``""`` if it does not look like one, if a page waits for none of this person's, or
    if others can read along.  If Redis is unavailable, it counts as one:
    ``connect_service`` then says so.
    """
    typed = text.strip().upper()
    looks_like_one = _IN_PARTS.fullmatch(typed) or _IN_ONE.fullmatch(typed)
    if not looks_like_one or not getattr(ctx, "is_private", True):
        return ""
    try:
        user_id = check_user_id(ctx.user_id)
        is_waiting = await get_oauth_manager().proofs.is_waiting(ctx.redis, user_id)
    except StoreUnavailable:
        return typed
    except ValueError:
        return ""
    return typed if is_waiting else ""
