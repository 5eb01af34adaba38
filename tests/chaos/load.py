"""What users do meanwhile: each conversation has one, who talks, writes, reads and interrupts.

A user notes what is acknowledged, and is as patient as a client should be: what breaks off is
asked for again from where it broke off, and nothing is sent twice.
"""

import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from tests.chaos.endings import ENDS
from tests.chaos.promises import Outcome, Promises, Sent, Wrote

from hakoiri.cli.api_client import ApiClient, ApiError

TURN_TIMEOUT_S: Final = 600.0
"""No turn of ours works for longer than some seconds; what is above is waiting for what is away."""

PAUSE_S: Final = 0.3


Acts = tuple[tuple[Callable[[], None], int], ...]
"""What a user does, and how often beside the rest."""


class User(threading.Thread):
    """Uses one conversation until told to stop."""

    def __init__(self, *, apis: Sequence[ApiClient], promises: Promises, seed: str) -> None:
        """Go to any of the servers behind `apis`, as through a load balancer."""
        super().__init__(name=f"user of {promises.conversation}", daemon=True)
        self.promises = promises
        self._apis = apis
        self._api = apis[0]
        self._chance = Random(seed)  # noqa: S311 - it has to be repeatable, not secret
        self._place = f"/v1/conversations/{promises.conversation}"
        self._number = 0
        self._stopping = threading.Event()
        chatting: Acts = (
            (self._talk, 4),
            (self._listen, 2),
            (self._interrupt_talk, 2),
            (self._rest, 1),
        )
        working: Acts = (
            (self._write_in_turn, 4),
            (self._write_slowly, 3),
            (self._listen, 2),
            (self._steps, 2),
            (self._interrupt, 2),
            (self._put, 3),
            (self._read, 3),
            (self._remove, 1),
            (self._run, 3),
            (self._run_beside_a_turn, 2),
            (self._rest, 1),
        )
        self._acts = chatting if promises.is_chat else working

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    def run(self) -> None:
        """Do one thing after another."""
        acts, weights = zip(*self._acts, strict=True)
        while not self._stopping.is_set():
            (act,) = self._chance.choices(acts, weights)
            self._api = self._chance.choice(self._apis)
            try:
                act()
            except ApiError:
                self._stopping.wait(PAUSE_S)
            except Exception as error:  # noqa: BLE001 - what no client should meet is a finding
                self.promises.faults.append(f"{act.__name__}: {error!r}")
            self._stopping.wait(self._chance.uniform(0, 2 * PAUSE_S))

    def say(self, text: str) -> int | None:
        """Send a message; return its turn if it was acknowledged."""
        try:
            answer = self._api.call("POST", f"{self._place}/messages", {"text": text})
        except ApiError as error:
            self.promises.sent.append(Sent(text, self._outcome(error)))
            raise
        sent = Sent(text, "acknowledged", turn=answer["turn"], event=answer["event"])
        self.promises.sent.append(sent)
        return sent.turn

    def follow(self, turn: int | None) -> None:
        """See a turn's events to its end, whatever breaks off."""
        if turn is None:
            return
        deadline_s = time.monotonic() + TURN_TIMEOUT_S
        while time.monotonic() < deadline_s:
            after = self.promises.seen[-1]["id"] if self.promises.seen else 0
            try:
                for event in self._api.follow(self.promises.conversation, after=after):
                    self.promises.seen.append(event)
                    if event["turn"] == turn and event["type"] in ENDS:
                        return
                    if time.monotonic() > deadline_s:
                        break
            except ApiError:
                self._api = self._chance.choice(self._apis)
                time.sleep(PAUSE_S)
        self.promises.faults.append(f"turn {turn} did not end within {TURN_TIMEOUT_S:g} s")

    def _token(self) -> str:
        self._number += 1
        return f"{self.promises.conversation[2:10]}-{self._number}"

    def _writing(self, pause_s: float) -> str:
        token = self._token()
        path, word = f"turn-{token}", f"wrote-{token}"
        self.promises.wrote.append(Wrote(path, f"{token}\n".encode(), word))
        return f"run: echo {token} > {path}; sleep {pause_s:.1f}; echo {word}"

    def _write_in_turn(self) -> None:
        self.follow(self.say(self._writing(0)))

    def _write_slowly(self) -> None:
        self.follow(self.say(self._writing(self._chance.uniform(1, 4))))

    def _listen(self) -> None:
        self.follow(self.say(f"speak slowly to {self._token()}"))

    def _steps(self) -> None:
        self.follow(self.say(f"steps {self._token()}"))

    def _talk(self) -> None:
        self.follow(self.say(f"hello to {self._token()}"))

    def _interrupt(self) -> None:
        self._end_early(self.say(self._writing(5)))

    def _interrupt_talk(self) -> None:
        self._end_early(self.say(f"speak slowly to {self._token()}"))

    def _end_early(self, turn: int | None) -> None:
        if turn is not None:
            self.promises.interrupted.add(turn)
        time.sleep(self._chance.uniform(0.1, 3))
        try:
            self._api.call("POST", f"{self._place}/interrupt")
        except ApiError as error:
            self._outcome(error)
        self.follow(turn)

    def _put(self) -> None:
        path, content = f"put/{self._token()}", self._chance.randbytes(2000)
        self.promises.doubtful.add(path)
        try:
            self._upload(path, content)
        except ApiError as error:
            self._outcome(error)
            raise
        self.promises.files[path] = content
        self.promises.doubtful.discard(path)

    def _upload(self, path: str, content: bytes) -> None:
        self._api.upload(
            f"{self._place}/workspace/files/{path}", iter([content]), size=len(content)
        )

    def _read(self) -> None:
        """What is read is what was written, or nothing."""
        known = [path for path, content in self.promises.files.items() if content is not None]
        if not known:
            return
        path = self._chance.choice(known)
        try:
            found = self._api.download(f"{self._place}/workspace/files/{path}")
        except ApiError as error:
            self._outcome(error)
            raise
        if found != self.promises.files[path]:
            self.promises.faults.append(f"{path} was read as {found[:40]!r}, {len(found)} bytes")

    def _remove(self) -> None:
        known = [path for path, content in self.promises.files.items() if content is not None]
        if not known:
            return
        path = self._chance.choice(known)
        self.promises.doubtful.add(path)
        try:
            self._api.call("DELETE", f"{self._place}/workspace/files/{path}")
        except ApiError as error:
            self._outcome(error)
            raise
        self.promises.files[path] = None
        self.promises.doubtful.discard(path)

    def _run(self) -> None:
        """A command writes a file; it is promised when the command has ended well."""
        token = self._token()
        path = f"run-{token}"
        self.promises.doubtful.add(path)
        command = {"argv": ["sh", "-c", f"echo {token} > {path}"], "timeout_s": 20}
        try:
            ended = self._api.call("POST", f"{self._place}/workspace/exec", command)
        except ApiError as error:
            self._outcome(error)
            raise
        if ended["exit_code"] == 0:
            self.promises.files[path] = f"{token}\n".encode()
            self.promises.doubtful.discard(path)

    def _run_beside_a_turn(self) -> None:
        turn = self.say(self._writing(2))
        try:
            self._run()
            self._put()
        except ApiError:
            pass  # noted already
        self.follow(turn)

    def _rest(self) -> None:
        """Say nothing for so long that the container is frozen, or collected."""
        self._stopping.wait(self._chance.uniform(5, 15))

    def _outcome(self, error: ApiError) -> Outcome:
        """Return what an error means; one that no client should see is noted."""
        problem: Any = error.problem
        if problem is None:
            return "unknown"
        if problem.status == 500:
            self.promises.faults.append(f"the answer was 500: {problem.detail}")
        return "refused" if problem.status < 500 else "unknown"
