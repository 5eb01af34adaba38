"""The collection of the object store over HTTP, for who runs the server."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.conversations.model import DEFAULT_TENANT
from hakoiri.host.files.collection_ports import CollectionReport
from hakoiri.wire.problems import Problem

_NOT_ALLOWED: Final = Problem.of(
    "collection-not-allowed",
    title="The store's collection is not for this key",
    status=403,
    detail=f"All tenants share the store; use a key of the tenant {DEFAULT_TENANT!r}.",
)


class Collection(Protocol):
    """Collects the store, one pass at a time."""

    def collect(self, *, is_dry: bool = False) -> Awaitable[CollectionReport]:
        """Do one pass; a dry one changes nothing. `FilesError`."""


class CollectionRequest(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = False
    """Only tell what would go."""


class ToldAmount(BaseModel):
    """Objects, and their bytes as stored."""

    objects: int
    size_bytes: int


class ToldCollection(BaseModel):
    """What one pass saw and did; in a dry run, `left` and `deleted` would have been."""

    model_config = ConfigDict(from_attributes=True)

    is_dry: bool
    started: datetime
    ended: datetime
    tenants: int
    recovery_points: int
    expired_points: int
    live: ToldAmount
    young: ToldAmount
    waiting: ToldAmount
    archived: ToldAmount
    left: ToldAmount
    deleted: ToldAmount
    foreign: ToldAmount
    wasted_bytes: int
    abandoned: int
    missing: int
    brought_back: int
    failures: list[str]


def router(*, collection: Collection) -> APIRouter:
    """`/v1/collection`, for the default tenant."""
    routes = APIRouter()

    @routes.post("/v1/collection")
    async def collect_store(tenant: Tenant, request: CollectionRequest) -> ToldCollection:
        """Look through the whole store now, and let go what has waited long enough."""
        if tenant != DEFAULT_TENANT:
            raise RefusedError(_NOT_ALLOWED)
        report = await collection.collect(is_dry=request.dry_run)
        return ToldCollection.model_validate(report, from_attributes=True)

    return routes
