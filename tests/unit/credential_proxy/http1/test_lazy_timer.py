import asyncio
from collections.abc import Callable
from typing import Any

from hakoiri.credential_proxy.http1.lazy_timer import LazyTimer


class Handle:
    def __init__(self, due_s: float, call: Callable[[], None]) -> None:
        self.due_s = due_s
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """A loop whose clock the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, due_s: float, call: Callable[[], None]) -> Handle:
        self.handles.append(Handle(due_s, call))
        return self.handles[-1]

    def pass_until(self, now_s: float) -> None:
        while due := [h for h in self.handles if h.due_s <= now_s]:
            handle = min(due, key=lambda h: h.due_s)
            self.handles.remove(handle)
            self.now_s = max(self.now_s, handle.due_s)
            if not handle.is_cancelled:
                handle.call()
        self.now_s = now_s


def timed() -> tuple[Loop, LazyTimer, list[float]]:
    loop: Any = Loop()
    fired: list[float] = []
    as_loop: asyncio.AbstractEventLoop = loop
    return loop, LazyTimer(loop=as_loop, action=lambda: fired.append(loop.now_s)), fired


def test_it_fires_once_when_it_is_due() -> None:
    loop, timer, fired = timed()
    timer.set(5)
    loop.pass_until(4.9)
    assert fired == []
    loop.pass_until(100)
    assert fired == [5]


def test_setting_it_anew_moves_it_and_costs_no_timer_of_the_loop() -> None:
    loop, timer, fired = timed()
    for second in range(10):
        loop.pass_until(second)
        timer.set(5)
        assert len(loop.handles) == 1
    loop.pass_until(100)
    assert fired == [14]


def test_an_earlier_time_counts_at_once() -> None:
    loop, timer, fired = timed()
    timer.set(60)
    timer.set(1)
    loop.pass_until(100)
    assert fired == [1]


def test_a_cleared_or_closed_timer_does_not_fire() -> None:
    loop, timer, fired = timed()
    timer.set(1)
    timer.clear()
    loop.pass_until(2)
    timer.set(1)
    timer.close()
    assert all(handle.is_cancelled for handle in loop.handles)
    loop.pass_until(100)
    assert fired == []


def test_it_can_be_set_from_its_own_action() -> None:
    loop: Any = Loop()
    fired: list[float] = []

    def again() -> None:
        fired.append(loop.now_s)
        if len(fired) < 3:
            timer.set(2)

    timer = LazyTimer(loop=loop, action=again)
    timer.set(1)
    loop.pass_until(100)
    assert fired == [1, 3, 5]
