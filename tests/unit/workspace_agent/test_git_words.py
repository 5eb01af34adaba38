import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.git_import import CloneProgress
from hakoiri.workspace_agent.git_words import GitWords

SAID = (
    b"Cloning into 'tree'...\n"
    b"remote: Enumerating objects: 10, done.        \n"
    b"remote: Counting objects:  50% (5/10)        \r"
    b"remote: Counting objects: 100% (10/10), done.\n"
    b"Receiving objects:  10% (1/10)\rReceiving objects:  10% (1/10), 1.00 MiB | 2.00 MiB/s\r"
    b"Receiving objects: 100% (10/10), done.\n"
    b"Resolving deltas: 100% (1/1), done.\nUpdating files:  12% (1/8)\r"
)


def told(words: GitWords, said: bytes) -> list[tuple[str, int | None]]:
    return [(one.stage, one.percent) for one in words.take(said)]


def test_it_is_told_how_far_git_is_once_for_each_percent() -> None:
    assert told(GitWords(), SAID) == [
        ("counting", 50),
        ("counting", 100),
        ("receiving", 10),
        ("receiving", 100),
        ("resolving", 100),
        ("updating", 12),
    ]


@given(st.data())
def test_pieces_tell_the_same_as_the_whole(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(SAID)), max_size=5)))
    words, seen = GitWords(), list[CloneProgress]()
    for start, end in zip([0, *cuts], [*cuts, len(SAID)], strict=True):
        seen += words.take(SAID[start:end])
    assert seen == GitWords().take(SAID)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("fatal: write error: No space left on device", "no-space"),
        ("error: unable to create file x: Disk quota exceeded", "no-space"),
        ("error: unable to write file x\nfatal: unable to checkout working tree", "no-space"),
        ("error: unable to write file x: Permission denied", "failed"),
        (
            "fatal: could not read Username for 'https://h.test': terminal prompts disabled",
            "login",
        ),
        ("fatal: Authentication failed for 'https://h.test/a/'", "login"),
        (
            "fatal: unable to access 'https://h/': Received HTTP code 403 from proxy after CONNECT",
            "refused",
        ),
        (
            "fatal: unable to access 'https://h.test/a/': CONNECT tunnel failed, response 403",
            "refused",
        ),
        (
            "fatal: unable to access 'http://h.test/a/': The requested URL returned error: 403",
            "refused",
        ),
        ("fatal: repository 'https://h.test/a/' not found", "no-such-repository"),
        (
            "warning: Could not find it.\nfatal: Remote branch x not found in upstream origin",
            "no-such-ref",
        ),
        ("fatal: couldn't find remote ref abc", "no-such-ref"),
        ("fatal: remote error: upload-pack: not our ref abc", "no-such-ref"),
        ("fatal: unable to access 'https://h.test/a/': Could not resolve host", "failed"),
    ],
)
def test_its_last_words_say_why_it_gave_up(said: str, code: str) -> None:
    words = GitWords()
    words.take(f"Cloning into 'tree'...\n{said}\n".encode())
    found, text = words.failure()
    assert found == code
    assert text.startswith(("fatal:", "error:"))
    assert "Cloning into" not in text


def test_what_the_other_side_says_is_told_but_not_how_it_counts() -> None:
    words = GitWords()
    words.take(SAID + b"\nremote: Total 3 (delta 0), reused 0\nremote: Ask Ann.\nfatal: no\n")
    assert words.failure() == ("failed", "remote: Ask Ann.; fatal: no")


def test_words_without_end_are_cut() -> None:
    words = GitWords()
    words.take(b"fatal: " + b"x" * 1_000_000)
    for number in range(1000):
        words.take(f"fatal: line {number}\n".encode() + b"y" * 10_000 + b"\n")
    code, text = words.failure()
    assert code == "failed"
    assert len(text) <= 2000
    assert len(words._lines) == 20
    assert GitWords().failure() == ("failed", "git gave no reason")


@given(st.binary(max_size=300))
def test_nothing_that_a_server_says_breaks_it(said: bytes) -> None:
    words = GitWords()
    words.take(said)
    words.failure()
