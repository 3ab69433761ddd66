"""Proofs over the API: the person sent the code of their browser to the bot, which passes it on."""

from __future__ import annotations

from typing import Any

from webui.api.call import Call
from webui.api.problems import Problem


async def confirm(call: Call) -> dict[str, Any]:
    """``POST /api/v1/proofs``: a code that the person sent; their browser goes on if it is right.

    Tries are counted for each person, whichever key passes the code on.
    """
    user_id, code = call.user_id, call.given["code"]
    await call.site.limiter.hit("guess", user_id)
    proofs = call.manager.proofs
    meant = await proofs.meant(call.redis, user_id, code)
    if meant is not None and not call.key.allows_provider(meant.provider):
        raise Problem("forbidden", "This key is for other services.")
    left = await proofs.confirm(call.redis, user_id, code, by_key=True)
    if left is None:
        provider = meant.provider if meant else ""
        return {"outcome": "matches", "provider": provider or None, "tries_left": None}
    outcome = "no_match" if left else "no_code"
    return {"outcome": outcome, "provider": None, "tries_left": left}
