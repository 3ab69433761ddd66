"""The bot's side: the tool ``connect_service``, and the words for notices.

Everything returned is plain text for the private chat of one person.  It may
hold a name from a provider: send it with mentions and markup switched off.  A
link is a line of its own, the last one; :func:`split_link` takes it off.
"""

from webui.chat.phrases import for_model, split_link

from .codes import sent_code
from .description import CONNECT_SERVICE_TOOL, ModelAction, ToolFormat, connect_service_tool
from .model import ModelAnswer, answer_model
from .notices import notice_text
from .tool import ACTIONS, ChatContext, connect_service

__all__ = [
    "ACTIONS",
    "CONNECT_SERVICE_TOOL",
    "ChatContext",
    "ModelAction",
    "ModelAnswer",
    "ToolFormat",
    "answer_model",
    "connect_service",
    "connect_service_tool",
    "for_model",
    "notice_text",
    "sent_code",
    "split_link",
]
