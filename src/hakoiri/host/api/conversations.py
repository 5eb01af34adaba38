"""Conversations over HTTP: made, found, spoken to, interrupted, deleted."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StringConstraints

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.conversation_ids import ConversationId
from hakoiri.host.api.events import KEEPALIVE_S, event_stream
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.model import DEFAULT_POLICY, Conversation, ConversationKind
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.messages import MESSAGE_TEXT_LIMIT_CHARS, Identifier, Message, Runtime

LIST_LIMIT: Final = 100


class NewConversation(AgentOptions):
    """What a conversation shall be; `{}` is an agent under the default policy."""

    kind: ConversationKind = ConversationKind.AGENT
    policy: Identifier = DEFAULT_POLICY
    runtime: Runtime | None = None

    def options(self) -> AgentOptions:
        """Return what the agent needs to know; unset stays unset."""
        return AgentOptions.model_validate(
            self.model_dump(exclude_unset=True, exclude={"kind", "policy", "runtime"})
        )


class NewMessage(Message):
    """What the user says."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_TEXT_LIMIT_CHARS)]


class ConversationDocument(BaseModel):
    """A conversation as it is shown. `running` while its last turn goes on."""

    id: str
    kind: ConversationKind
    workspace_id: str | None
    policy: str
    options: AgentOptions
    runtime: Runtime | None
    """The container runtime asked for; null leaves it to policy and server."""

    created_at: datetime
    turn: int
    running: bool
    last_event: int


class ConversationList(BaseModel):
    """Newest first. `next` goes into `?before=` for the rest; null at the end."""

    conversations: list[ConversationDocument]
    next: str | None


class TurnAccepted(BaseModel):
    """The turn that began, and the number of its first event."""

    turn: int
    event: int


def router(*, service: ExecuteService, conversations: ConversationService) -> APIRouter:
    """`/v1/conversations` and what is done with one of them."""
    routes = APIRouter(prefix="/v1/conversations")
    _add_collection(routes, conversations)
    _add_one(routes, service, conversations)
    _add_turns(routes, service, conversations)
    return routes


def _add_collection(routes: APIRouter, conversations: ConversationService) -> None:
    @routes.post("", status_code=201)
    async def create_conversation(
        tenant: Tenant, response: Response, new: NewConversation | None = None
    ) -> ConversationDocument:
        """Make a conversation."""
        new = new or NewConversation()
        made = await conversations.create(
            tenant=tenant,
            kind=new.kind,
            policy=new.policy,
            options=new.options(),
            runtime=new.runtime,
        )
        response.headers["Location"] = f"/v1/conversations/{made.id}"
        return _document(made)

    @routes.get("")
    async def list_conversations(
        tenant: Tenant,
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50,
        before: Identifier | None = None,
    ) -> ConversationList:
        """List conversations, newest first."""
        found = await conversations.list(tenant=tenant, limit=limit, before=before)
        return ConversationList(
            conversations=[_document(item) for item in found],
            next=found[-1].id if len(found) == limit else None,
        )


def _add_one(
    routes: APIRouter, service: ExecuteService, conversations: ConversationService
) -> None:
    @routes.get("/{conversation_id}")
    async def get_conversation(
        tenant: Tenant, conversation_id: ConversationId
    ) -> ConversationDocument:
        """Show one conversation."""
        return _document(await conversations.get(tenant=tenant, conversation_id=conversation_id))

    @routes.delete("/{conversation_id}", status_code=204)
    async def delete_conversation(tenant: Tenant, conversation_id: ConversationId) -> None:
        """Forget a conversation and give up its container; refused while a turn runs."""
        await service.delete(tenant=tenant, conversation_id=conversation_id)


def _add_turns(
    routes: APIRouter, service: ExecuteService, conversations: ConversationService
) -> None:
    @routes.post(
        "/{conversation_id}/messages",
        status_code=202,
        response_model=TurnAccepted,
        responses={
            200: {
                "description": "The turn's events, for `Accept: text/event-stream`",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    )
    async def post_message(
        tenant: Tenant,
        conversation_id: ConversationId,
        message: NewMessage,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Begin a turn. It goes on if the client goes away; its events can be followed again."""
        first = await service.start_turn(
            tenant=tenant, conversation_id=conversation_id, text=message.text
        )
        if "text/event-stream" not in accept.lower():
            return JSONResponse({"turn": first.turn, "event": first.id}, status_code=202)
        pages = await conversations.pages(
            tenant=tenant,
            conversation_id=conversation_id,
            after=first.id - 1,
            idle_timeout_s=KEEPALIVE_S,
        )
        return event_stream(pages, until_turn=first.turn)

    @routes.post("/{conversation_id}/interrupt", status_code=202)
    async def interrupt_turn(tenant: Tenant, conversation_id: ConversationId) -> Response:
        """Ask the running turn to end early; its last event tells when it has."""
        await service.interrupt(tenant=tenant, conversation_id=conversation_id)
        return Response(status_code=202)


def _document(conversation: Conversation) -> ConversationDocument:
    return ConversationDocument(
        id=conversation.id,
        kind=conversation.kind,
        workspace_id=conversation.workspace_id,
        policy=conversation.policy,
        options=conversation.options,
        runtime=conversation.runtime,
        created_at=conversation.created_at,
        turn=conversation.turn,
        running=conversation.running,
        last_event=conversation.last_event,
    )
