from pathlib import Path

import pytest
from tests.unit.cli.supervisor.test_processes import ground, load
from typer.testing import CliRunner

from hakoiri.cli import serve
from hakoiri.cli.main import app
from hakoiri.cli.pinned_image import EngineSilentError
from hakoiri.cli.supervisor.preparation import Ground, PreparationError
from hakoiri.docker_guard.rules import GuardLaunch
from hakoiri.host.launch import AppArmorKnown, ServerLaunch
from hakoiri.image.errors import ImageBuildError

IMAGE_ID = "sha256:" + "ab" * 32


def test_what_is_seen_of_apparmor_reaches_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = AppArmorKnown(enabled=True, profiles={"workspace-container": "enforce"})
    monkeypatch.setattr(serve, "read_apparmor", lambda: known)
    monkeypatch.setattr(serve, "trusted_image", lambda _: IMAGE_ID)
    monkeypatch.setattr(serve, "write_proxy_file", lambda _, **__: None)
    monkeypatch.setattr(serve, "open_kernel_log", lambda: None)

    (*_, server) = serve._processes(load(tmp_path), ground(tmp_path), None, keep_containers=False)

    assert ServerLaunch.model_validate_json(server.spec.standard_input).apparmor == known


def test_the_guard_is_told_the_images_id_and_the_server_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "trusted_image", lambda _: IMAGE_ID)
    monkeypatch.setattr(serve, "image_reference", lambda _: "box:1")
    monkeypatch.setattr(serve, "write_proxy_file", lambda _, **__: None)
    monkeypatch.setattr(serve, "open_kernel_log", lambda: None)

    made = serve._processes(load(tmp_path), ground(tmp_path), None, keep_containers=False)

    told = {one.spec.name: one.spec.standard_input for one in made}
    launch = GuardLaunch.model_validate_json(told["docker_guard"])
    assert launch.rules.images == {"box:1": IMAGE_ID}
    assert ServerLaunch.model_validate_json(told["server"]).image == "box:1"


@pytest.mark.parametrize(
    ("error", "code"), [(EngineSilentError("silent"), 1), (ImageBuildError("no image"), 2)]
)
def test_an_engine_that_is_silent_is_no_mistake_in_the_settings(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    """A supervisor of ours starts again what ended with 1, and leaves what ended with 2."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(serve, "require_root", lambda: None)
    monkeypatch.setattr(serve, "_serve", fail)
    done = CliRunner().invoke(app, ["serve"])
    assert (done.exit_code, str(error) in done.output) == (code, True)


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
