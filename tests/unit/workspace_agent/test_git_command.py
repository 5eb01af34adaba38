from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.git_import import GitSource, check_ref
from hakoiri.workspace_agent.git_command import commands, environment, git

URL = "https://git.example.com/acme/site.git"


def test_a_branch_is_cloned_by_its_name_and_a_commit_fetched_by_its_hash() -> None:
    (clone,) = commands(GitSource(url=URL, ref="v1", depth=3), "tree")
    assert clone[-6:] == ["--no-recurse-submodules", "--branch=v1", "--depth=3", "--", URL, "tree"]
    (usual,) = commands(GitSource(url=URL), "tree")
    assert usual[-4:] == ["--no-recurse-submodules", "--", URL, "tree"]
    steps = commands(GitSource(url=URL, ref="a" * 40, depth=3), "tree")
    assert [next(word for word in step if word in VERBS) for step in steps] == [
        "init",
        "remote",
        "fetch",
        "checkout",
    ]
    assert steps[2][-4:] == ["--depth=3", "--", "origin", "a" * 40]


VERBS = {"clone", "init", "remote", "fetch", "checkout"}


@given(st.text(alphabet="-=abu/.", min_size=1, max_size=12))
def test_no_name_becomes_an_option(ref: str) -> None:
    try:
        check_ref(ref)
    except ValueError:
        return
    (clone,) = commands(GitSource(url=URL, ref=ref), "tree")
    given_names = [word for word in clone if ref in word and not word.startswith("http")]
    assert f"--branch={ref}" in given_names
    assert clone[clone.index("--") + 1 :] == [URL, "tree"]


def test_only_the_way_out_is_taken_from_the_boxs_environment() -> None:
    own = {
        "PATH": "/bin",
        "https_proxy": "http://127.0.0.1:3128",
        "GIT_SSL_CAINFO": "/ca.pem",
        "no_proxy": "*",
        "HOME": "/home/agent",
        "XDG_CONFIG_HOME": "/home/agent/.config",
        "GIT_CONFIG_COUNT": "1",
        "GIT_SSH_COMMAND": "sh",
        "GIT_EXTERNAL_DIFF": "sh",
        "GIT_TEMPLATE_DIR": "/home/agent/template",
        "LD_PRELOAD": "x",
    }
    made = environment(own, GitSource(url=URL))
    assert (made["PATH"], made["https_proxy"], made["GIT_SSL_CAINFO"]) == (
        "/bin",
        "http://127.0.0.1:3128",
        "/ca.pem",
    )
    assert not {*made} & {"no_proxy", "XDG_CONFIG_HOME", "GIT_CONFIG_COUNT", "GIT_SSH_COMMAND"}
    assert not {*made} & {"GIT_EXTERNAL_DIFF", "GIT_TEMPLATE_DIR", "LD_PRELOAD"}
    assert made["HOME"] == "/nonexistent"


def test_a_protocol_that_is_not_asked_for_is_closed() -> None:
    assert environment({}, GitSource(url=URL))["GIT_ALLOW_PROTOCOL"] == "https"
    plain = GitSource(url="http://git.example.com/a")
    assert environment({}, plain)["GIT_ALLOW_PROTOCOL"] == "http:https"


def test_settings_come_before_the_verb() -> None:
    call = git("clone", "x")
    assert call[0] == "git"
    assert call[-2:] == ["clone", "x"]
    assert set(call[1:-2:2]) == {"-c"}
