"""API keys over HTTP, each tenant's own."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.model import ApiKey
from hakoiri.wire.messages import Message

ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$"
"""Text without control characters, line separators and changes of direction."""


class NewKey(Message):
    """What a key is for, in one line: whoever runs the server sees it in a terminal."""

    name: Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=200)]


class KeyDocument(BaseModel):
    """A key as it may be shown: never its secret."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


class CreatedKey(KeyDocument):
    """A new key; `key` is shown here and never again."""

    key: str


class KeyList(BaseModel):
    """The tenant's keys, oldest first."""

    keys: list[KeyDocument]


def router(*, keys: KeyRing) -> APIRouter:
    """`/v1/keys`."""
    routes = APIRouter(prefix="/v1/keys")

    @routes.get("")
    async def list_keys(tenant: Tenant) -> KeyList:
        """List the tenant's keys."""
        return KeyList(keys=[_document(key) for key in await keys.list_keys(tenant=tenant)])

    @routes.post("", status_code=201)
    async def create_key(tenant: Tenant, new: NewKey) -> CreatedKey:
        """Make a key for the same tenant."""
        key, text = await keys.create_key(name=new.name, tenant=tenant)
        return CreatedKey(**_document(key).model_dump(), key=text)

    @routes.delete("/{key_id}", status_code=204)
    async def revoke_key(tenant: Tenant, key_id: str) -> None:
        """Revoke a key; from then on it opens nothing."""
        await keys.revoke_key(key_id, tenant=tenant)

    return routes


def _document(key: ApiKey) -> KeyDocument:
    return KeyDocument(
        id=key.id, name=key.name, created_at=key.created_at, revoked_at=key.revoked_at
    )
