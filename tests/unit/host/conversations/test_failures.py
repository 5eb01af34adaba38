import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    ContainersError,
    EngineError,
)
from hakoiri.host.conversations import failures
from hakoiri.host.conversations.model import StopReason
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.files.ports import FilesError


class EveryRoomsError(StoreError, ContainersError, FilesError):
    pass


def test_an_error_of_the_database_is_told_as_such_in_every_phase() -> None:
    error = EveryRoomsError("disk full")
    assert failures.error_while_starting(error).code == "record-failed"
    assert failures.error_while_working(error).code == "record-failed"


def test_the_one_error_in_a_group_is_the_cause() -> None:
    grouped = ExceptionGroup("x", [ExceptionGroup("y", [AgentProtocolError("lie")])])
    assert failures.error_while_working(grouped).code == "agent-protocol"
    assert failures.is_known(grouped)
    assert not failures.is_known(ExceptionGroup("x", [EngineError("a"), EngineError("b")]))


def test_only_a_lost_agent_is_asked_after() -> None:
    assert failures.is_loss(AgentUnreachableError("x"))
    assert not failures.is_loss(AgentProtocolError("x"))


def test_the_reason_of_a_loss_is_told() -> None:
    told = failures.error_while_working(AgentUnreachableError("cut"), why_lost="out of memory")
    assert "cut" in told.text
    assert "out of memory" in told.text


def test_an_unforeseen_error_keeps_its_words() -> None:
    told = failures.error_while_working(ZeroDivisionError("a secret"))
    assert told.code == "internal"
    assert "a secret" not in told.text


@pytest.mark.parametrize("reason", StopReason)
def test_a_stopped_turn_carries_its_reason_as_code(reason: StopReason) -> None:
    assert failures.stopped(reason).code == reason


@given(st.integers(3000, 6000))
def test_no_message_is_too_long_for_an_event(length: int) -> None:
    text = "é" * length
    assert len(failures.error_while_starting(EngineError(text)).text) <= 4096
    assert len(failures.clip(text)) <= 4096
