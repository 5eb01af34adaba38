"""The calm after a storm: what the API, the agent's memory and the host tell, for the judges."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.chaos.invariants import Violation, judge
from tests.chaos.load import User
from tests.chaos.site import Site

from hakoiri.cli.api_client import ApiClient, ApiError

CALM_TIMEOUT_S: Final = 600.0
USABLE_TIMEOUT_S: Final = 300.0
POLL_S: Final = 0.3
SAVING: Final = "files-not-saved"
"""The one error that a conversation may still give: files of before are being saved first."""


def until(holds: Callable[[], bool], *, timeout_s: float) -> bool:
    """Wait for something; whether it came."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def answers(api: ApiClient, path: str) -> bool:
    """Whether the server answers a request well."""
    try:
        api.call("GET", path)
    except ApiError:
        return False
    return True


def recorded(api: ApiClient, conversation: str) -> list[dict[str, Any]]:
    """Return a conversation's whole log."""
    last = api.call("GET", f"/v1/conversations/{conversation}")["last_event"]
    events: list[dict[str, Any]] = []
    for event in api.follow(conversation) if last else ():
        events.append(event)
        if event["id"] >= last:
            break
    return events


def is_usable(api: ApiClient, user: User) -> list[Violation]:
    """Send one more message, which has to be answered; the conversation's files may be saved first.

    Nothing else may be in the way: all is back, and no turn runs.
    """
    conversation = user.promises.conversation
    deadline_s = time.monotonic() + USABLE_TIMEOUT_S
    number = 0
    while True:
        number += 1
        word = f"usable-{conversation[2:10]}-{number}"
        try:
            user.follow(user.say(word if user.promises.is_chat else f"run: echo {word}"))
        except ApiError as error:
            return [Violation("usable", f"a message was refused: {error}", conversation)]
        last = user.promises.seen[-1]
        if last["type"] == "result" and word in last["data"]["text"]:
            return []
        if last["data"].get("code") != SAVING or time.monotonic() > deadline_s:
            return [Violation("usable", f"a message was answered by {last}", conversation)]
        time.sleep(1)


def stored_files(api: ApiClient, conversation: str) -> dict[str, bytes]:
    """Return the contents of all files of a workspace."""
    base = f"/v1/conversations/{conversation}/workspace/files"
    listed = api.call("GET", base)["files"]
    return {
        entry["path"]: api.download(f"{base}/{entry['path']}")
        for entry in listed
        if entry["kind"] == "file"
    }


def transcripts(home: Path) -> Iterator[list[str]]:
    """Return what the user said by each transcript of the agent, as it lies on the host."""
    for path in home.glob(".claude/projects/*/*.jsonl"):
        yield list(said_in(path.read_text(errors="replace").splitlines()))


def said_in(lines: Sequence[str]) -> Iterator[str]:
    """Return the user's texts of a transcript; a line that is cut short is passed over."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("type") != "user":
            continue
        content = entry.get("message", {}).get("content")
        for block in [content] if isinstance(content, str) else content or []:
            text = block if isinstance(block, str) else block.get("text")
            if isinstance(text, str):
                yield text


def judged(site: Site, users: Sequence[User], journal: Sequence[Sequence[str]]) -> list[Violation]:
    """Judge all conversations at once; `journal` has the user's texts of each model request."""

    def one(user: User) -> list[Violation]:
        try:
            return _judged(site, user, journal)
        except ApiError as error:
            return [Violation("usable", str(error), user.promises.conversation)]

    with ThreadPoolExecutor(max_workers=len(users)) as at_once:
        return [violation for found in at_once.map(one, users) for violation in found]


def _judged(site: Site, user: User, journal: Sequence[Sequence[str]]) -> list[Violation]:
    promises = user.promises
    api = site.api(promises.tenant)
    violations = is_usable(api, user)
    log = recorded(api, promises.conversation)
    started = [event["data"] for event in log if event["type"] == "turn_started"]
    if not started:
        return [*violations, Violation("usable", "no turn ever started", promises.conversation)]
    # of the turn that was sent when all was calm
    home = () if promises.is_chat else (started[-1]["container"], "home")
    homes = [one.tree.joinpath(*home) for one in site.servers if home]
    return violations + judge(
        log,
        promises,
        hits=site.hits,
        stored={} if promises.is_chat else stored_files(api, promises.conversation),
        told=[*journal, *(texts for home in homes for texts in transcripts(home))],
    )
