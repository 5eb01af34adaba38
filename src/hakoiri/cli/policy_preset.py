"""`hakoiri policy preset`: ready-made parts of a policy, written out."""

import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.cli.noun import noun
from hakoiri.cli.presets import expansion
from hakoiri.cli.presets.composition import compose, write
from hakoiri.cli.presets.expansion import PresetError
from hakoiri.cli.presets.host_configuration import Manager, find_sources
from hakoiri.cli.presets.package_source import Found, origins_by_host
from hakoiri.cli.screen import complain, remark, say
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.policy_file import FILE_LIMIT_BYTES, parse_policy
from hakoiri.wire.policy import Policy

STANDARD_STREAM: Final = "-"
_NEW_FILE_MODE: Final = 0o644

app = noun("Write out ready-made parts of a policy: ways to models, and to packages.")

Into = Annotated[
    Path | None,
    typer.Option(help="Add to this policy file; - reads one and prints the whole."),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="An exact model id; may be repeated.")
]
ReplaceModel = Annotated[
    bool, typer.Option("--replace-model", help="Put another way to a model in its place.")
]


@app.command()
def bedrock(
    region: Annotated[list[str], typer.Option(help="An AWS region; may be repeated with --sdk.")],
    model: Models = None,
    *,
    credential: Annotated[str, typer.Option(help="The proxy's credential.")] = "bedrock",
    sdk: Annotated[bool, typer.Option("--sdk", help="Rules for AWS SDKs too.")] = False,
    into: Into = None,
    replace_model: ReplaceModel = False,
) -> None:
    """The way to Bedrock. Without --model, each model that the credential allows.

    Examples:
      hakoiri policy preset bedrock --region eu-west-1 > policy.toml

      hakoiri policy preset bedrock --region eu-west-1 --sdk --into policy.toml
    """
    try:
        preset = expansion.bedrock(
            regions=region, models=model or [], credential=credential, sdk=sdk
        )
        _give(preset, heading="preset bedrock", into=into, replace_model=replace_model)
    except (PresetError, CredentialProxyError) as error:
        raise _unusable(error) from None


@app.command()
def anthropic(
    model: Models = None,
    *,
    credential: Annotated[str, typer.Option(help="The proxy's credential.")] = "anthropic",
    into: Into = None,
    replace_model: ReplaceModel = False,
) -> None:
    """The way to Anthropic's API. Without --model, each model that the credential allows.

    Example: hakoiri policy get | hakoiri policy preset anthropic --into - --replace-model
    """
    try:
        preset = expansion.anthropic(models=model or [], credential=credential)
        _give(preset, heading="preset anthropic", into=into, replace_model=replace_model)
    except (PresetError, CredentialProxyError) as error:
        raise _unusable(error) from None


@app.command()
def packages(
    source: Annotated[
        list[Manager] | None, typer.Option(help="pip, npm or apt; may be repeated. All of them.")
    ] = None,
    *,
    file_host: Annotated[
        list[str] | None,
        typer.Option(help="A further HOST or HOST:PORT, to which an index sends for its files."),
    ] = None,
    python: Annotated[
        str, typer.Option(help="The interpreter whose pip is asked.")
    ] = sys.executable,
    into: Into = None,
) -> None:
    """Fetching packages (GET and HEAD) from where this host's pip, npm and apt get theirs.

    What is left out, and why, is told on standard error.

    Examples:
      hakoiri policy preset packages --into policy.toml

      hakoiri policy preset packages --source pip --file-host files.example.com
    """
    found = find_sources(source or list(Manager), python=python)
    try:
        for named in file_host or []:
            _add_file_host(found, named)
        _tell(found.notes)
        _give(
            expansion.packages(found.sources),
            heading="preset packages",
            into=into,
            remarks={
                host: ", ".join(origins)
                for host, (_, origins) in origins_by_host(found.sources).items()
            },
        )
    except (PresetError, CredentialProxyError) as error:
        raise _unusable(error) from None


def _add_file_host(found: Found, named: str) -> None:
    before = len(found.sources)
    if not set(named) & set("@/?#"):
        found.add_url(f"https://{named}", origin="--file-host")
    if len(found.sources) == before:
        raise PresetError(f"--file-host: {named!r} is not HOST or HOST:PORT")


def _give(
    preset: Policy,
    *,
    heading: str,
    into: Path | None,
    replace_model: bool = False,
    remarks: Mapping[str, str] | None = None,
) -> None:
    text = _read(into)
    composed = compose(parse_policy(text), preset, replace_model=replace_model)
    _tell(composed.notes)
    whole = write(composed, text=text, heading=heading, remarks=remarks or {})
    if into is None or str(into) == STANDARD_STREAM:
        say(whole, end="")
    else:
        _replace(into, whole)


def _read(into: Path | None) -> str:
    """Return the policy to add to; nothing is an empty one."""
    if into is None:
        return ""
    if str(into) == STANDARD_STREAM:
        text = sys.stdin.read(FILE_LIMIT_BYTES + 1)
    else:
        try:
            text = into.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise PresetError(f"--into: cannot read {into}: {error}") from error
    if len(text) > FILE_LIMIT_BYTES:
        raise PresetError(f"--into: larger than {FILE_LIMIT_BYTES} bytes")
    return text


def _replace(path: Path, text: str) -> None:
    """Write the file as a whole, or leave it as it is."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _NEW_FILE_MODE
        target = path.resolve()
        descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(partial).chmod(mode)
            Path(partial).replace(target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PresetError(f"--into: cannot write {path}: {error.strerror}") from error


def _tell(notes: list[str] | tuple[str, ...]) -> None:
    for note in dict.fromkeys(notes):
        remark(f"note: {note}")


def _unusable(error: Exception) -> typer.Exit:
    complain("policy preset", error)
    return typer.Exit(2)
