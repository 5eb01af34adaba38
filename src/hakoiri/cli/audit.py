"""`hakoiri audit`: reads the audit log and checks it. Works on its files, as root."""

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.audit.chain import AuditError, missing_lines
from hakoiri.audit.head_files import read_signed_heads
from hakoiri.audit.heads import Head, hashes_of, newest_of
from hakoiri.audit.search import BadTimeError, Wanted, one_line, parse_line, parse_time
from hakoiri.audit.segments import AuditFilesError, ChainReader, read_chain
from hakoiri.audit.verification import (
    PUBLIC_KEY_NAME,
    ChainReport,
    load_public_key,
    verify_chain,
)
from hakoiri.cli import audit_ship
from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.noun import noun
from hakoiri.cli.plain_text import plain_line
from hakoiri.cli.screen import complain, say, show_json
from hakoiri.cli.supervisor.audit_ground import CHAINS, AuditGround
from hakoiri.cli.supervisor.preparation import (
    INSTANCE_FILE,
    PreparationError,
    instance_id,
    require_root,
)
from hakoiri.cli.waiting import waiting
from hakoiri.host import settings as host_settings
from hakoiri.host.settings import SettingsError

app = noun("Read and check the audit log.")
app.add_typer(audit_ship.app, name="ship")

FOLLOW_EVERY_S: Final = 0.5
USAGE_EXIT_CODE: Final = 2

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="An instance's audit log; absent means that of the settings."),
]
Chain = Annotated[str | None, typer.Option(help=f"Only one chain: {', '.join(CHAINS)}.")]


@app.command()
def tail(
    *,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    chain: Chain = None,
    directory: Directory = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show the newest events of all chains, by time.

    Examples:
      hakoiri audit tail -f

      hakoiri audit tail --chain proxy -n 100 --json
    """
    show = _shower(output, as_json=as_json)
    with _ToldErrors():
        readers = [ChainReader(path) for path in _chains(directory, chain).values()]
        newest: list[tuple[int, bytes]] = []
        for reader in readers:
            last: deque[bytes] = deque(maxlen=lines)
            last.extend(reader.new_lines())
            newest += [(parse_line(raw)["time"], raw) for raw in last]
        newest.sort(key=lambda one: one[0])
        for _, raw in newest[max(0, len(newest) - lines) :]:
            show(raw)
        while follow:
            time.sleep(FOLLOW_EVERY_S)
            for reader in readers:
                for raw in reader.new_lines():
                    show(raw)


@app.command()
def search(
    *,
    event: Annotated[list[str] | None, typer.Option(help="This event; may be given again.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    workspace: Annotated[str | None, typer.Option(help="Only this workspace's.")] = None,
    container: Annotated[str | None, typer.Option(help="Only this container's.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Only this conversation's.")] = None,
    text: Annotated[str | None, typer.Option(help="Only lines that hold this text.")] = None,
    since: Annotated[str | None, typer.Option(help="2026-11-26T12:00, or 15m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="The same.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed or was refused.")] = (
        False
    ),
    chain: Chain = None,
    directory: Directory = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show the events that fit, chain by chain. As JSON, each is one line in OCSF's form.

    Examples:
      hakoiri audit search --event proxy_request_blocked --since 2h

      hakoiri audit search --tenant shop --failed --json
    """
    show = _shower(output, as_json=as_json)
    with _ToldErrors():
        now = datetime.now(UTC)
        wanted = Wanted(
            events=frozenset(event or ()),
            tenant=tenant,
            workspace=workspace,
            container=container,
            conversation=conversation,
            text=text,
            since_ms=parse_time(since, now=now) if since else None,
            until_ms=parse_time(until, now=now) if until else None,
            failed_only=failed,
        )
        for path in _chains(directory, chain).values():
            for raw in read_chain(path):
                if wanted.fits(parse_line(raw), raw):
                    show(raw)


@app.command()
def verify(
    *,
    pruned: Annotated[
        bool, typer.Option("--pruned", help="Older files were taken away on purpose.")
    ] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Without a keeper: of a proxy that runs alone.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="The public key, kept elsewhere; absent means the keeper's.")
    ] = None,
    behind: Annotated[
        str | None,
        typer.Option(help="Of a copy: it may lack lines whose heads are younger: 5m, 2h."),
    ] = None,
    chain: Chain = None,
    directory: Directory = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Check every line of every chain, and the signed heads against them; exit 1 if one is broken.

    A copy of the public key on another machine makes sure that nobody signed anew. A copy of the
    log that was shipped holds the heads, too, and is checked by these and that key alone.

    Examples:
      hakoiri audit verify

      hakoiri audit verify --key /root/audit-public.pem --json

      hakoiri audit verify --dir /mnt/audit/INSTANCE --key audit-public.pem --behind 5m
    """
    with _ToldErrors(), waiting("reading every line"):
        root = _root(directory)
        due = _time_before(behind) if behind else None
        heads = {} if unsigned else _heads(AuditGround(root), key)
        reaches = {name: newest_of(of_chain, until=due) for name, of_chain in heads.items()}
        signed = {name: root / name for name in CHAINS if reaches.get(name)} if not chain else {}
        reports = [
            _with_pruning(
                verify_chain(
                    path,
                    chain=name,
                    heads=hashes_of(heads.get(name, {})),
                    reaches=reaches.get(name, 0),
                ),
                pruned=pruned,
            )
            for name, path in {**_chains(directory, chain), **signed}.items()
        ]
    if wants_json(output, as_json):
        show_json({"chains": [asdict(report) for report in reports]})
    else:
        for report in reports:
            say(_said(report))
    if any(report.broken for report in reports):
        raise typer.Exit(1)


@app.command()
def export(
    *,
    since: Annotated[str | None, typer.Option(help="2026-11-26T12:00, or 15m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="The same.")] = None,
    chain: Chain = None,
    directory: Directory = None,
) -> None:
    """Write lines as they are, one JSON document each (OCSF), to standard output.

    Example: hakoiri audit export --since 1d > audit.jsonl
    """
    with _ToldErrors():
        now = datetime.now(UTC)
        wanted = Wanted(
            since_ms=parse_time(since, now=now) if since else None,
            until_ms=parse_time(until, now=now) if until else None,
        )
        for path in _chains(directory, chain).values():
            for raw in read_chain(path):
                if wanted.fits(parse_line(raw), raw):
                    sys.stdout.buffer.write(raw)
        sys.stdout.flush()


def _heads(ground: AuditGround, key: Path | None) -> dict[str, dict[int, Head]]:
    public = load_public_key(key or ground.keeper / PUBLIC_KEY_NAME)
    heads = read_signed_heads(ground.heads, public=public)
    if key is not None and not heads:  # who brings a key wants to know what it vouches for
        raise AuditFilesError(f"there are no signed heads in {ground.heads}")
    return heads


def _time_before(ago: str) -> datetime:
    return datetime.fromtimestamp(parse_time(ago, now=datetime.now(UTC)) / 1000, UTC)


class _ToldErrors:
    """What goes wrong is one line and an exit code: 2 for what was asked, 1 for the log."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BrokenPipeError | KeyboardInterrupt):
            raise typer.Exit(0) from None
        if isinstance(error, AuditError):
            complain("audit", error)
            raise typer.Exit(1) from None
        if isinstance(error, SettingsError | PreparationError | BadTimeError):
            complain("audit", error)
            raise typer.Exit(USAGE_EXIT_CODE) from None


def _root(directory: Path | None) -> Path:
    if directory is not None:
        return directory.absolute()
    require_root()
    settings = host_settings.load()
    instance = settings.data_dir / INSTANCE_FILE
    if not instance.is_file():
        raise PreparationError(
            f"{settings.data_dir} has no instance yet; start `hakoiri serve`, or name --dir"
        )
    return settings.audit.dir / instance_id(instance)


def _chains(directory: Path | None, chain: str | None) -> dict[str, Path]:
    """Return the chains that there are, by name."""
    if chain is not None and chain not in CHAINS:
        raise PreparationError(f"--chain: {chain} is none of {', '.join(CHAINS)}")
    root = _root(directory)
    names = CHAINS if chain is None else (chain,)
    found = {name: path for name in names if (path := root / name).is_dir()}
    if not found:
        raise PreparationError(f"there is no audit log in {root}")
    return found


def _with_pruning(report: ChainReport, *, pruned: bool) -> ChainReport:
    if report.begins == 1 or pruned or report.broken:
        return report
    missing = missing_lines(1, report.begins - 1)
    return replace(report, broken=f"{missing}; with --pruned that is taken as meant")


def _said(report: ChainReport) -> str:
    if report.broken:
        return f"{report.chain}: BROKEN: {report.broken}"
    begins = f" from line {report.begins} on" if report.begins > 1 else ""
    return (
        f"{report.chain}: {report.lines} lines{begins} are as they were written; "
        f"heads signed up to line {report.signed}"
    )


def _shower(output: str, *, as_json: bool) -> Callable[[bytes], None]:
    if wants_json(output, as_json):
        return lambda raw: say(raw.decode("ascii", errors="replace"), end="")
    return lambda raw: say(plain_line(one_line(parse_line(raw))))
