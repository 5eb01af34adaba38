from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.conversations.scripted import NOW

from hakoiri.host.conversations.chat_history import ChatHistory
from hakoiri.wire.events import (
    ConversationEvent,
    Error,
    EventData,
    Result,
    TextDelta,
    TurnStarted,
    UserMessage,
)


def log(*data: EventData) -> list[ConversationEvent]:
    return [
        ConversationEvent.of(number=number, time=NOW, conversation_id="c", turn=1, data=item)
        for number, item in enumerate(data, start=1)
    ]


def history_of(*data: EventData, limit_chars: int = 1000) -> list[tuple[str, str]]:
    history = ChatHistory(limit_chars=limit_chars)
    history.add(log(*data))
    return history.messages()


def test_questions_and_answers_alternate_and_the_open_question_is_last() -> None:
    assert history_of(
        UserMessage(text="one"),
        TurnStarted(),
        TextDelta(text="1"),
        Result(text="1"),
        UserMessage(text="two"),
    ) == [("user", "one"), ("assistant", "1"), ("user", "two")]


def test_a_failed_turn_is_left_out() -> None:
    assert history_of(
        UserMessage(text="one"), Error(code="x", text="y"), UserMessage(text="two")
    ) == [("user", "two")]


def test_an_empty_answer_is_left_out_with_its_question() -> None:
    assert history_of(UserMessage(text="one"), Result(text="  "), UserMessage(text="two")) == [
        ("user", "two")
    ]


def test_the_oldest_exchanges_go_first() -> None:
    told = history_of(
        *(item for n in "abc" for item in (UserMessage(text=n * 10), Result(text=n * 10))),
        UserMessage(text="last"),
        limit_chars=45,
    )
    assert [text[0] for _, text in told] == ["b", "b", "c", "c", "l"]


EVENTS = st.lists(
    st.one_of(
        st.text(max_size=5).map(lambda text: UserMessage(text=text)),
        st.text(max_size=5).map(lambda text: Result(text=text)),
        st.just(Error(code="x", text="y")),
        st.just(TextDelta(text="z")),
    )
)


@given(EVENTS)
def test_roles_always_alternate_from_the_user_on(data: list[EventData]) -> None:
    roles = [role for role, _ in history_of(*data, limit_chars=20)]
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))]
