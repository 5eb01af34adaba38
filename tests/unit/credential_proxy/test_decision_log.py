import json
from collections.abc import Callable
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Injection, Refuse, Upstream
from hakoiri.credential_proxy.decision_log import DecisionLog, Outcome, Owner, path_of
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.signing_scope import SigningScope

OWNER = Owner(container="c", workspace="w", tenant="t", generation=3)


def head(target: str, method: str = "GET") -> RequestHead:
    secrets = (("authorization", "Bearer planted"), ("cookie", "planted"))
    return RequestHead(method=method, target=target, version=(1, 1), headers=secrets)


def written(stream: StringIO) -> dict[str, object]:
    [line] = stream.getvalue().split("\n")[:-1]
    assert line.isascii()
    assert line.isprintable()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_request_that_was_let_through_is_one_line_without_headers_or_query() -> None:
    stream = StringIO()
    forward = Forward(
        route="model",
        method="POST",
        upstream=Upstream("https", Authority("a.test", 443), "/x"),
        headers=(("x-api-key", "planted"),),
        rule="model:a",
        injection=Injection("a", SigningScope("us-east-1", "bedrock")),
    )
    outcome = Outcome(status=200, bytes_up=1, bytes_down=2, first_byte_ms=1.23456, total_ms=2.0)
    outcome.secrets = ("b", "c")
    DecisionLog(stream).decided(
        owner=OWNER, head=head("/x?token=planted"), decision=forward, outcome=outcome
    )
    line = written(stream)
    assert line["event"] == "proxy_request_allowed"
    assert line["secrets"] == ["b", "c"]
    assert (line["credential"], line["rule"], line["path"]) == ("a", "model:a", "/x")
    assert (line["container"], line["workspace"], line["tenant"]) == ("c", "w", "t")
    assert (line["generation"], line["first_byte_ms"]) == (3, 1.235)
    assert "planted" not in stream.getvalue()


@given(st.text(max_size=50))
def test_nothing_in_a_path_can_end_or_colour_the_line(text: str) -> None:
    stream = StringIO()
    refuse = Refuse(403, "host-not-allowed", "why", "egress", Authority("a.test", 80), "*.b.test")
    outcome = Outcome(status=403, reason=refuse.code)
    DecisionLog(stream).decided(
        owner=OWNER, head=head(f"/\n\x1b[31m\udcff{text}"), decision=refuse, outcome=outcome
    )
    line = written(stream)
    assert line["event"] == "proxy_request_blocked"
    assert (line["host"], line["port"], line["rule"]) == ("a.test", 80, "*.b.test")


def test_what_is_logged_is_ascii() -> None:
    stream = StringIO()
    refuse = Refuse(403, "host-not-allowed", "why", "egress", None, None)
    owner = Owner(container="c\u2028\x9b", workspace="\u202e")
    DecisionLog(stream).decided(
        owner=owner, head=head("/\x85\u2029"), decision=refuse, outcome=Outcome(status=403)
    )
    assert stream.getvalue().isascii()
    assert len(stream.getvalue().splitlines()) == 1


def test_a_request_that_could_not_be_read_is_a_line_too() -> None:
    stream = StringIO()
    outcome = Outcome(status=400, reason="bad-request")
    DecisionLog(stream).unreadable(owner=Owner(container="c"), outcome=outcome)
    line = written(stream)
    assert (line["event"], line["reason"]) == ("proxy_request_blocked", "bad-request")


def test_the_path_is_cut_and_stands_without_authority() -> None:
    assert path_of(head("http://user:planted@a.test/x/y?z#f")) == "/x/y"
    assert path_of(head("a.test:443", method="CONNECT")) == ""
    assert len(path_of(head("/" + "a" * 10_000))) == 256


def test_lines_of_one_turn_are_written_together_and_each_turn_asks_once() -> None:
    stream, asked = StringIO(), list[Callable[[], None]]()
    log = DecisionLog(stream)
    log.write_soon(asked.append)
    outcome = Outcome(status=400, reason="bad-request")
    for container in ("a", "b"):
        log.unreadable(owner=Owner(container=container), outcome=outcome)
    assert (stream.getvalue(), len(asked)) == ("", 1)
    asked.pop()()
    assert [json.loads(line)["container"] for line in stream.getvalue().splitlines()] == ["a", "b"]
    log.unreadable(owner=Owner(container="c"), outcome=outcome)
    assert len(asked) == 1
    log.flush()
    asked.pop()()
    assert len(stream.getvalue().splitlines()) == 3
