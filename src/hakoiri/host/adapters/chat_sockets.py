"""A proxy socket for each chat turn: chats have no container, but the same way out as one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from hakoiri.host.containers.ports import ContainersError, ProxyControl
from hakoiri.host.conversations.model import Conversation
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.tracing.spans import carried
from hakoiri.wire.agent import PROXY_SOCKET_NAME
from hakoiri.wire.policy import Policy

GENERATION: Final = 1
"""A chat's socket lives for one turn, so there is never a second generation of it."""

PolicyOf = Callable[[Conversation], Awaitable[Policy]]


class ChatSockets:
    """Opens, binds and closes the sockets. The conversation is the identity, its policy counts."""

    def __init__(self, *, proxy: ProxyControl, policy_of: PolicyOf) -> None:
        """`policy_of` gives the policy that counts for a conversation now."""
        self._proxy = proxy
        self._policy_of = policy_of

    @asynccontextmanager
    async def socket_for(self, conversation: Conversation) -> AsyncIterator[Path]:
        """Yield the path of a bound socket; raise `ChatModelError` if there can be none."""
        name = f"chat-{conversation.id}"
        policy = await self._policy_of(conversation)
        try:
            yield await self._bound(name, conversation, policy) / PROXY_SOCKET_NAME
        finally:
            # a chat that is interrupted or refused must not leave its socket open
            with anyio.CancelScope(shield=True):
                await self._close(name)

    async def _bound(self, name: str, conversation: Conversation, policy: Policy) -> Path:
        try:
            with anyio.CancelScope(shield=True):  # opened after the close, it would stay open
                directory = await self._proxy.open_socket(name)
            await self._proxy.bind(
                name,
                workspace_id=conversation.id,
                tenant=conversation.tenant,
                generation=GENERATION,
                policy=policy,
                traceparent=carried(),
            )
        except ContainersError as error:
            raise ChatModelError(f"the credential proxy refused the chat: {error}") from error
        return directory

    async def _close(self, name: str) -> None:
        try:
            await self._proxy.close_socket(name)
        except ContainersError:
            return  # the proxy is away, and its sockets with it
