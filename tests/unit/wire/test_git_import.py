"""What may be asked for; names are held against git's own judgement."""

import subprocess
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from hakoiri.wire.base64_text import encode
from hakoiri.wire.git_import import (
    CloneFailed,
    CloneRequest,
    GitSource,
    check_ref,
    check_url,
    clone_line_adapter,
    directory_of,
    host_of,
    is_commit,
)

GOOD = {
    "https://git.example.com/acme/site.git": "https://git.example.com/acme/site.git",
    "HTTPS://Git.Example.COM/Acme/": "https://git.example.com/Acme",
    "http://git.example.com:8080/a": "http://git.example.com:8080/a",
    "https://git.example.com/~me/a%20b.git": "https://git.example.com/~me/a%20b.git",
    "https://git.example.com/at@sign/x": "https://git.example.com/at@sign/x",
}
BAD = [
    "",
    "git.example.com/acme/site.git",
    "ssh://git.example.com/a",
    "git@git.example.com:acme/site.git",
    "git://git.example.com/a",
    "file:///etc",
    "/etc",
    "ext::sh -c id",
    "https::git.example.com/a",
    "ext::https://git.example.com/a",
    "--upload-pack=x",
    "https://-x.example.com/a",
    "https://localhost/a",
    "https://127.0.0.1/a",
    "https://127.1/a",
    "https://0.0x7f/a",
    "https://[::1]/a",
    "https://git.example.com",
    "https://git.example.com/",
    "https://git.example.com//a",
    "https://git.example.com/a//b",
    "https://git.example.com/a/../b",
    "https://git.example.com/./b",
    "https://git.example.com/a%2e%2E/b",
    "https://git.example.com/a%2Fb",
    "https://git.example.com/a%00b",
    "https://git.example.com/a%5cb",
    "https://git.example.com/a%b",
    "https://git.example.com/a?b",
    "https://git.example.com/a#b",
    "https://git.example.com/a b",
    "https://git.example.com/a\n",
    "https://git.example.com\\@evil.example/a",
    "https://git.example.com:0/a",
    "https://git.example.com:65536/a",
    "https://git.example.com:/a",
    "https://gït.example.com/a",
    "https://git.example.com/ä",
    "https://" + "a" * 64 + ".example.com/a",
    "https://git.example.com/" + "a" * 2100,
]


@pytest.mark.parametrize(("url", "plain"), GOOD.items())
def test_a_url_comes_out_in_its_plain_form(url: str, plain: str) -> None:
    assert GitSource(url=url).url == plain


@pytest.mark.parametrize("url", BAD)
def test_no_other_transport_and_no_unclear_url_is_taken(url: str) -> None:
    with pytest.raises(ValidationError):
        GitSource(url=url)


@pytest.mark.parametrize(
    "url",
    ["https://me:secret@git.example.com/a", "https://token@git.example.com/a", "http://@h.test/a"],
)
def test_a_login_in_the_url_is_refused_with_the_mend_and_not_told(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GitSource(url=url)
    (problem,) = refused.value.errors()
    assert "credential proxy's own file" in problem["msg"]
    assert "secret" not in problem["msg"]
    assert "token" not in problem["msg"]


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{1,40}", fullmatch=True))
def test_what_is_taken_is_read_alike_by_others(text: str) -> None:
    try:
        url = check_url(text)
    except ValueError:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.username, parts.query, parts.fragment) == (
        url.partition(":")[0],
        None,
        "",
        "",
    )
    assert host_of(url) == parts.netloc
    assert check_url(url) == url
    assert url.isascii()
    assert url.isprintable()


REFS = ["main", "v1.0", "feature/a-b", "a" * 40, "@a", "ü", "a.b", "refs/heads/x"]
NOT_REFS = [
    *("", "@", "-x", "--upload-pack=x", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a/b.lock/c"),
    *("a..b", "a.", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}", "a\nb", "a\x7f"),
    *("a" * 256, "ü" * 128, "\ud800"),
]


@pytest.mark.parametrize("ref", REFS)
def test_a_branch_a_tag_or_a_commit_is_taken(ref: str) -> None:
    assert check_ref(ref) == ref


@pytest.mark.parametrize("ref", NOT_REFS)
def test_what_git_would_not_take_is_refused(ref: str) -> None:
    with pytest.raises(ValueError, match="name a branch"):
        check_ref(ref)


def gits_judgement(ref: str) -> bool:
    """What `git check-ref-format` says, and that of a branch, which begins with no dash."""
    command = ["git", "check-ref-format", "--allow-onelevel", ref]
    taken = subprocess.run(command, check=False, capture_output=True).returncode == 0
    return taken and not ref.startswith("-")


PIECES = st.sampled_from(
    [
        *"aB1./-@{~^:?*[\\ \t\x7f\x01ü_+%'\";$(",
        *("..", "@{", ".lock", "lock"),
    ]
)


@example("-a")
@given(st.lists(PIECES, min_size=1, max_size=6).map("".join))
def test_the_judgement_is_gits_own(ref: str) -> None:
    try:
        check_ref(ref)
        is_taken = True
    except ValueError:
        is_taken = False
    assert is_taken == gits_judgement(ref)


def test_a_commit_is_its_whole_hash() -> None:
    assert is_commit("a1" * 20)
    assert is_commit("0" * 64)
    assert not any(map(is_commit, ("main", "a1b2c3d", "A1" * 20, "g" * 40, "0" * 41)))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.test/acme/site.git", "site"),
        ("https://h.test/site", "site"),
        ("https://h.test/a%20b.git", None),
        ("https://h.test/.git", None),
        ("https://h.test/...git", None),
        ("https://h.test/-x", None),
    ],
)
def test_a_clone_gets_the_name_that_git_would_give(url: str, name: str | None) -> None:
    assert directory_of(url) == name


@pytest.mark.parametrize("depth", [0, -1, 100_001])
def test_a_depth_has_bounds(depth: int) -> None:
    with pytest.raises(ValidationError):
        GitSource(url="https://h.test/a", depth=depth)


def test_a_request_and_its_lines_are_closed() -> None:
    source = GitSource(url="https://h.test/a")
    with pytest.raises(ValidationError):
        CloneRequest(source=source, target="no base64!")
    assert CloneRequest(source=source, target=encode(b"\xff")).target
    for line in (
        b"{}",
        b'{"type": "done", "commit": "main"}',
        b'{"type": "done", "commit": "' + b"0" * 40 + b'", "more": 1}',
        b'{"type": "failed", "code": "other", "text": ""}',
        b'{"type": "progress", "stage": "receiving", "percent": 101}',
        b'{"type": "progress", "stage": "rm -rf", "percent": 1}',
    ):
        with pytest.raises(ValidationError):
            clone_line_adapter.validate_json(line)
    failed = CloneFailed(code="login", text="x")
    assert clone_line_adapter.validate_json(failed.model_dump_json()) == failed
