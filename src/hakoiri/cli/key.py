"""`hakoiri key`: API keys. Works on the database, with or without a running server, as root."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from hakoiri.audit.chain import AuditError
from hakoiri.audit.writer import AuditLog
from hakoiri.cli.client_options import Json, Output, show_json, wants_json
from hakoiri.cli.plain_text import plain_line
from hakoiri.cli.supervisor.audit_ground import OPERATOR_CHAIN
from hakoiri.cli.supervisor.preparation import (
    PreparationError,
    operator_chain,
    prepare_data_directory,
    require_root,
)
from hakoiri.host import settings as host_settings
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.conversations.keys import KeyRing, NoSuchKeyError
from hakoiri.host.conversations.model import DEFAULT_TENANT, ApiKey
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.main import database_url
from hakoiri.host.settings import Settings, SettingsError
from hakoiri.host.telemetry.audit_log import audit_log

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")

Answer = TypeVar("Answer")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    tenant: Annotated[str, typer.Option(help="Whose it is.")] = DEFAULT_TENANT,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Make a key and print it; it cannot be shown again.

    Once there is a key, the server asks for one after its next start.

    Example: hakoiri key create "the web shop" --tenant shop
    """
    key, secret = _with_keys(lambda keys: keys.create_key(name=name, tenant=tenant))
    if wants_json(output, as_json):
        show_json({**_shown(key), "key": secret})
    else:
        typer.echo(secret)


@app.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """List keys, without their secrets."""
    keys = _with_keys(lambda keys: keys.list_keys(tenant=tenant))
    if wants_json(output, as_json):
        show_json({"keys": [_shown(key) for key in keys]})
        return
    for key in keys:
        state = "revoked" if key.revoked_at else "valid"
        typer.echo(f"{key.id}  {state:7}  {key.tenant}  {plain_line(key.name)}")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, from `list`.")]) -> None:
    """Revoke a key at once, also for a running server."""
    _with_keys(lambda keys: keys.revoke_key(key_id, tenant=None))


def _with_keys(work: Callable[[KeyRing], Awaitable[Answer]]) -> Answer:
    """Run the work on the database's keys; what goes wrong is one line and an exit code."""
    try:
        require_root()
        settings = host_settings.load()
        instance = prepare_data_directory(settings)
        with audit_log(operator_chain(settings, instance), chain=OPERATOR_CHAIN) as audit:
            return asyncio.run(_on_database(settings, work, audit))
    except (SettingsError, PreparationError, AuditError) as error:
        typer.echo(f"hakoiri key: {error}", err=True)
        raise typer.Exit(2) from None
    except (StoreError, NoSuchKeyError) as error:
        typer.echo(f"hakoiri key: {error}", err=True)
        raise typer.Exit(1) from None


async def _on_database(
    settings: Settings, work: Callable[[KeyRing], Awaitable[Answer]], audit: AuditLog
) -> Answer:
    database = await open_database(database_url(settings))
    try:
        store = SqlKeyStore(database)
        return await work(KeyRing(store=store, clock=lambda: datetime.now(UTC), audit=audit))
    finally:
        await database.close()


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }
