import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hakoiri.audit.shipping.configuration import ShipLaunch
from hakoiri.cli import service as module
from hakoiri.cli.doctor import production_required
from hakoiri.cli.main import app
from hakoiri.cli.service import (
    SPECS,
    Process,
    prepare_all,
    require_read_only_cgroups,
)
from hakoiri.cli.supervisor.preparation import Account, Ground, PreparationError, lay_out
from hakoiri.cli.supervisor.process import ProcessSpec
from hakoiri.docker_guard.kernel_mounts import MS_RDONLY, MountPoint
from hakoiri.docker_guard.rules import GuardLaunch
from hakoiri.host import settings as host_settings
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.tracing.launch import TracingLaunch

INSTANCE = "0123456789ab"
IMAGE = "sha256:" + "ab" * 32


@pytest.fixture(autouse=True)
def accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of the image, which a host need not have."""

    def account(name: str) -> Account:
        return Account(name, os.geteuid(), os.getegid())

    monkeypatch.setattr("hakoiri.cli.supervisor.preparation.account", account)
    monkeypatch.setattr(module, "become", lambda spec: None)  # or the tests would be replaced


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A directory for sockets: a short path."""
    made = Path(tempfile.mkdtemp(prefix="hk-"))
    yield made / "run"
    shutil.rmtree(made)


@pytest.fixture
def settings(tmp_path: Path, run_dir: Path) -> Settings:
    return host_settings.load(
        data_dir=tmp_path / "data",
        run_dir=run_dir,
        container={"image": IMAGE},
        guard={"live_dir": tmp_path / "live"},
        audit={"dir": tmp_path / "audit"},
        proxy={
            "file": tmp_path / "own/proxy_file",
            "env_file": tmp_path / "own/none",
            "state_dir": tmp_path / "state",
        },
    )


def said(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["service", *arguments], env=environment)
    return done.exit_code, done.output


@pytest.mark.parametrize("instance", ["", "../../etc", "0123456789AB", "0123456789abc"])
def test_an_instance_that_is_none_makes_no_path(instance: str) -> None:
    code, text = said("reader", f"--instance={instance}")
    assert code == 2
    assert "12 hex digits" in text


def test_a_process_that_there_is_not_is_a_usage_error() -> None:
    assert said("supervisor", f"--instance={INSTANCE}")[0] == 2


@pytest.mark.parametrize("own", ["relative=1:1:700", "/a", "/a=1:1", "/a=1:1:999", "/a=-1:1:700"])
def test_a_directory_to_own_is_told_by_its_form(settings: Settings, own: str) -> None:
    with pytest.raises(PreparationError, match="--own"):
        prepare_all(settings, INSTANCE, [own])
    assert not settings.data_dir.exists(), "nothing was made"


@pytest.mark.root
def test_preparing_makes_all_places_and_can_be_done_again(
    settings: Settings, tmp_path: Path
) -> None:
    own = f"{tmp_path}/stores/redis=4711:4712:2750"
    for _ in range(2):
        prepare_all(settings, INSTANCE, [own])
    ground = lay_out(settings, INSTANCE)
    assert (settings.data_dir / "instance").read_text().strip() == INSTANCE
    for made in (ground.proxy_dir, ground.guard_dir, ground.tree, ground.disks):
        assert made.is_dir()
    assert ground.audit is not None
    assert all(path.is_dir() for path in (*ground.audit.chains.values(), ground.audit.keeper))
    status = (tmp_path / "stores/redis").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (4711, 4712, 0o2750)


@pytest.mark.root
def test_another_installations_data_is_not_taken(settings: Settings) -> None:
    prepare_all(settings, INSTANCE, [])
    with pytest.raises(PreparationError, match=f"is that of {INSTANCE}"):
        prepare_all(settings, "ba9876543210", [])


def spec_of(process: Process, settings: Settings) -> ProcessSpec:
    return SPECS[process](settings, lay_out(settings, INSTANCE))


def test_each_process_is_told_where_all_lies(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Path] = []

    def show(tree: Path, *, stage: Path) -> None:
        shown.append(tree)

    monkeypatch.setattr(module, "show_boxes", show)
    guard = spec_of(Process.GUARD, settings)
    launch = GuardLaunch.model_validate_json(guard.standard_input)
    assert launch.tree == tmp_path / "live" / INSTANCE
    assert launch.rules.images == {IMAGE: IMAGE}
    assert launch.rules.instances == (INSTANCE,)
    assert shown == [launch.tree]
    proxy = spec_of(Process.PROXY, settings)
    assert str(settings.proxy.file) in proxy.arguments
    assert str(tmp_path / "audit" / INSTANCE / "proxy") in proxy.arguments
    for process in (Process.KEEPER, Process.READER):
        assert (
            str(tmp_path / "audit" / INSTANCE / "guard").encode()
            in spec_of(process, settings).standard_input
        )


def test_the_guard_alone_asks_what_a_tag_means(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's container has no engine to ask."""
    tagged = settings.model_copy(
        update={"container": settings.container.model_copy(update={"image": "box:1"})}
    )
    monkeypatch.setattr(module, "show_boxes", lambda tree, stage: None)
    monkeypatch.setattr(module, "mount_points", list)
    settings.data_dir.mkdir()
    server = spec_of(Process.SERVER, tagged)
    for descriptor in server.inherited:
        os.close(descriptor)
    assert ServerLaunch.model_validate_json(server.standard_input).image == "box:1"
    monkeypatch.setattr(module, "trusted_image", lambda _: IMAGE)
    launch = GuardLaunch.model_validate_json(spec_of(Process.GUARD, tagged).standard_input)
    assert launch.rules.images == {"box:1": IMAGE}


def test_the_server_leaves_its_boxes_and_holds_the_lock(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.data_dir.mkdir()
    monkeypatch.setattr(module, "mount_points", list)
    spec = spec_of(Process.SERVER, settings)
    launch = ServerLaunch.model_validate_json(spec.standard_input)
    assert launch.keep_containers
    assert launch.image == IMAGE
    with pytest.raises(PreparationError, match="another hakoiri serve"):
        spec_of(Process.SERVER, settings)
    for descriptor in spec.inherited:
        os.close(descriptor)


def test_a_server_that_could_write_control_groups_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Path("/sys/fs/cgroup")
    points = [
        MountPoint(here, 0, "tmpfs"),
        MountPoint(here / "memory", MS_RDONLY, "cgroup"),
        MountPoint(here / "unified", MS_RDONLY, "cgroup2"),
    ]
    monkeypatch.setattr(module, "mount_points", lambda: points)
    require_read_only_cgroups()
    for kind in ("cgroup", "cgroup2"):
        points.append(MountPoint(here / "pids", 0, kind))
        with pytest.raises(PreparationError, match=r"pids can be written.*cgroup-v1\.yml"):
            require_read_only_cgroups()
        points.pop()


def test_without_an_audit_log_there_is_nothing_to_keep(settings: Settings, tmp_path: Path) -> None:
    without = settings.model_copy(update={"audit": settings.audit.model_copy()})
    object.__setattr__(without.audit, "enabled", False)
    with pytest.raises(PreparationError, match="HAKOIRI_AUDIT__ENABLED"):
        spec_of(Process.KEEPER, without)


def test_the_shipper_reads_a_file_of_its_own_and_reports_where_the_server_looks(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "account", lambda name: Account(name, 911, 912))
    with pytest.raises(PreparationError, match="copied nowhere"):
        spec_of(Process.SHIPPER, settings)
    file = tmp_path / "ship_file"
    file.write_text('[[target]]\nname = "share"\nkind = "file"\ndirectory = "/srv/copy"\n')
    file.chmod(0o400)
    object.__setattr__(settings.audit, "ship_file", file)
    launch = ShipLaunch.model_validate_json(spec_of(Process.SHIPPER, settings).standard_input)
    assert [target.name for target in launch.targets] == ["share"]
    monkeypatch.setattr(module, "mount_points", list)
    settings.data_dir.mkdir()
    server = spec_of(Process.SERVER, settings)
    for descriptor in server.inherited:
        os.close(descriptor)
    told = ServerLaunch.model_validate_json(server.standard_input).ship_status
    assert told == launch.status_file
    file.chmod(0o440)
    with pytest.raises(PreparationError, match="HAKOIRI_AUDIT__SHIP_FILE"):
        spec_of(Process.SHIPPER, settings)


@pytest.mark.root
def test_preparing_makes_the_shippers_places_where_there_is_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hakoiri.cli.supervisor.audit_shipping.account", lambda name: Account(name, 911, 912)
    )
    ground = lay_out(settings, INSTANCE)
    assert ground.audit is not None
    prepare_all(settings, INSTANCE, [])
    assert not ground.audit.shipper.exists()
    object.__setattr__(settings.audit, "ship_file", tmp_path / "ship_file")
    prepare_all(settings, INSTANCE, [])
    assert ground.audit.shipper.stat().st_uid == 911
    assert (ground.run_dir / "ship").stat().st_uid == 911


def test_server_and_proxy_are_told_where_spans_go(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spec_of(Process.PROXY, settings).standard_input == b""
    traced = TracingSettings(endpoint="http://172.31.84.1:4318")
    object.__setattr__(settings, "tracing", traced)
    monkeypatch.setattr(module, "mount_points", list)
    settings.data_dir.mkdir()
    server, proxy = spec_of(Process.SERVER, settings), spec_of(Process.PROXY, settings)
    for descriptor in server.inherited:
        os.close(descriptor)
    launch = TracingLaunch.model_validate_json(proxy.standard_input)
    assert launch.endpoint == traced.traces_url
    assert ServerLaunch.model_validate_json(server.standard_input).tracing == launch


def test_a_stack_in_production_is_told_what_it_lacks_a_line_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["production: a: not there; mend: get one", "production: b: no; mend: do"]
    images: list[Settings] = []
    monkeypatch.setattr(production_required, "lacking", lambda _: lines)
    monkeypatch.setattr(module, "trusted_image", images.append)
    code, text = said("production", f"--instance={INSTANCE}")
    assert (code, images) == (2, [])
    assert text.splitlines() == [f"hakoiri service production: {line}" for line in lines]
    lines.clear()
    assert said("production", f"--instance={INSTANCE}") == (0, "")
    assert len(images) == 1, "and the image's signature is looked at"


def test_laying_out_makes_nothing(settings: Settings, tmp_path: Path) -> None:
    ground: Ground = lay_out(settings, INSTANCE)
    assert ground.lock == -1
    assert list(tmp_path.iterdir()) == []
