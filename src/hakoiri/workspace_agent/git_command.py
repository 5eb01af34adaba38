"""How git is called to clone, purely: arguments that no name can change, and a bare environment.

Nothing is taken from the box's own settings of git: no hook, template, filter, rewritten URL or
helper for logins. A repository is data; what it says of hooks and submodules is not acted on.
"""

from collections.abc import Mapping
from typing import Final

from hakoiri.wire.git_import import GitSource, is_commit

_KEPT: Final = ("GIT_SSL_CAINFO", "HTTPS_PROXY", "HTTP_PROXY", "PATH", "http_proxy", "https_proxy")
"""The way out, and whom to trust on it."""

_SETTINGS: Final = {
    "advice.detachedHead": "false",
    "core.askPass": "",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",  # else a daemon of git's may stay behind
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
}
"""git-config(1). Redirects stay within the protocols that the environment allows."""


def environment(own: Mapping[str, str], source: GitSource) -> dict[str, str]:
    """Return git's environment: the way out of `own`, and no settings but ours."""
    kept = {name: own[name] for name in _KEPT if name in own}
    scheme = source.url.partition(":")[0]
    return kept | {
        "GIT_ALLOW_PROTOCOL": "https" if scheme == "https" else "http:https",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": "/nonexistent",  # no .netrc
        "LC_ALL": "C.UTF-8",  # failures are told apart by their words
    }


def commands(source: GitSource, directory: str) -> list[list[str]]:
    """Return the commands that make a clone in the new `directory`, one after the other.

    A branch or a tag is cloned by its name; a commit, which has none, is fetched by its hash.
    """
    depth = [f"--depth={source.depth}"] if source.depth is not None else []
    if source.ref is None or not is_commit(source.ref):
        branch = [f"--branch={source.ref}"] if source.ref is not None else []
        clone = ["clone", "--progress", "--template=", "--no-recurse-submodules", *branch, *depth]
        return [git(*clone, "--", source.url, directory)]
    return [
        git("init", "--quiet", "--template=", "--", directory),
        git("-C", directory, "remote", "add", "--", "origin", source.url),
        git(
            *("-C", directory, "fetch", "--progress", "--no-recurse-submodules", *depth),
            *("--", "origin", source.ref),
        ),
        git("-C", directory, "checkout", "--progress", "--detach", "FETCH_HEAD"),
    ]


def git(*arguments: str) -> list[str]:
    """Return a call of git under our settings alone."""
    given = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return ["git", *given, *arguments]
