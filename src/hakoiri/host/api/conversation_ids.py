"""Conversation ids in paths: what cannot be an id is answered like an id that is not there."""

import re
from typing import Annotated, Final

from fastapi import Depends

from hakoiri.host.conversations.ports import NoSuchConversationError

FORM: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _checked(conversation_id: str) -> str:
    if FORM.fullmatch(conversation_id) is None:
        raise NoSuchConversationError("there is no such conversation")
    return conversation_id


ConversationId = Annotated[str, Depends(_checked)]
"""The id in the path, for handlers."""
