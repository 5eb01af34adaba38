import socket
import ssl
from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write
from tests.unit.audit.shipping.receivers import receiver, server_context

from hakoiri.audit.shipping.configuration import SyslogTarget
from hakoiri.audit.shipping.source import Batch, next_batch
from hakoiri.audit.shipping.syslog_target import SyslogSender

MADE = lines(400)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    chain = tmp_path / "server"
    chain.mkdir()
    write(chain, MADE)
    found = next_batch(chain, None)
    assert found is not None
    return found


def sender(address: str, ca_file: Path | None = None, *, timeout_s: float = 10) -> SyslogSender:
    target = SyslogTarget(name="siem", kind="syslog", address=address, ca_file=ca_file)
    return SyslogSender(target, instance="i1", host="box1", timeout_s=timeout_s)


def texts(messages: list[bytes]) -> list[bytes]:
    return [message[message.index(b"{") :] + b"\n" for message in messages]


def test_every_line_comes_over_tcp(batch: Batch) -> None:
    with receiver() as received:
        sender(f"tcp://127.0.0.1:{received.port}").send("server", batch)
        assert texts(received.messages) == batch.data.splitlines(keepends=True)


def test_every_line_comes_over_tls_to_who_can_prove_its_name(batch: Batch, tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    with receiver(context) as received:
        sender(f"tls://localhost:{received.port}", authority).send("server", batch)
        assert texts(received.messages) == batch.data.splitlines(keepends=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            sender(f"tls://localhost:{received.port}").send("server", batch)
        with pytest.raises(ssl.SSLCertVerificationError):
            sender(f"tls://127.0.0.1:{received.port}", authority).send("server", batch)


def test_a_receiver_that_dies_before_it_read_all_has_not_received(batch: Batch) -> None:
    with receiver(dies=1) as received:
        speaker = sender(f"tcp://127.0.0.1:{received.port}")
        with pytest.raises(OSError, match=r"reset|[Pp]ipe|not connected"):
            speaker.send("server", batch)
        assert received.messages == []
        speaker.send("server", batch)
        assert len(received.messages) == len(batch.data.splitlines())


def test_one_that_never_reads_is_waited_for_within_bounds(batch: Batch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(TimeoutError):
            sender(f"tcp://127.0.0.1:{port}", timeout_s=0.05).send("server", batch)


def test_the_unix_socket_takes_each_line_as_a_message(batch: Batch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    small = Batch(batch.segment, 0, b"".join(MADE[:3]), batch.after)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        sender(f"unix://{path}").send("server", small)
        found = [listener.recv(1 << 16) for _ in range(3)]
    assert texts(found) == MADE[:3]


def test_one_that_is_away_is_an_error(batch: Batch, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sender(f"unix://{tmp_path}/gone").send("server", batch)
