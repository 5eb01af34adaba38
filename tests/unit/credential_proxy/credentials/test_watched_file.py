import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hakoiri.credential_proxy.credentials import watched_file
from hakoiri.credential_proxy.credentials.watched_file import SETTLED_AFTER_NS, WatchedFile
from hakoiri.credential_proxy.errors import ConfigurationError

LATER_NS = 3600 * 10**9


def parse(text: str) -> str:
    if not text.startswith("v"):
        raise ConfigurationError("the content is broken")
    return text


class Written:
    """A file, and how often its content was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0
        self.write("v1")

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o600)

    def replace(self, text: str) -> None:
        other = self.path.with_name("other")
        other.write_text(text)
        other.chmod(0o600)
        other.rename(self.path)

    def parse(self, text: str) -> str:
        self.reads += 1
        return parse(text)

    def watched(self, wall_clock_ns: Callable[[], int] | None = None) -> WatchedFile[str]:
        later = wall_clock_ns or (lambda: time.time_ns() + LATER_NS)
        return WatchedFile(self.path, parse=self.parse, wall_clock_ns=later)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "key")


def test_an_unchanged_file_is_read_once(written: Written) -> None:
    watched = written.watched()
    assert [watched.current() for _ in range(3)] == ["v1"] * 3
    assert written.reads == 1


def test_a_changed_file_is_used_at_the_next_use_however_it_was_written(written: Written) -> None:
    watched = written.watched()
    written.write("v-longer")
    assert watched.current() == "v-longer"
    written.replace("v3")
    assert watched.current() == "v3"
    assert watched.held() == ("v3", "v-longer", "v1")


def test_a_second_write_within_the_clocks_tick_is_not_missed(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that stands still: every write leaves the same times and the same size.
    monkeypatch.setattr(watched_file, "_signature_of", lambda status: (status.st_size,))
    watched = written.watched(wall_clock_ns=time.time_ns)
    written.write("v2")
    assert watched.current() == "v2"
    written.write("v3")
    assert watched.current() == "v3"


def test_a_file_that_has_settled_is_read_no_more(written: Written) -> None:
    changed_ns = written.path.stat().st_ctime_ns
    now_ns = [changed_ns]
    watched = written.watched(wall_clock_ns=lambda: now_ns[0])
    watched.current()
    assert written.reads == 2
    now_ns[0] = changed_ns + SETTLED_AFTER_NS + 1
    watched.current()
    watched.current()
    assert written.reads == 3


@pytest.mark.parametrize("broken", ["", "broken", "\udcff"])
def test_broken_content_keeps_the_old_value_and_is_told(written: Written, broken: str) -> None:
    watched = written.watched()
    written.path.write_text(broken, errors="surrogateescape")
    assert watched.current() == "v1"
    assert watched.fault is not None
    written.write("v2")
    assert watched.current() == "v2"
    assert watched.fault is None


def test_a_file_that_goes_or_is_opened_to_others_keeps_the_old_value(written: Written) -> None:
    watched = written.watched()
    written.path.unlink()
    assert watched.current() == "v1"
    assert "cannot be read" in (watched.fault or "")
    written.write("v2")
    written.path.chmod(0o666)
    assert watched.current() == "v1"
    assert "chmod go-w" in (watched.fault or "")
    written.path.chmod(0o600)
    assert watched.current() == "v2"
    written.path.unlink()
    written.path.symlink_to("/dev/zero")
    assert watched.current() == "v2"


def test_a_file_that_cannot_be_used_from_the_start_is_refused(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(ConfigurationError, match="absent"):
        WatchedFile(absent, parse=parse)
    absent.write_text("broken")
    absent.chmod(0o600)
    with pytest.raises(ConfigurationError, match="broken"):
        WatchedFile(absent, parse=parse)
