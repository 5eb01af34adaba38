from hakoiri.tracing.tally import TraceTally


def test_the_queue_has_a_bound_and_what_does_not_fit_is_counted() -> None:
    tally = TraceTally(queue_limit=2)
    assert [tally.admit() for _ in range(3)] == [True, True, False]
    assert (tally.waiting, tally.counts()["dropped"]) == (2, 1)
    tally.sent(2, is_taken=True)
    assert tally.admit()
    assert tally.counts() == {"exported": 2, "failed": 0, "dropped": 1, "held_back": 0}


def test_what_was_lost_gives_its_place_back_too() -> None:
    tally = TraceTally(queue_limit=1)
    for _ in range(3):
        assert tally.admit()
        tally.sent(1, is_taken=False)
    assert (tally.waiting, tally.counts()["failed"]) == (0, 3)


def test_a_receiver_that_comes_or_goes_is_told_once() -> None:
    tally = TraceTally(queue_limit=9)
    told = [tally.sent(0, is_taken=taken) for taken in (True, False, False, True, True, False)]
    assert told == [False, True, False, True, False, True]
    assert tally.is_failing


def test_what_is_held_back_is_counted() -> None:
    tally = TraceTally(queue_limit=1)
    tally.hold_back()
    assert tally.counts()["held_back"] == 1
