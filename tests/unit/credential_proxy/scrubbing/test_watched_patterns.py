from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns, StreamScrubber
from hakoiri.credential_proxy.scrubbing.watched_patterns import WatchedPatterns, whose

CARRIED = {
    "first": (Secret("planted-first", name="a"), Secret("planted-older", name="b")),
    "second": (Secret("planted-second", name="c"),),
}
PATTERNS = SecretPatterns.of(secret.reveal() for held in CARRIED.values() for secret in held)


def test_what_is_watched_is_scrubbed_as_ever_and_told() -> None:
    watched = WatchedPatterns(PATTERNS)
    assert watched
    scrubber = StreamScrubber(watched)
    passed = scrubber.feed(b"a planted-se") + scrubber.feed(b"cond b") + scrubber.finish()
    assert passed == b"a ************** b"
    assert scrubber.found == 1
    assert whose(watched.seen, CARRIED) == ("second",)


def test_each_answer_is_told_of_by_itself() -> None:
    one, other = WatchedPatterns(PATTERNS), WatchedPatterns(PATTERNS)
    one.replace(b"planted-older and planted-second")
    assert whose(one.seen, CARRIED) == ("first", "second")
    assert other.seen == set()


def test_a_secret_in_another_spelling_is_told_of_too() -> None:
    watched = WatchedPatterns(PATTERNS)
    watched.replace(b"planted-first".hex().encode())
    assert whose(watched.seen, CARRIED) == ("first",)


def test_one_that_was_replaced_meanwhile_may_be_of_any() -> None:
    assert whose({b"planted-oldest"}, CARRIED) == ("first", "second")


def test_nothing_to_look_for_is_nothing() -> None:
    assert not WatchedPatterns(SecretPatterns.of([]))
