import asyncio
import os
import sys
from pathlib import Path

import pytest

from hakoiri.credential_proxy.credentials.command_output import (
    OUTPUT_LIMIT_BYTES,
    command_output,
)
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

pytestmark = pytest.mark.anyio
PATIENCE_S = 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def run(*command: str, home: str | None = None) -> str:
    async with asyncio.timeout(PATIENCE_S):
        return await command_output(command, home=home)


async def test_a_command_is_run_without_shell_and_its_output_is_all_there_is() -> None:
    assert await run("/bin/echo", "$HOME; id", "`id`") == "$HOME; id `id`\n"
    assert await run("/bin/cat") == "", "standard input is empty"


async def test_a_command_sees_little_of_the_proxys_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLANTED", "planted")
    lines = (await run("/usr/bin/env", home="/home/a")).splitlines()
    assert {line.partition("=")[0] for line in lines} == {"PATH", "LANG", "HOME"}
    assert "HOME" not in await run("/usr/bin/env")


async def test_what_fails_is_told_without_what_it_printed() -> None:
    with pytest.raises(CredentialError, match="ended with code 3") as failed:
        await run("/bin/sh", "-c", "echo planted; echo planted >&2; exit 3")
    assert "planted" not in str(failed.value)
    with pytest.raises(CredentialError, match="not UTF-8") as failed:
        await run("/usr/bin/printf", "planted\\377")
    assert failed.value.__cause__ is None
    with pytest.raises(CredentialError, match="No such file"):
        await run("/absent/command")


async def test_output_without_end_is_cut_off() -> None:
    assert len(await run("/usr/bin/head", "-c", str(OUTPUT_LIMIT_BYTES), "/dev/zero")) == (
        OUTPUT_LIMIT_BYTES
    )
    with pytest.raises(CredentialError, match="more than"):
        await run("/bin/cat", "/dev/zero")


async def test_a_command_that_is_given_up_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    script = f"sleep 1000 & echo $$ $! > {pids}; wait"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run("/bin/sh", "-c", script))
        parent, child = map(int, (await asyncio.to_thread(pids.read_text)).split())
        running.cancel()
    for pid in (parent, child):
        await _gone(pid)


async def test_a_child_that_is_left_behind_does_not_stay() -> None:
    script = "sleep 1000 >/dev/null & echo $!"
    await _gone(int(await run("/bin/sh", "-c", script)))


async def test_a_program_that_others_can_write_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nprint('ran')\n")
    program.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod go-w"):
        await run(str(program))
    program.chmod(0o700)
    assert await run(str(program)) == "ran\n"


async def _gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while _is_alive(pid):  # noqa: ASYNC110 - somebody else's child has no event to await
            await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
