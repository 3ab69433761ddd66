"""``answer_model``: what a model that calls ``connect_service`` may read, and what not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from webui.chat.phrases import for_model, say, split_link

from .description import ModelAction
from .tool import ChatContext, connect_service


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The text ``for_model``, and the same with its link ``for_person`` alone.

    ``for_person`` is ``""`` if there is no link; else show it to the person, past the model.
    """

    for_model: str
    for_person: str = field(default="", repr=False)


async def answer_model(
    ctx: ChatContext, action: object, provider: object = "", account: object = None
) -> ModelAnswer:
    """Do what a model asked for; nothing but the actions of ``CONNECT_SERVICE_TOOL``.

    A model may send anything, so arguments of any type are taken.
    """
    known = get_args(ModelAction)
    if action not in known:
        return ModelAnswer(say("unknown_action", actions=", ".join(known)))
    about = provider if isinstance(provider, str) else ""
    which = account if isinstance(account, str) else None
    said = await connect_service(ctx, str(action), about, account=which)
    return ModelAnswer(for_model(said), said if split_link(said)[1] else "")
