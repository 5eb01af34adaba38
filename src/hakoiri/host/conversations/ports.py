"""What the conversations room needs from outside: stores, containers, files, a model for chats."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.conversations.model import (
    ApiKey,
    Conversation,
    SaveMark,
    UnfinishedTurn,
    Workspace,
)
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.quota import TreeUse
from hakoiri.wire.events import ConversationEvent, EventData
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy


class ConversationsError(Exception):
    """A conversation cannot do what was asked."""


class NoSuchConversationError(ConversationsError):
    """There is no such conversation, or it is another tenant's: the caller cannot tell which."""


class TurnRunningError(ConversationsError):
    """A turn is running; wait for its end or interrupt it."""


class NoTurnRunningError(ConversationsError):
    """No turn is running."""


class TurnTakenOverError(NoTurnRunningError):
    """Somebody else has written to the turn's log since: it is not ours any more."""


class NoSuchWorkspaceError(ConversationsError):
    """There is no such workspace, or it is another tenant's: the caller cannot tell which."""


class WorkspaceOwnedError(ConversationsError):
    """The workspace is a conversation's, and goes with it."""


class NoSuchPolicyError(ConversationsError):
    """There is no policy of that name; `hakoiri policy set` makes it."""


class InvalidOptionError(ConversationsError):
    """A conversation cannot be made with these options; the message names the field."""


class ServerStoppingError(ConversationsError):
    """The server is about to stop and begins no turn."""


class ChatModelError(ConversationsError):
    """The model call of a chat failed; the message says how."""


class StoreError(ConversationsError):
    """The database does not answer."""


class ConversationStore(Protocol):
    """Conversations and their event logs. Numbers are gapless; nothing acknowledged is lost."""

    async def create(self, conversation: Conversation) -> None:
        """Store a new conversation, and its workspace if it has one."""

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        """Return it; `NoSuchConversationError` if it is not there or another tenant's."""

    async def list(self, *, tenant: str, limit: int, before: str | None) -> Sequence[Conversation]:
        """Newest first, from before the given id on."""

    async def delete(self, *, tenant: str, conversation_id: str) -> None:
        """Forget it with its events; `TurnRunningError` while a turn runs."""

    async def begin_turn(
        self, *, conversation_id: str, text: str, now: datetime
    ) -> ConversationEvent:
        """Record the user's message and that a turn runs, in one transaction.

        Raises `TurnRunningError` if one runs already.
        """

    async def append(
        self,
        *,
        conversation_id: str,
        turn: int,
        events: Sequence[EventData],
        now: datetime,
        agent_seq: int | None = None,
        follows: int | None = None,
    ) -> Sequence[ConversationEvent]:
        """Record events in order, in one transaction; a terminal event also ends the turn.

        `agent_seq` is recorded with them: up to which of its own numbers the agent was heard.
        `follows` is the number of the event that they are to follow: who runs the turn knows it,
        and who lost the turn without noticing does not.

        Raises `NoTurnRunningError` for a turn that has ended: nothing follows a last event;
        `TurnTakenOverError` if another event came in between.
        """

    async def read(
        self, *, conversation_id: str, after: int, limit: int
    ) -> Sequence[ConversationEvent]:
        """Events numbered above `after`, in order; fewer than `limit` if they are large.

        Empty only if there are none.
        """

    async def milestones(self, *, conversation_id: str, turn: int) -> Sequence[ConversationEvent]:
        """The turn's message, starts, recoveries and notices, in order, bounded."""

    async def unfinished_turns(self) -> Sequence[UnfinishedTurn]:
        """Turns that are recorded as running."""

    async def session_id(self, workspace_id: str) -> str | None:
        """The agent's session in this workspace, if there was one."""

    async def set_session_id(
        self, workspace_id: str, session_id: str | None, *, generation: int | None = None
    ) -> None:
        """Record the agent's session, or that there is none.

        With the `generation` of the container that it is in, nothing happens if there is a newer
        one, whose session it is not.
        """

    async def check(self) -> None:
        """Raise `StoreError` if the store cannot be used now."""


class WorkspaceStore(Protocol):
    """Workspaces, with or without a conversation. A conversation's is made and goes with it."""

    async def create_workspace(self, workspace: Workspace) -> None:
        """Store a new one without a conversation."""

    async def workspace(self, *, tenant: str, workspace_id: str) -> Workspace:
        """Return it; `NoSuchWorkspaceError` if it is not there or another tenant's."""

    async def find_workspace(self, workspace_id: str) -> Workspace | None:
        """Return it, whosever it is; None if there is none."""

    async def workspace_of(self, *, tenant: str, conversation_id: str) -> Workspace:
        """Return a conversation's; `NoSuchConversationError`, `NoSuchWorkspaceError` for a chat."""

    async def list_workspaces(
        self, *, tenant: str, limit: int, before: str | None
    ) -> Sequence[Workspace]:
        """Newest first, from before the given id on."""

    async def delete_workspace(self, *, tenant: str, workspace_id: str) -> None:
        """Forget one without a conversation; `WorkspaceOwnedError` for another."""

    async def save_mark(self, workspace_id: str) -> SaveMark:
        """Return what a recovery point of now belongs to; `NoSuchWorkspaceError`."""


class PolicyStore(Protocol):
    """Named policies of a tenant."""

    async def get_policy(self, *, tenant: str, name: str) -> Policy:
        """Return it; `NoSuchPolicyError`."""

    async def set_policy(self, *, tenant: str, name: str, policy: Policy) -> None:
        """Create or replace it."""

    async def delete_policy(self, *, tenant: str, name: str) -> None:
        """Forget it; nothing happens if there is none."""

    async def list_policies(self, *, tenant: str) -> dict[str, Policy]:
        """All of a tenant's policies by name."""

    async def workspaces_under(self, *, tenant: str, name: str) -> Sequence[str]:
        """Ids of the workspaces that are under the policy."""


class KeyStore(Protocol):
    """API keys; secrets are stored as hashes only."""

    async def add_key(self, key: ApiKey, *, secret_hash: bytes) -> None:
        """Store a key."""

    async def keys(self, *, tenant: str | None) -> Sequence[ApiKey]:
        """List keys, of one tenant or of all."""

    async def find_key(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key and its secret's hash."""

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke; False if there is no such key."""


class ChatModel(Protocol):
    """One model call without tools, through the proxy."""

    def answer(
        self, *, conversation: Conversation, history: Sequence[tuple[str, str]]
    ) -> AsyncIterator[EventData]:
        """Stream `text_delta`s, then `result` or `error`. History is (role, text), user first.

        Raises `ChatModelError`.
        """


class Containers(Protocol):
    """Workspaces in containers. Errors are `ContainersError`."""

    async def claim(
        self,
        *,
        workspace_id: str,
        tenant: str,
        policy: Policy,
        prepare: Callable[[ContainerDirectories], Awaitable[None]],
        runtime: Runtime,
        restores: bool,
        holder: str = ...,
        told: Callable[[LinePlace], None] | None = None,
        resumes: bool = False,
    ) -> Claim:
        """Give the workspace its live container, one that waited warm, or a new one.

        It is in use until the holder releases it. A new one may have to be waited for: `told` hears
        where in the line, and a turn that `resumes`, having had a container before, comes first.

        `prepare` fills the directories of one that is not live before a turn runs in it, and
        `restores` says whether it has anything to write; what it raises passes through, and the
        container is given up.
        """

    async def rebind(self, *, workspace_id: str, tenant: str, policy: Policy) -> None:
        """Put a live workspace under another policy; nothing happens if it is not live.

        A container that cannot be put under it is ended before the error is raised, but for
        `PolicyRefusedError`, which leaves it as it was.
        """

    def check_room(self, *, workspace_id: str, tenant: str) -> None:
        """Raise `CapacityError` if a claim would be refused now without so much as waiting."""

    async def retire(
        self,
        workspace_id: str,
        *,
        reason: str,
        container_id: str | None = None,
        unless_held_by: str | None = None,
        for_good: bool = False,
        is_replaced: bool = False,
    ) -> None:
        """Stop and remove the workspace's container; nothing happens if it is not live.

        If one is named, only that: it may have been replaced since. If `for_good`, claims that wait
        for one are ended; if it `is_replaced`, its place is kept for the workspace's next claim.
        `WorkspaceInUseError` if `unless_held_by` uses it.
        """

    async def withdraw(self, workspace_id: str, *, reason: str) -> None:
        """Do the same for a turn that never began in it, unless others need the container."""

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        """Give the live container as it is, unasked and as it is bound; None if none is live."""

    async def release(
        self, workspace_id: str, *, holder: str = ..., is_saved: bool | None = None
    ) -> None:
        """The holder (by default the turn) is done: without any the container idles.

        `is_saved` tells whether the holder has saved the files; one that is not saved stays.
        """

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        """Who uses the live container now; None if none is live."""

    async def halt(self, workspace_id: str, *, container_id: str) -> None:
        """End all that runs in a lost container; its directories stay until it is retired."""

    async def why_lost(self, container_id: str) -> str:
        """Say why a container ended, for an error message."""


class SaveReport(Protocol):
    """What one recovery point took: counts of files and bytes, and what was left out and why."""

    @property
    def recovery_point(self) -> str:
        """The id of the recovery point."""

    @property
    def uploaded(self) -> int:
        """Files stored anew."""

    @property
    def uploaded_bytes(self) -> int:
        """Their size."""

    @property
    def deleted(self) -> int:
        """Files that are no longer there."""

    @property
    def kept(self) -> int:
        """Files that had not changed."""

    @property
    def left_out(self) -> Sequence[str]:
        """Paths that could not be stored, each with the reason."""


class RestoreReport(Protocol):
    """What a recovery point brought back."""

    @property
    def session_id(self) -> str | None:
        """The agent's session whose memory came back with the files."""

    @property
    def event_number(self) -> int:
        """The event up to which they go."""


class WorkspaceFiles(Protocol):
    """Recovery points of workspaces. Errors are `FilesError`."""

    async def has_recovery_point(self, workspace_id: str) -> bool:
        """Whether there is anything to restore."""

    async def restore(
        self, *, tenant: str, workspace_id: str, tree: LiveTree
    ) -> RestoreReport | None:
        """Fill an empty tree from the newest recovery point; None if there is none yet."""

    async def save(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        event_number: int,
        tree: LiveTree,
        session_id: str | None,
        reason: PointReason,
    ) -> SaveReport:
        """Commit a recovery point of the tree."""

    async def unsaved(self, *, tenant: str, workspace_id: str, tree: LiveTree) -> list[str]:
        """Name what differs from the newest recovery point, a printable line each, bounded."""

    async def usage(self, tree: LiveTree) -> TreeUse:
        """Say how full the tree's disks are."""
