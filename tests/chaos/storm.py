"""A storm from its first strike to the reckoning."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from tests.chaos.aftermath import CALM_TIMEOUT_S, answers, judged, recorded, until
from tests.chaos.disturbances import DISTURBANCES, REDIS, kinds_of
from tests.chaos.endings import struck_at_work
from tests.chaos.forgotten import end_forgotten, held_disks
from tests.chaos.hits import end, hit_of, never_hit
from tests.chaos.host_state import engine_answers, left_behind
from tests.chaos.invariants import Violation, leftovers, struck
from tests.chaos.load import User
from tests.chaos.log_lines import around
from tests.chaos.promises import Promises
from tests.chaos.rest import CLOSED_TIMEOUT_S, GONE_TIMEOUT_S, at_rest, grown, warm_up
from tests.chaos.schedule import Strike, plan
from tests.chaos.site import MODEL, TENANTS, Site, site
from tests.chaos.upkeep import Upkeep
from tests.engine import PrivateEngine

from hakoiri.cli.api_client import ApiError

TICK_S: Final = 0.1
WAIT_S: Final = 45.0
COMPLAINTS: Final = (
    "was never retrieved",
    "was never awaited",
    "Unclosed",
    "ResourceWarning",
    "Exception ignored",
    '"event": "turn failed"',
    "files_lost",
)
"""What no process may log: tasks and descriptors that nobody owns, faults that nobody foresaw."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Weather:
    """How hard a storm is."""

    seed: int
    seconds: float = 75.0
    every_s: float = 4.0
    users: int = 4
    chats: int = 1
    """Users whose conversations have no container."""

    kinds: tuple[str, ...] = ()
    """What is struck, as `disturbances.kinds_by` knows it; nothing means everything."""

    servers: int = 1
    """How many there are, on one database."""

    lull_s: float = 5.0
    """How long a server that is up again is left alone before a strike that waits for it."""

    @property
    def is_shared(self) -> bool:
        """Whether the server shares its database by a Redis.

        Every second seed's does, and where Redis is to be struck, or there are several.
        """
        is_struck = any(word.startswith(REDIS) for word in self.kinds)
        return is_struck or self.servers > 1 or self.seed % 2 == 0


@dataclass(slots=True)
class Outcome:
    """What a storm left: a time line of strikes, violations, and what is wanted to explain them."""

    weather: Weather
    root: Path
    time_line: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    server_log: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Return the report: how to have the storm again, what came when, what is wrong."""
        lines = [f"seed {self.weather.seed}: {self.weather}", f"logs and data: {self.root}"]
        lines += self.time_line
        lines += [f"{name}: {count}" for name, count in self.counts.items()]
        for conversation in sorted({one.conversation for one in self.violations} - {""}):
            lines.append(f"events of {conversation}:")
            lines += [_line(event) for event in self.logs.get(conversation, [])]
        for violation in self.violations:
            lines.append(f"the server's log around: {violation.rule}, {violation.detail[:200]}")
            events = self.logs.get(violation.conversation, [])
            lines += [f"  {line}" for line in around(violation, self.server_log, events)]
        lines += [f"VIOLATION {v.rule}: {v.detail} {v.conversation}" for v in self.violations]
        return "\n".join(lines)


def _line(event: dict[str, Any]) -> str:
    data = json.dumps(event["data"])
    at = event["time"][11:23]
    return f"  {event['id']:4} {at} turn {event['turn']} {event['type']} {data[:300]}"


class Journal(threading.Thread):
    """Reads the model's journal while the storm lasts: a model that is killed forgets its own."""

    def __init__(self, port: int) -> None:
        super().__init__(name="journal", daemon=True)
        self._port = port
        self._over = threading.Event()
        self.histories: dict[str, list[str]] = {}

    def run(self) -> None:
        """Look each second."""
        while not self._over.wait(1.0):
            with suppress(URLError, OSError, ValueError):
                self.look()

    def look(self) -> None:
        """Keep what the journal holds now."""
        url = f"http://127.0.0.1:{self._port}/_rehearsal/requests"
        with urlopen(url, timeout=5) as answer:
            for entry in json.load(answer)["requests"]:
                self.histories[f"{entry['time']} {entry['user_text']}"] = entry["user_texts"]

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def rage(root: Path, weather: Weather, *, engine: PrivateEngine, image: str, say: Say) -> Outcome:
    """Have one storm below `root`, and judge what it left."""
    outcome = Outcome(weather, root)
    with site(
        root, engine=engine, image=image, is_shared=weather.is_shared, servers=weather.servers
    ) as place:
        warm_up(place)
        before, outcome.violations = at_rest(place)
        users = _users(place, weather)
        journals = [Journal(one.rehearsal_port) for one in place.servers]
        for thread in (*users, *journals):
            thread.start()
        tell = _teller(outcome, say)
        upkeep = Upkeep(place, tell)
        _strike(place, weather, upkeep)
        for user in users:
            user.stop()
        _calm(upkeep, outcome, users)
        for journal in journals:
            journal.end()
        tell("all is back, and every turn has ended")
        told = [history for one in journals for history in one.histories.values()]
        outcome.violations += judged(place, users, told)
        _count(place, users, outcome)
        tell("every conversation has been judged")
        _give_up(place, users)
        left, explained = grown(place, before)
        outcome.violations += left
        outcome.time_line += explained
        tell(f"at rest: {len(left)} things are not as they should be")
        upkeep.look()
        outcome.violations += _stopped(place)
        outcome.counts["containers that the engine forgot"] = len(place.forgotten)
        tell("every server has been stopped")
        logs = [one.server.log.read_text(errors="replace") for one in place.servers]
        outcome.server_log = "\n".join(logs).splitlines()
        outcome.violations += _complaints(outcome.server_log)
        outcome.violations += [Violation("exit", fault) for fault in place.faults]
    return outcome


def _stopped(place: Site) -> list[Violation]:
    """Stop the servers; return what is left of them."""
    for one in place.servers:
        place.stop(one)
    until(lambda: engine_answers(place), timeout_s=GONE_TIMEOUT_S)
    end_forgotten(place)
    until(lambda: not held_disks(place), timeout_s=CLOSED_TIMEOUT_S)
    return leftovers(left_behind(place))


def _users(place: Site, weather: Weather) -> list[User]:
    users = []
    for number in range(weather.users + weather.chats):
        is_chat = number >= weather.users
        tenant = TENANTS[number % len(TENANTS)]
        wanted = {"kind": "chat", "model": MODEL} if is_chat else {}
        made = place.api(tenant).call("POST", "/v1/conversations", wanted)["id"]
        promises = Promises(made, tenant, is_chat=is_chat)
        users.append(
            User(apis=place.apis(tenant), promises=promises, seed=f"{weather.seed}/{number}")
        )
    return users


def _teller(outcome: Outcome, say: Say) -> Say:
    """Return what tells a line of the time line, with the time since now."""
    began_s = time.monotonic()

    def tell(text: str) -> None:
        at = f"{datetime.now(UTC):%H:%M:%S.%f}"[:12]
        line = f"{at} +{time.monotonic() - began_s:.1f} s {text}"
        outcome.time_line.append(line)
        say(line)

    return tell


def _strike(place: Site, weather: Weather, upkeep: Upkeep) -> None:
    """Do what is planned, each at its time or as soon as what is before it is done.

    In this thread: an engine or a server that a thread started would end with it.
    """
    began_s, tell = time.monotonic(), upkeep.tell
    kinds = kinds_of(is_shared=weather.is_shared, only=weather.kinds)
    strikes = plan(weather.seed, kinds=kinds, seconds=weather.seconds, every_s=weather.every_s)

    waited_s = 0.0
    for strike in strikes:
        while time.monotonic() - began_s < strike.at_s + waited_s:
            upkeep.look()
            time.sleep(TICK_S)
        if strike.waits:
            waited_s += _wait(upkeep, lull_s=weather.lull_s)
        upkeep.look()  # what ended before is none of the strike's doing
        tell(f"{strike.kind}, {strike.act}: {_do(place, strike)}")
    while time.monotonic() - began_s < weather.seconds + waited_s:
        upkeep.look()
        time.sleep(TICK_S)
    tell("the storm is over")


def _wait(upkeep: Upkeep, *, lull_s: float) -> float:
    """Wait for the server to answer, and let it work for a moment; return how long that took.

    Not for it to be ready: the engine or the store may be away for as long as the storm wants. Nor
    for one that stands still: it goes on when its time comes, which would be put off for ever.
    """
    if upkeep.place.frozen:
        return 0.0
    began_s = time.monotonic()

    def is_up() -> bool:
        upkeep.look()
        return all(answers(one.api, "/health") for one in upkeep.place.servers)

    if not is_up() and until(is_up, timeout_s=WAIT_S):
        time.sleep(lull_s)
    return time.monotonic() - began_s


def _do(place: Site, strike: Strike) -> str:
    """Strike, or bring back what was away; what it hit is noted."""
    disturbance, at = DISTURBANCES[strike.kind], datetime.now(UTC)
    if strike.act == "begin":
        told = disturbance.begin(place, strike.pick)
        hit = hit_of(strike.kind, told, at=at, holds=disturbance.end is not None)
        place.hits.extend([hit] if hit is not None else [])
        return told
    told = disturbance.end(place) if disturbance.end is not None else ""
    end(place.hits, strike.kind, at=datetime.now(UTC))
    return told


def _calm(upkeep: Upkeep, outcome: Outcome, users: list[User]) -> None:
    """Wait until all is back, and all turns have ended."""
    place = upkeep.place

    def is_ready() -> bool:
        upkeep.look()
        return all(answers(one.api, "/ready") for one in place.servers)

    if not until(is_ready, timeout_s=CALM_TIMEOUT_S):
        tails = [one.server.log_tail() for one in place.servers]
        outcome.violations.append(Violation("ready", "\n".join(tails)))
        return
    deadline_s = time.monotonic() + CALM_TIMEOUT_S
    for user in users:
        user.join(max(1.0, deadline_s - time.monotonic()))
        conversation = user.promises.conversation
        api = place.api(user.promises.tenant)

        def has_ended(path: str = f"/v1/conversations/{conversation}") -> bool:
            with suppress(ApiError):
                return not api.call("GET", path)["running"]  # noqa: B023 - called at once
            return False

        if user.is_alive() or not until(has_ended, timeout_s=CALM_TIMEOUT_S):
            detail = "its turn runs long after the storm"
            outcome.violations.append(Violation("ends", detail, conversation))


def _count(place: Site, users: list[User], outcome: Outcome) -> None:
    """Keep the logs, count what the load and the storm were, and whether the storm hit anybody."""
    counts, weather = outcome.counts, outcome.weather
    kinds = [kind.name for kind in kinds_of(is_shared=weather.is_shared, only=weather.kinds)]
    outcome.violations += struck(kinds, place.hits, seconds=weather.seconds)
    for missed in never_hit(kinds, place.hits):
        outcome.time_line.append(f"{missed} hit nobody")
    counts["hits"] = len(place.hits)
    for user in users:
        conversation = user.promises.conversation
        log = recorded(place.api(user.promises.tenant), conversation)
        outcome.logs[conversation] = log
        at_work = struck_at_work(log, place.hits)
        counts["turns struck at work"] = counts.get("turns struck at work", 0) + len(at_work)
        for event in log:
            name = f"{event['type']}s"
            if event["type"] == "error":
                name = f"error {event['data']['code']}"
            if event["type"] in ("user_message", "result", "error", "container_recovered"):
                counts[name] = counts.get(name, 0) + 1
        for name, found in (
            (
                "messages acknowledged",
                [s for s in user.promises.sent if s.outcome == "acknowledged"],
            ),
            (
                "messages without an answer",
                [s for s in user.promises.sent if s.outcome == "unknown"],
            ),
            ("files acknowledged", list(user.promises.files)),
        ):
            counts[name] = counts.get(name, 0) + len(found)


def _give_up(place: Site, users: list[User]) -> None:
    """Delete half of the conversations; the others are the stop's to see to."""
    for user in users[::2]:
        api = place.api(user.promises.tenant)
        with suppress(ApiError):
            api.call("DELETE", f"/v1/conversations/{user.promises.conversation}")


def _complaints(lines: Sequence[str]) -> list[Violation]:
    return [
        Violation("log", line[:2000])
        for line in lines
        if any(complaint in line for complaint in COMPLAINTS)
    ]
