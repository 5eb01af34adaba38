"""A proxy socket for each chat turn: chats have no container, but the same way out as one."""

import asyncio
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

PREFIX: Final = "chat-"
"""What the names of chats' sockets begin with, and of no container's."""

PolicyOf = Callable[[Conversation], Awaitable[Policy]]


class ChatSockets:
    """Opens, binds and closes the sockets. The conversation is the identity, its policy counts."""

    def __init__(self, *, proxy: ProxyControl, policy_of: PolicyOf) -> None:
        """`policy_of` gives the policy that counts for a conversation now."""
        self._proxy = proxy
        self._policy_of = policy_of
        self._in_use: set[str] = set()
        self._closing = asyncio.Lock()

    @asynccontextmanager
    async def socket_for(self, conversation: Conversation) -> AsyncIterator[Path]:
        """Yield the path of a bound socket; raise `ChatModelError` if there can be none."""
        name = f"{PREFIX}{conversation.id}"
        policy = await self._policy_of(conversation)
        async with self._closing:  # one that is just being closed is opened anew afterwards
            self._in_use.add(name)
        try:
            yield await self._bound(name, conversation, policy) / PROXY_SOCKET_NAME
        finally:
            # a chat that is interrupted or refused must not leave its socket open
            with anyio.CancelScope(shield=True):
                await self._close(name)
            self._in_use.discard(name)

    async def close_left_over(self) -> int:
        """Close the sockets that no chat turn of this server uses; return how many there were.

        A server that is killed leaves those of its turns open, and bound, at a proxy that outlives
        it; so does a proxy that did not answer when one was to be closed. Raises
        `ProxyControlError`.
        """
        found = [name for name in await self._proxy.open_sockets() if name.startswith(PREFIX)]
        closed = 0
        for name in found:
            async with self._closing:
                if name not in self._in_use:
                    await self._proxy.close_socket(name)
                    closed += 1
        return closed

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
