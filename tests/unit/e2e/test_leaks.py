import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.leaks import (
    held_by,
    leaks_in,
    leaks_of_containers,
    leaks_of_processes,
    needles_of,
)

SECRET = b"planted-secret-of-this-test"
NEEDLES = {"SITE_TOKEN": SECRET}
KEY = b"hk_" + b"0123456789abcdef" + b"_" + b"a" * 64


def test_the_secrets_among_variables_are_found_by_their_names() -> None:
    environment = {
        "SITE_TOKEN": "planted-token",
        "STORE_SECRET_ACCESS_KEY": "planted-key",
        "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY": "planted-rehearsal",
        "DB_PASSWORD": "planted-password",
        "STORE_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "SHORT_TOKEN": "short",
        "HAKOIRI_PROXY__KEY_FILE": "/a/path/of/ours",
        "PATH": "/usr/bin:/bin",
    }
    raw = b"\0".join(f"{name}={value}".encode() for name, value in environment.items())
    assert needles_of(raw) == {
        "SITE_TOKEN": b"planted-token",
        "STORE_SECRET_ACCESS_KEY": b"planted-key",
        "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY": b"planted-rehearsal",
        "DB_PASSWORD": b"planted-password",
    }
    assert needles_of(b"") == {}


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"..planted-secret-", b"of-this-test.."], {"SITE_TOKEN"}),
        ([b"Basic " + base64.b64encode(SECRET + b":more")], {"SITE_TOKEN"}),
        ([b"called with " + KEY], {"an API key"}),
        ([KEY[:30], KEY[30:] + SECRET], {"an API key", "SITE_TOKEN"}),
        ([SECRET[:-1], b" ", KEY[:-1]], set()),
        ([], set()),
    ],
)
def test_what_is_in_a_stream_is_told_by_name(chunks: list[bytes], found: set[str]) -> None:
    assert held_by(chunks, NEEDLES) == found


def test_files_are_searched_past_their_holes_and_links_are_left(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    sparse = tree / "below" / "sparse"
    with sparse.open("wb") as file:
        file.seek(1 << 40)  # reading it whole would take minutes
        file.write(b"x" * 4096 + SECRET)
        file.truncate(1 << 42)
    (tmp_path / "outside").write_bytes(SECRET)
    (tree / "link").symlink_to(tmp_path / "outside")
    (tree / "linked").symlink_to(tmp_path)
    (tree / "plain").write_bytes(b"nothing")
    os.mkfifo(tree / "fifo")
    assert leaks_in([tree, tmp_path / "gone"], NEEDLES) == [f"SITE_TOKEN in {sparse}"]
    assert leaks_in([tmp_path / "outside"], NEEDLES) == [f"SITE_TOKEN in {tmp_path / 'outside'}"]


def test_processes_are_searched_and_one_that_is_gone_holds_nothing() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "SITE_TOKEN": SECRET.decode()},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # before, the kernel may not show its variables yet
        found = leaks_of_processes([process.pid], NEEDLES)
        process.communicate(b"\n")
    assert found == [f"SITE_TOKEN in /proc/{process.pid}/environ"]
    assert leaks_of_processes([process.pid], NEEDLES) == []


def test_what_the_engine_tells_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        'case "$3" in\n'
        'ps) [ "$7" = label=hakoiri.instance=i ] && echo c1;;\n'
        f"inspect) echo TOLD={SECRET.decode()};;\n"
        "logs) echo nothing;;\nesac\n"
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    label = "hakoiri.instance=i"
    assert leaks_of_containers("unix:///e", label, NEEDLES) == ["SITE_TOKEN in docker inspect c1"]
    assert leaks_of_containers("unix:///e", "hakoiri.instance=j", NEEDLES) == []
