"""Signed heads, shipped to real receivers: a log written anew on its host is found in the copy."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.integration.audit.test_shipping import TCP, bucket_copy, rsyslog, syslog
from tests.s3_server import S3Server, s3_server
from tests.unit.audit.chains import an_event, lines
from tests.waiting import until

from hakoiri.audit.chain import Position
from hakoiri.audit.head_files import HeadFiles, read_signed_heads
from hakoiri.audit.heads import HeadSigner
from hakoiri.audit.keeper import Keeper, load_or_make_key
from hakoiri.audit.shipping.courier import Courier
from hakoiri.audit.shipping.file_target import FileCopy
from hakoiri.audit.shipping.targets import SealedTarget, StreamTarget
from hakoiri.audit.verification import load_public_key
from hakoiri.audit.writer import ChainWriter

KINDS = ["file", "syslog", "s3"]


class Site:
    """A chain, a keeper that signs its heads, a courier, and the copy that is made of both."""

    def __init__(self, root: Path, target: StreamTarget | SealedTarget) -> None:
        self.root = root
        self.log = root / "log"
        for name in ("server", "heads", "keeper"):
            (self.log / name).mkdir(parents=True)
        self.key = root / "kept.pem"
        self.now_s = 1000.0
        self.told: list[str] = []
        key = load_or_make_key(self.log / "keeper")
        shutil.copy(self.log / "keeper" / "public.pem", self.key)
        self.keeper = Keeper(
            directory=self.log / "heads",
            chains={"server": self.log / "server"},
            key=key,
            tell=self.tell,
        )
        self.courier = Courier(
            name="target",
            kind="test",
            target=target,
            chains={name: self.log / name for name in ("heads", "server")},
            places_file=root / "target.json",
            tell=self.tell,
            wall_s=lambda: self.now_s,
        )

    def tell(self, event: str, **fields: object) -> None:
        self.told.append(f"{event} {fields}")

    def grow(self, count: int) -> None:
        with ChainWriter(
            self.log / "server", chain="server", version="1", segment_bytes=1000
        ) as log:
            for number in range(count):
                log.tell(an_event(number))
                assert log.wait_written(60)  # a file of its own for every few

    def ship(self) -> None:
        self.now_s += 60
        while self.courier.step():
            pass
        assert self.told == []


def verify(copy: Path, key: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "hakoiri.cli", "audit", "verify", "--dir", str(copy)]
    return subprocess.run(
        [*command, "--key", str(key), *more],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


class FileSite:
    def __init__(self, root: Path) -> None:
        self.share = root / "share"
        self.share.mkdir()
        self.site = Site(root, FileCopy(self.share, instance="i1"))

    def copy(self) -> Path:
        return self.share / "i1"


class SyslogSite:
    """What rsyslog received, as it wrote it: a file for each chain."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.site = Site(root, syslog(f"tcp://127.0.0.1:{port}"))

    def has_all(self, name: str) -> bool:
        sent = sum(path.stat().st_size for path in (self.site.log / name).glob("*.jsonl"))
        received = self.root / f"hakoiri-{name}.jsonl"
        return received.exists() and received.stat().st_size >= sent

    def copy(self) -> Path:
        copy = self.root / "copy"
        for name in ("server", "heads"):
            received = self.root / f"hakoiri-{name}.jsonl"
            path = copy / name / f"{1:015d}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            until(partial(self.has_all, name))
            path.write_bytes(received.read_bytes())
        return copy


class BucketSite:
    def __init__(self, root: Path, store: S3Server) -> None:
        self.root = root
        self.client = store.client()
        self.bucket = f"heads-{root.name.replace('_', '-').lower()}"[:60].rstrip("-")
        self.client.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=True)
        self.site = Site(root, bucket_copy(store, self.bucket))

    def copy(self) -> Path:
        copy = self.root / "copy"
        for one in self.client.list_objects_v2(Bucket=self.bucket)["Contents"]:
            path = copy / one["Key"].removeprefix("hosts/box1/i1/")
            path.parent.mkdir(parents=True, exist_ok=True)
            found = self.client.get_object(Bucket=self.bucket, Key=one["Key"])
            assert found["ObjectLockMode"] == "COMPLIANCE"
            path.write_bytes(found["Body"].read())
        return copy


Copying = FileSite | SyslogSite | BucketSite


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@contextmanager
def by_program(directory: Path) -> Iterator[int]:
    """A daemon that writes what each chain sends to a file of its own."""
    with rsyslog(directory, TCP + BY_PROGRAM.replace("DIRECTORY", str(directory))) as daemon:
        yield daemon.port


BY_PROGRAM = """
template(name="by" type="string" string="DIRECTORY/%app-name%.jsonl")
template(name="line" type="string" string="%msg%\\n")
action(type="omfile" dynaFile="by" template="line")
"""


@pytest.fixture(params=KINDS)
def copying(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copying]:
    if request.param == "file":
        yield FileSite(tmp_path)
    elif request.param == "s3":
        yield BucketSite(tmp_path, request.getfixturevalue("store"))
    else:
        with by_program(tmp_path) as port:
            yield SyslogSite(tmp_path, port)


def test_a_copy_is_checked_by_the_heads_that_came_with_it(copying: Copying) -> None:
    site = copying.site
    for _ in range(3):
        site.grow(5)
        site.keeper.step()
        site.ship()
    done = verify(copying.copy(), site.key, "--behind", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heads signed up to line" in done.stdout
    assert "up to line 0" not in done.stdout


def test_a_chain_written_anew_before_it_was_copied_is_found_in_the_copy(copying: Copying) -> None:
    site = copying.site
    site.grow(8)
    site.keeper.step()
    count = sum(len(path.read_bytes().splitlines()) for path in site.log.glob("server/*.jsonl"))
    for path in (site.log / "server").glob("*.jsonl"):
        path.unlink()
    forged = lines(count + 3)  # a sound chain, but another one
    first = site.log / "server" / f"{1:015d}.jsonl"
    first.write_bytes(b"".join(forged))
    (site.log / "server" / f"{count + 4:015d}.jsonl").write_bytes(b"")  # so that a bucket has it
    site.ship()
    done = verify(copying.copy(), site.key)
    assert done.returncode == 1, done.stdout
    assert f"server: BROKEN: line {count} is not the one whose head was signed" in done.stdout


def test_heads_that_were_signed_anew_contradict_those_that_left(copying: Copying) -> None:
    site = copying.site
    site.grow(4)
    site.keeper.step()
    site.ship()
    public = load_public_key(site.key)
    newest = max(read_signed_heads(site.log / "heads", public=public)["server"])
    stolen = HeadSigner(load_or_make_key(site.log / "keeper"))
    forged = stolen.sign("server", Position(newest, "f" * 64), at=datetime.now(UTC))
    HeadFiles(site.log / "heads").append([forged])
    site.ship()
    done = verify(copying.copy(), site.key, "--behind", "1h")
    assert done.returncode == 1
    assert "contradicts an earlier one on server" in done.stderr
