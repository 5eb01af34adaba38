"""News that wait for a reader or for a connection: each subject once, and never more than a bound.

Pure.
"""

from typing import Final

from hakoiri.host.coordination.ports import News, Topic

SUBJECTS_LIMIT: Final = 1024
"""Of one topic; a reader that is further behind has to look at all of it."""


class BoundedNews:
    """What waits, by topic."""

    def __init__(self, *, limit: int = SUBJECTS_LIMIT) -> None:
        self._limit = limit
        self._waiting: dict[Topic, set[str] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, topic: Topic, subject: str) -> None:
        """Note one; beyond the limit the topic is to be looked at as a whole."""
        subjects = self._waiting.setdefault(topic, set())
        if subjects is None:
            return
        subjects.add(subject)
        if len(subjects) > self._limit:
            self._waiting[topic] = None

    def add_all(self, topic: Topic) -> None:
        """Note that some of the topic were missed."""
        self._waiting[topic] = None

    def add_everything(self) -> None:
        """Note that some of any topic may have been missed."""
        for topic in Topic:
            self.add_all(topic)

    def put_back(self, news: News) -> None:
        """Let news wait again that could not be passed on."""
        if news.subjects is None:
            self.add_all(news.topic)
            return
        for subject in news.subjects:
            self.add(news.topic, subject)

    def take(self) -> list[News]:
        """Return all that waits, the oldest topic first; nothing waits any more."""
        waiting, self._waiting = self._waiting, {}
        return [
            News(topic, None if subjects is None else frozenset(subjects))
            for topic, subjects in waiting.items()
        ]
