from hakoiri.rehearsal.attempts import Attempts


def test_tries_of_one_request_are_counted_from_zero() -> None:
    attempts = Attempts()
    assert [attempts.next("a"), attempts.next("b"), attempts.next("a")] == [0, 0, 1]


def test_a_forgotten_request_starts_anew() -> None:
    attempts = Attempts()
    attempts.next("a")
    attempts.forget("a")
    attempts.forget("never seen")
    assert attempts.next("a") == 0


def test_memory_is_bounded_and_keeps_what_was_seen_last() -> None:
    attempts = Attempts(capacity=2)
    for fingerprint in ("a", "b", "a", "c"):
        attempts.next(fingerprint)
    assert attempts.next("a") == 2
    assert attempts.next("b") == 0
