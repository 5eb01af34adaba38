"""A backup of a database of PostgreSQL, made while it is written, and put back into a new one."""

import shutil
import threading
from pathlib import Path
from typing import Self

import pytest
from tests.conftest import give_up
from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.e2e.test_backup import destroy, hakoiri, verified
from tests.e2e.test_failures import is_gapless
from tests.engine import TestEngine
from tests.postgresql_server import PostgresqlServer
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

TURNS_LIMIT = 50


class Busy:
    """Turns and policies, one after the other, until it is told to stop."""

    def __init__(self, server: Hakoiri) -> None:
        self.server = server
        self.conversation = server.conversation()
        self.last: list[int] = []
        """Of each turn that is over, its last event."""

        self._stop = threading.Event()
        self._begun = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._turns, self._policies)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        assert self._begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _turns(self) -> None:
        for number in range(TURNS_LIMIT):
            events = self.server.turn(self.conversation, f"run: echo {number} >> lines")
            self.last.append(events[-1]["id"])
            self._begun.set()
            if self._stop.is_set():
                return

    def _policies(self) -> None:
        while not self._stop.is_set():
            self.server.api.call("PUT", "/v1/policies/web", {"rules": []})


def test_a_database_saved_while_it_is_written_comes_back_gapless(
    engine: TestEngine, image: str, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None:
        give_up("there is no pg_dump; deployment/setup/host.sh --for test gets it")
    server = prepare(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_DATABASE_URL": postgresql.new_database(),
        },
    )
    backup = tmp_path / "backup"
    with server.server:
        quiet = server.conversation()
        server.turn(quiet, "run: echo kept > kept")
        events = server.log(quiet)
        with Busy(server) as busy:
            over = len(busy.last)
            said = hakoiri(server, "backup", "create", str(backup))
        assert "NOT in it" not in said
        log = server.log(busy.conversation)
        destroy(server)
    assert (backup / "database/hakoiri.dump").stat().st_size > 0
    hakoiri(server, "backup", "restore", "--settings", str(backup))

    # into the database of then nothing can be put: it is not empty
    hakoiri(server, "backup", "restore", str(backup), exit_code=1)
    assert not server.data_dir.exists()
    server.server._environment["HAKOIRI_DATABASE_URL"] = postgresql.new_database()
    hakoiri(server, "backup", "restore", str(backup))
    assert all(chain["broken"] is None for chain in verified(server).values())

    with server.server:
        assert server.log(quiet) == events
        assert server.api.call("GET", "/v1/policies/web")["rules"] == []
        path = f"/v1/conversations/{busy.conversation}"
        until(lambda: not server.api.call("GET", path)["running"], "the turn that is taken up")
        assert is_gapless(server, busy.conversation)
        again = server.log(busy.conversation)
        kept = busy.last[over - 1]
        assert again[:kept] == log[:kept], "all that was over before the backup"
        after = server.turn(quiet, "run: cat kept")
        assert data_of(after, "tool_result")[0]["text"].split() == ["kept"]
        lines = data_of(server.turn(busy.conversation, "run: cat lines"), "tool_result")[0]["text"]
        numbers = [int(line) for line in lines.split()]
        assert numbers[:over] == list(range(over))
