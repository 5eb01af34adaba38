from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.coordination.bounded_news import BoundedNews
from hakoiri.host.coordination.ports import News, Topic


def test_each_subject_waits_once_and_nothing_waits_after_it_was_taken() -> None:
    news = BoundedNews()
    for subject in ("a", "b", "a"):
        news.add(Topic.EVENTS, subject)
    news.add(Topic.POOL, "")
    assert news.take() == [
        News(Topic.EVENTS, frozenset({"a", "b"})),
        News(Topic.POOL, frozenset({""})),
    ]
    assert not news
    assert news.take() == []


def test_a_reader_that_is_too_far_behind_is_told_to_look_at_all_of_the_topic() -> None:
    news = BoundedNews(limit=2)
    for subject in ("a", "b", "c", "d"):
        news.add(Topic.EVENTS, subject)
    news.add(Topic.CLOSED, "a")
    assert news.take() == [News(Topic.EVENTS, None), News(Topic.CLOSED, frozenset({"a"}))]


def test_what_could_not_be_passed_on_waits_again() -> None:
    news = BoundedNews()
    news.add(Topic.EVENTS, "later")
    news.put_back(News(Topic.EVENTS, frozenset({"earlier"})))
    news.put_back(News(Topic.CLOSED, None))
    assert news.take() == [
        News(Topic.EVENTS, frozenset({"earlier", "later"})),
        News(Topic.CLOSED, None),
    ]


def test_after_a_break_every_topic_is_to_be_looked_at() -> None:
    news = BoundedNews()
    news.add(Topic.EVENTS, "a")
    news.add_everything()
    assert {(one.topic, one.subjects) for one in news.take()} == {(topic, None) for topic in Topic}


@given(st.lists(st.tuples(st.sampled_from(Topic), st.text(max_size=3))), st.integers(1, 5))
def test_memory_is_bounded_and_nothing_is_forgotten(
    told: list[tuple[Topic, str]], limit: int
) -> None:
    news = BoundedNews(limit=limit)
    for topic, subject in told:
        news.add(topic, subject)
    taken = {one.topic: one.subjects for one in news.take()}
    assert all(subjects is None or len(subjects) <= limit for subjects in taken.values())
    for topic, subject in told:
        subjects = taken[topic]
        assert subjects is None or subject in subjects
