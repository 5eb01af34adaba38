"""The stack's images where no registry is in reach: of Debian's packages, as the agents' is."""

import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hakoiri.image.build import DEFAULT_CACHE_DIR
from hakoiri.image.content_hash import content_hash
from hakoiri.image.engine import Engine
from hakoiri.image.inputs import ARCHITECTURES, ImageInputs
from hakoiri.image.libraries import ensure_wheels
from hakoiri.image.root_filesystem import ensure_base

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = DEFAULT_CACHE_DIR / "host"
"""Apart from the agents', which keeps one version of wheels."""

HOST_FILES: Final = (
    *("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "requirements/runtime.txt"),
    "deployment/compose/host-packages.txt",
)
STORE_PACKAGES: Final = """
libgssapi-krb5-2
libicu72
libldap-2.5-0
libpam0g
libxml2
libxslt1.1
postgresql-client-15
prometheus
redis-server
tzdata
wget
"""
ADD_POSTGRES: Final = b"""#!/bin/sh
# The server's package is not installed, which would make a cluster and a certificate; its files do.
set -eu
work=$(mktemp -d)
(cd "$work" && env -u APT_CONFIG apt-get download postgresql-15)
dpkg-deb --extract "$work"/postgresql-15_*.deb "$1"
rm -r "$work"
"""
"""Before the root is sealed. The packages above are what it needs for all but compiled queries."""

POSTGRES_ENTRY: Final = """#!/bin/sh
# Of what postgres's own image does at its first start, as much as docker-compose.yml asks for.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS \\
    --encoding=UTF8 --locale=C.UTF-8 --pgdata="$PGDATA" >/dev/null
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec "$@" -c jit=off
"""
STORES: Final[Mapping[str, str]] = {
    "redis": "",
    "postgres": (
        "ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        # initdb wants its user to have a name
        "RUN useradd --no-log-init --uid 8427 --no-create-home --home-dir /nonexistent store\n"
        "COPY entry /usr/local/bin/entry\n"
        'ENTRYPOINT ["/usr/local/bin/entry"]\n'
    ),
    "prometheus": 'ENTRYPOINT ["/usr/bin/prometheus"]\n',
}


def _inputs(packages: bytes, requirements: bytes = b"", first: bytes = b"") -> ImageInputs:
    """Name what a Debian root is made of; `first` is done to it before it is sealed."""
    recipe = ROOT / "workspace-base"
    return ImageInputs(
        architecture=ARCHITECTURES[platform.machine()],
        base={
            "packages.txt": packages,
            "seal-root.sh": first + (recipe / "seal-root.sh").read_bytes(),
            "slim.Dockerfile": (recipe / "slim.Dockerfile").read_bytes(),
        },
        libraries={"workspace-requirements.txt": requirements},
        agent={},
        dockerfile=b"",
    )


def _tell(line: str) -> None:
    print(line)  # noqa: T201 - it takes minutes where nothing is cached


def _work() -> tempfile.TemporaryDirectory[str]:
    CACHE.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=CACHE, prefix="build-")


def _build(engine: Engine, context: Path, *, tag: str, base: str) -> None:
    engine.build(
        context,
        dockerfile="Dockerfile",
        tag=tag,
        arguments={"BASE": base},
        network="none",
        mend="the step that failed is named below",
        on_line=_tell,
    )


def host_image(docker_host: str, *, tag: str) -> None:
    """Build the repository's Dockerfile on a Debian root of our own, without any network."""
    engine = Engine(docker_host)
    packages = (ROOT / "deployment/compose/host-packages.txt").read_bytes()
    inputs = _inputs(packages, (ROOT / "requirements/runtime.txt").read_bytes())
    with _work() as scratch:
        work = Path(scratch)
        wheels = ensure_wheels(inputs, cache_dir=CACHE, progress=_tell)
        base = ensure_base(inputs, engine=engine, work=work, progress=_tell)
        context = work / "context"
        for name in HOST_FILES:
            target = context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/hakoiri", context / "src/hakoiri", ignore=ignored)
        shutil.copytree(wheels, context / "wheels")
        _build(engine, context, tag=tag, base=base)


def next_image(docker_host: str, *, before: str, tag: str) -> None:
    """Make what a new version is to the stack: another image."""
    with _work() as scratch:
        context = Path(scratch)
        (context / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nLABEL version=next\n")
        _build(Engine(docker_host), context, tag=tag, base=before)


def store_images(docker_host: str) -> dict[str, str]:
    """Return the tags of Redis, PostgreSQL and Prometheus, all in one Debian root."""
    engine = Engine(docker_host)
    inputs = _inputs(STORE_PACKAGES.encode(), first=ADD_POSTGRES)
    parts = {name: text.encode() for name, text in STORES.items()}
    version = content_hash(
        {"base": inputs.base_tag.encode(), "e": POSTGRES_ENTRY.encode(), **parts}
    )
    tags = {name: f"hakoiri-compose-test/{name}:{version}" for name in STORES}
    with _work() as scratch:
        for name, tag in tags.items():
            if engine.has_image(tag):
                continue
            base = ensure_base(inputs, engine=engine, work=Path(scratch), progress=_tell)
            context = Path(scratch) / name
            context.mkdir()
            (context / "entry").write_text(POSTGRES_ENTRY)
            (context / "entry").chmod(0o755)
            (context / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\n{STORES[name]}")
            _build(engine, context, tag=tag, base=base)
    return tags
