from pathlib import Path

import pytest
from tests.unit.cli.supervisor.test_processes import ground, load

from hakoiri.cli import serve
from hakoiri.cli.supervisor.preparation import Ground, PreparationError
from hakoiri.host.launch import AppArmorKnown, ServerLaunch


def test_what_is_seen_of_apparmor_reaches_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = AppArmorKnown(enabled=True, profiles={"workspace-container": "enforce"})
    monkeypatch.setattr(serve, "read_apparmor", lambda: known)
    monkeypatch.setattr(serve, "trusted_image", lambda _: "image")
    monkeypatch.setattr(serve, "write_proxy_file", lambda _, **__: None)
    monkeypatch.setattr(serve, "open_kernel_log", lambda: None)

    (*_, server) = serve._processes(load(tmp_path), ground(tmp_path), None, keep_containers=False)

    assert ServerLaunch.model_validate_json(server.spec.standard_input).apparmor == known


@pytest.mark.parametrize("left", ["nothing", "a box", "a disk"])
def test_what_may_hold_the_only_copy_of_files_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    made = ground(tmp_path)
    for directory in (made.tree, made.disks, made.run_dir):
        directory.mkdir(parents=True)
    if left != "nothing":
        (made.tree if left == "a box" else made.disks).joinpath("c1").mkdir()
    cleared: list[Ground] = []

    def fail(*_: object, **__: object) -> None:
        raise PreparationError("the engine does not answer")

    monkeypatch.setattr(serve, "prepare", lambda _: made)
    monkeypatch.setattr(serve, "clear", cleared.append)
    monkeypatch.setattr(serve, "_processes", fail)
    with pytest.raises(PreparationError):
        serve._serve(load(tmp_path), keep_containers=False)
    assert (bool(cleared), made.run_dir.exists()) == (left == "nothing", left != "nothing")
