import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chains import AT, lines

from hakoiri.audit.chain import Position, seal
from hakoiri.audit.event import AuditEvent, EventKind, Stamp
from hakoiri.audit.heads import HeadSigner
from hakoiri.audit.shipping.syslog_message import framed, message_of

LINE = lines(1)[0]
FORM = re.compile(
    rb"<(\d{1,3})>1 (-|\S+) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) "
    rb"([\x21-\x7e]{1,32}) - (.*)",
    re.DOTALL,
)
"""RFC 5424, section 6, without structured data."""


def test_a_line_is_a_message_that_holds_it_whole() -> None:
    message = message_of(LINE, chain="server", host="box1", instance="i1")
    found = FORM.fullmatch(message)
    assert found is not None
    priority, at, host, name, process, kind, text = found.groups()
    assert (int(priority) // 8, int(priority) % 8) == (13, 6)
    assert at == b"2026-11-26T12:00:00.250Z"
    assert (host, name, process, kind) == (b"box1", b"hakoiri-server", b"i1", b"turn_started")
    assert text + b"\n" == LINE


def test_what_is_worse_is_louder() -> None:
    lost = AuditEvent(kind=EventKind.AUDIT_LINES_LOST)
    line = seal(lost, Stamp("server", "1", 1, AT), previous=Position().hash)
    assert message_of(line, chain="server", host="h", instance="i").startswith(b"<106>")


@given(line=st.binary(max_size=300), host=st.text(max_size=400))
def test_whatever_stands_there_is_told_in_the_right_form(line: bytes, host: str) -> None:
    message = message_of(line + b"\n", chain="server", host=host, instance="i1")
    assert FORM.fullmatch(message) is not None
    assert message.endswith(line.rstrip(b"\n"))


@pytest.mark.parametrize(("message", "frame"), [(b"", b"0 "), (b"a b\n", b"4 a b\n")])
def test_a_frame_begins_with_the_length(message: bytes, frame: bytes) -> None:
    assert framed(message) == frame


def test_a_signed_head_is_told_as_such_and_one_that_is_none_as_a_warning() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    head = HeadSigner(key).sign("server", Position(3, "a" * 64), at=AT)
    found = FORM.fullmatch(message_of(head, chain="heads", host="box1", instance="i1"))
    assert found is not None
    priority, at, _, name, _, kind, text = found.groups()
    assert (int(priority) // 8, int(priority) % 8) == (13, 6)
    assert at == b"2026-11-26T12:00:00.250Z"
    assert (name, kind) == (b"hakoiri-heads", b"head_signed")
    assert text + b"\n" == head
    assert message_of(LINE, chain="heads", host="h", instance="i").startswith(b"<108>1 - ")
