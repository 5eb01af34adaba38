"""The audit log, shipped to a real syslog daemon and to a real S3 server, and checked there."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server, s3_server
from tests.unit.audit.chains import an_event
from tests.unit.audit.shipping.receivers import server_context
from tests.waiting import until

from hakoiri.audit.shipping.configuration import S3Target, SyslogTarget
from hakoiri.audit.shipping.courier import Courier
from hakoiri.audit.shipping.s3_target import BucketCopy
from hakoiri.audit.shipping.syslog_target import SyslogSender
from hakoiri.audit.shipping.targets import SealedTarget, StreamTarget
from hakoiri.audit.verification import verify_chain
from hakoiri.audit.writer import ChainWriter
from hakoiri.cli.demo.server_process import free_port

RSYSLOGD = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
WAIT_S = 60.0


class Log:
    """A chain that grows, and a courier that brings it to a target."""

    def __init__(self, root: Path, target: StreamTarget | SealedTarget, *, full_at: int) -> None:
        self.directory = root / "server"
        self.directory.mkdir()
        self.full_at = full_at
        self.told: list[str] = []
        self.courier = Courier(
            name="target",
            kind="test",
            target=target,
            chains={"server": self.directory},
            places_file=root / "target.json",
            tell=self.tell,
        )

    def tell(self, event: str, **fields: object) -> None:
        self.told.append(f"{event} {fields}")

    def grow(self, count: int) -> None:
        with ChainWriter(
            self.directory, chain="server", version="1", segment_bytes=self.full_at
        ) as log:
            for number in range(count):
                log.tell(an_event(number))
                assert number % 50 or log.wait_written(WAIT_S)

    def ship(self) -> None:
        while self.courier.step():
            pass

    def content(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.directory.glob("*.jsonl")))


@dataclass
class Rsyslog:
    """A daemon that writes the text of each message as a line."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def written(self) -> bytes:
        path = self.directory / "received.jsonl"
        return path.read_bytes() if path.exists() else b""

    def start(self) -> None:
        configuration = self.directory / "rsyslog.conf"
        with (self.directory / "rsyslog.log").open("ab") as log:
            self.process = subprocess.Popen(
                [RSYSLOGD, "-n", "-f", str(configuration), "-i", str(self.directory / "pid")],
                stderr=log,
            )
        until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "rsyslog.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(WAIT_S)


@contextmanager
def rsyslog(directory: Path, inputs: str) -> Iterator[Rsyslog]:
    port = free_port()
    (directory / "rsyslog.conf").write_text(
        f"""
global(maxMessageSize="64k" workDirectory="{directory}")
{inputs.replace("PORT", str(port))}
template(name="text" type="string" string="%msg%\\n")
action(type="omfile" file="{directory}/received.jsonl" template="text")
"""
    )
    daemon = Rsyslog(directory, port)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


def syslog(address: str, ca_file: Path | None = None) -> SyslogSender:
    target = SyslogTarget(name="target", kind="syslog", address=address, ca_file=ca_file)
    return SyslogSender(target, instance="i1", host="box1")


TCP = 'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="PORT")'


def test_rsyslog_has_every_line_as_it_was_written(tmp_path: Path) -> None:
    with rsyslog(tmp_path, TCP) as daemon:
        log = Log(tmp_path, syslog(f"tcp://127.0.0.1:{daemon.port}"), full_at=100_000)
        log.grow(700)
        log.ship()
        assert log.told == []
        until(lambda: len(daemon.written) >= len(log.content()))
        assert daemon.written == log.content()
        log.grow(3)
        log.ship()
        until(lambda: daemon.written == log.content())
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / f"{1:015d}.jsonl").write_bytes(daemon.written)
    report = verify_chain(copy, chain="server", heads={})
    assert (report.lines, report.broken) == (707, None)


def test_a_daemon_that_is_killed_gets_what_it_missed(tmp_path: Path) -> None:
    with rsyslog(tmp_path, TCP) as daemon:
        log = Log(tmp_path, syslog(f"tcp://127.0.0.1:{daemon.port}"), full_at=100_000)
        log.grow(20)
        log.ship()
        until(lambda: daemon.written == log.content())
        daemon.stop(kill=True)
        log.grow(20)
        log.ship()
        assert log.courier.status.error is not None
        daemon.start()
        log.ship()
        until(lambda: daemon.written == log.content())
        assert log.courier.status.error is None


def test_rsyslog_over_tls_closes_with_the_goodbye_that_is_waited_for(tmp_path: Path) -> None:
    _, authority = server_context(tmp_path)
    inputs = f"""
global(
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{authority}"
  defaultNetstreamDriverCertFile="{authority}"
  defaultNetstreamDriverKeyFile="{tmp_path}/key.pem"
)
module(
  load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon"
)
input(type="imtcp" address="127.0.0.1" port="PORT")
"""
    with rsyslog(tmp_path, inputs) as daemon:
        log = Log(tmp_path, syslog(f"tls://localhost:{daemon.port}", authority), full_at=100_000)
        log.grow(300)
        log.ship()
        assert log.told == []
        until(lambda: daemon.written == log.content())


def test_rsyslogs_unix_socket_takes_every_line(tmp_path: Path) -> None:
    inputs = TCP + (
        '\nmodule(load="imuxsock" sysSock.use="off")'
        f'\ninput(type="imuxsock" socket="{tmp_path}/log" ratelimit.interval="0" '
        'useSpecialParser="off" parseTrusted="off")'
    )
    with rsyslog(tmp_path, inputs) as daemon:
        log = Log(tmp_path, syslog(f"unix://{tmp_path}/log"), full_at=100_000)
        log.grow(300)
        log.ship()
        assert log.told == []
        until(lambda: daemon.written == log.content())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def bucket_copy(store: S3Server, bucket: str) -> BucketCopy:
    return BucketCopy(
        S3Target.model_validate(
            {
                "name": "target",
                "kind": "s3",
                "bucket": bucket,
                "prefix": "hosts/box1",
                "endpoint": store.endpoint,
                "access_key_id": ACCESS_KEY_ID,
                "secret_access_key": SECRET_ACCESS_KEY,
                "retain_days": 30,
            }
        ),
        instance="i1",
    )


def objects_of(client: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_full_files_are_in_the_bucket_and_cannot_be_removed(
    store: S3Server, tmp_path: Path
) -> None:
    client = store.client()
    client.create_bucket(Bucket="audit", ObjectLockEnabledForBucket=True)
    log = Log(tmp_path, bucket_copy(store, "audit"), full_at=20_000)
    log.grow(200)
    log.ship()
    assert log.told == []
    files = sorted(log.directory.glob("*.jsonl"))
    assert len(files) > 3
    names = objects_of(client, "audit")
    assert names == [f"hosts/box1/i1/server/{path.name}" for path in files[:-1]]
    for name, path in zip(names, files[:-1], strict=True):
        found = client.get_object(Bucket="audit", Key=name)
        assert found["Body"].read() == path.read_bytes()
        assert found["ObjectLockMode"] == "COMPLIANCE"
        kept = found["ObjectLockRetainUntilDate"] - datetime.now(UTC)
        assert timedelta(days=29) < kept < timedelta(days=31)
        version = found["VersionId"]
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket="audit", Key=name, VersionId=version)
    assert log.courier.status.waiting_bytes == 0


def test_a_bucket_that_is_not_there_is_told_and_nothing_is_skipped(
    store: S3Server, tmp_path: Path
) -> None:
    log = Log(tmp_path, bucket_copy(store, "late"), full_at=20_000)
    log.grow(100)
    log.ship()
    assert "the store answered 4" in log.told[0]
    with suppress(store.client().exceptions.NoSuchBucket):  # this store makes what is written to
        store.client().delete_bucket(Bucket="late")
    store.client().create_bucket(Bucket="late", ObjectLockEnabledForBucket=True)
    log.ship()
    files = sorted(log.directory.glob("*.jsonl"))[:-1]
    assert len(objects_of(store.client(), "late")) == len(files)
