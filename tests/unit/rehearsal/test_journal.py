from datetime import UTC, datetime

from hakoiri.rehearsal.journal import TEXT_LIMIT_CHARS, Entry, Journal, shortened


def entry(path: str) -> Entry:
    return Entry(
        time=datetime(2026, 1, 1, tzinfo=UTC),
        method="POST",
        path=path,
        provider="bedrock",
        operation="invoke",
        verdict="valid",
        status=200,
    )


def test_the_oldest_entries_go_when_the_journal_is_full() -> None:
    journal = Journal(capacity=2)
    for path in ("/1", "/2", "/3"):
        journal.record(entry(path))
    assert [kept.path for kept in journal.entries()] == ["/2", "/3"]


def test_a_long_text_is_shortened_and_a_short_one_kept() -> None:
    assert shortened("x" * TEXT_LIMIT_CHARS) == "x" * TEXT_LIMIT_CHARS
    assert len(shortened("x" * 10_000)) == TEXT_LIMIT_CHARS
