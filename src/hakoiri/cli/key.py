"""`hakoiri key`: API keys. Works on the database, with or without a running server, as root."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer
from pydantic import StringConstraints, TypeAdapter, ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.cli.client_options import Json, Output, show_done, wants_json
from hakoiri.cli.noun import noun
from hakoiri.cli.plain_text import plain_line
from hakoiri.cli.screen import complain, say, show_json
from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.host.conversations.keys import KeyRing, NoSuchKeyError
from hakoiri.host.conversations.model import DEFAULT_TENANT, ApiKey
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.settings import SettingsError
from hakoiri.wire.messages import Identifier

app = noun("Make, list and revoke API keys.")

Answer = TypeVar("Answer")

NAME_LIMIT_CHARS: Final = 200
_NAME: Final = TypeAdapter(
    Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT_CHARS)]
)
_TENANT: Final = TypeAdapter(Identifier)
"""As the API takes them."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    tenant: Annotated[
        str, typer.Option(help="Whose it is; each sees only its own.")
    ] = DEFAULT_TENANT,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Make a key and print it; it cannot be shown again.

    Once there is a key, the server asks for one after its next start.

    Example: hakoiri key create "the web shop" --tenant shop
    """
    try:
        _NAME.validate_python(name)
        _TENANT.validate_python(tenant)
    except ValidationError:
        complain(
            "key create", f"NAME has 1 to {NAME_LIMIT_CHARS} characters, --tenant is like shop-1"
        )
        raise typer.Exit(2) from None
    key, secret = _with_keys(
        lambda keys: keys.create_key(name=name, tenant=tenant), is_recorded_first=True
    )
    if wants_json(output, as_json):
        show_json({**_shown(key), "key": secret})
    else:
        say(secret)


@app.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """List keys, without their secrets.

    Example: hakoiri key list --tenant shop
    """
    keys = _with_keys(lambda keys: keys.list_keys(tenant=tenant))
    if wants_json(output, as_json):
        show_json({"keys": [_shown(key) for key in keys]})
        return
    for key in keys:
        state = "revoked" if key.revoked_at else "valid"
        say(f"{key.id}  {state:7}  {key.tenant}  {plain_line(key.name)}")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, from `list`.")],
    *,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Revoke a key at once, also for a running server.

    Example: hakoiri key revoke 0123456789abcdef
    """
    _with_keys(lambda keys: keys.revoke_key(key_id, tenant=None))
    show_done({"id": key_id, "revoked": True}, output, as_json)


def _with_keys(
    work: Callable[[KeyRing], Awaitable[Answer]], *, is_recorded_first: bool = False
) -> Answer:
    """Run the work on the database's keys; what goes wrong is one line and an exit code.

    What `is_recorded_first` is not begun while the audit log cannot be written.
    """
    # The database takes long to import, and the help needs none.
    from hakoiri.cli.operator_keys import with_keys  # noqa: PLC0415

    try:
        return with_keys(work, is_recorded_first=is_recorded_first)
    except (SettingsError, PreparationError, AuditError) as error:
        complain("key", error)
        raise typer.Exit(2) from None
    except (StoreError, NoSuchKeyError) as error:
        complain("key", error)
        raise typer.Exit(1) from None


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }
