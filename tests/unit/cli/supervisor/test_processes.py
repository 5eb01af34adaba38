from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.guard_rules import guard_rules
from hakoiri.cli.supervisor.preparation import Account, Ground, PreparationError
from hakoiri.cli.supervisor.processes import (
    NOBODY,
    engine_directory,
    guard_process,
    proxy_process,
    rehearsal_process,
    server_process,
    server_view,
)
from hakoiri.cli.supervisor.proxy_file import proxy_file
from hakoiri.cli.supervisor.rehearsal import Rehearsal
from hakoiri.docker_guard.rules import GuardLaunch, Rules
from hakoiri.host import settings as host_settings
from hakoiri.host.launch import AppArmorKnown, ServerLaunch
from hakoiri.host.settings import ObjectStoreSettings, Settings

IMAGE_ID = "sha256:" + "ab" * 32
REHEARSAL = Rehearsal(port=9999, access_key_id="AKIATEST", secret_access_key="s" * 40)


def load(tmp_path: Path, **model: Any) -> Settings:
    own = tmp_path / "own"
    own.mkdir(exist_ok=True)
    return host_settings.load(
        data_dir=tmp_path / "data",
        model={"provider": "rehearsal", **model},
        proxy={
            "file": own / "proxy.toml",
            "env_file": own / "proxy.env",
            "state_dir": tmp_path / "state",
        },
    )


def ground(tmp_path: Path) -> Ground:
    return Ground(
        instance="i1",
        run_dir=tmp_path / "run",
        proxy_dir=tmp_path / "run" / "proxy",
        proxy_state_dir=tmp_path / "state" / "i1",
        guard_dir=tmp_path / "run" / "guard",
        audit_dir=tmp_path / "run" / "audit",
        tree=tmp_path / "live" / "i1",
        disks=tmp_path / "live" / "i1.disks",
        server=Account("server", 901, 902),
        proxy=Account("proxy", 903, 904),
        guard=Account("guard", 905, 906),
        keeper=Account("keeper", 907, 908),
        reader=Account("reader", 909, 910),
        audit=AuditGround(tmp_path / "audit" / "i1"),
        lock=-1,
    )


def rules(settings: Settings) -> Rules:
    return guard_rules(settings, instances=["i1"], images={"i": IMAGE_ID}, runtimes=["runc"])


def test_without_a_file_the_provider_gets_its_credential_from_the_proxys_own_environment(
    tmp_path: Path,
) -> None:
    bedrock = proxy_file(load(tmp_path, provider="bedrock", region="eu-west-1"), None)
    assert bedrock["credentials"]["bedrock"]["source"] == "chain"
    assert bedrock["credentials"]["bedrock"]["regions"] == ["eu-west-1"]
    anthropic = proxy_file(load(tmp_path, provider="anthropic"), None)
    assert anthropic["credentials"]["anthropic"]["value_env"] == "ANTHROPIC_API_KEY"


def test_the_rehearsal_is_added_to_the_operators_file_and_nothing_of_it_is_lost(
    tmp_path: Path,
) -> None:
    settings = load(tmp_path)
    settings.proxy.file.write_text(
        '[credentials.other]\nkind = "header"\n[network]\nallow_addresses = ["10.0.0.5:443"]\n'
    )
    content = proxy_file(settings, REHEARSAL)
    assert set(content["credentials"]) == {"other", "bedrock"}
    assert content["network"]["allow_addresses"] == ["10.0.0.5:443", "127.0.0.1:9999"]
    assert REHEARSAL.secret_access_key not in str(content)


def test_a_broken_file_is_told_by_its_setting(tmp_path: Path) -> None:
    settings = load(tmp_path)
    settings.proxy.file.write_text("not toml")
    with pytest.raises(PreparationError, match="HAKOIRI_PROXY__FILE"):
        proxy_file(settings, None)


def test_no_process_inherits_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    settings = load(tmp_path)
    made = [
        rehearsal_process(settings, REHEARSAL),
        proxy_process(settings, ground(tmp_path), REHEARSAL),
        server_process(settings, ground(tmp_path), "image"),
    ]
    assert all("planted" not in spec.environment.values() for spec in made)
    assert [spec.uid for spec in made] == [NOBODY, 903, 901]


def test_only_server_and_guard_have_capabilities_and_the_server_cannot_see_the_proxys_files(
    tmp_path: Path,
) -> None:
    settings = load(tmp_path)
    server = server_process(settings, ground(tmp_path), "image")
    proxy = proxy_process(settings, ground(tmp_path), None)
    assert server.capabilities == ("chown", "fowner", "dac_override")
    assert proxy.capabilities == ()
    assert "sys_admin" not in server.capabilities
    assert server.groups == ()
    assert settings.proxy.file.parent in server.hidden
    assert settings.proxy.state_dir in server.hidden
    assert str(tmp_path / "state" / "i1") in proxy.arguments
    assert tmp_path / "run" / "own" in server.hidden
    assert proxy.hidden == (settings.data_dir, tmp_path / "run" / "guard")
    assert proxy.shown == (tmp_path / "state" / "i1", tmp_path / "audit" / "i1" / "proxy")


def test_the_proxys_files_may_not_lie_beside_what_the_server_needs(tmp_path: Path) -> None:
    settings = host_settings.load(
        data_dir=tmp_path / "data",
        proxy={"file": tmp_path / "proxy.toml", "env_file": tmp_path / "proxy.env"},
    )
    with pytest.raises(PreparationError, match="directory of their own"):
        server_process(settings, ground(tmp_path), "image")


def test_proxy_and_guard_go_on_unrecorded_only_where_it_is_set(tmp_path: Path) -> None:
    for when, goes_on in (("refuse", False), ("continue", True)):
        audit = load(tmp_path).audit.model_copy(update={"when_unavailable": when})
        settings = load(tmp_path).model_copy(update={"audit": audit})
        proxy = proxy_process(settings, ground(tmp_path), None)
        assert ("--audit-goes-on" in proxy.arguments) is goes_on
        guard = guard_process(settings, ground(tmp_path), rules(settings))
        launch = GuardLaunch.model_validate_json(guard.standard_input)
        assert launch.audit_goes_on is goes_on
    assert load(tmp_path).audit.when_unavailable == "refuse"


def test_the_guard_alone_gets_the_engine_and_neither_data_nor_secrets(tmp_path: Path) -> None:
    settings, where = load(tmp_path), ground(tmp_path)
    rules = guard_rules(settings, instances=["i1"], images={"image": IMAGE_ID}, runtimes=["runc"])
    guard = guard_process(settings, where, rules)
    assert guard.uid == 905
    assert "sys_admin" in guard.capabilities
    assert {settings.data_dir, settings.proxy.file.parent, where.run_dir / "own"} <= set(
        guard.hidden
    )
    assert guard.shared == (where.tree, where.disks)
    launch = GuardLaunch.model_validate_json(guard.standard_input)
    assert launch.disks == where.disks
    assert launch.disk_rules.workspace.bytes == settings.container.workspace_mib * 1024**2
    assert launch.client_uids == (901,)
    assert launch.proxy_uid == 903
    assert launch.engine == settings.docker_host
    assert launch.rules.instances == ("i1",)
    assert launch.socket.parent in proxy_process(settings, where, None).hidden
    server = ServerLaunch.model_validate_json(
        server_process(settings, where, "image").standard_input
    )
    assert server.guard_socket == launch.socket


def test_the_guard_needs_no_network_and_has_none(tmp_path: Path) -> None:
    settings, made = load(tmp_path), ground(tmp_path)
    assert not guard_process(settings, made, rules(settings)).has_network
    assert proxy_process(settings, made, None).has_network
    assert server_process(settings, made, "i").has_network


def test_the_server_alone_can_leave_containers(tmp_path: Path) -> None:
    settings, made = load(tmp_path), ground(tmp_path)
    assert server_process(settings, made, "i").can_leave
    assert not proxy_process(settings, made, None).can_leave
    assert not guard_process(settings, made, rules(settings)).can_leave


def test_the_server_can_write_its_stores_and_sees_no_engine(tmp_path: Path) -> None:
    settings = load(tmp_path).model_copy(
        update={
            "object_store_url": "file:///srv/objects",
            "database_url": "sqlite+aiosqlite:////srv/database/hakoiri.sqlite?mode=rw",
            "docker_host": "unix:///srv/engine/docker.sock",
        }
    )
    view = server_view(settings, ground(tmp_path))
    own_chain = tmp_path / "audit" / "i1" / "server"
    assert view.writable == (
        settings.data_dir,
        Path("/srv/objects"),
        Path("/srv/database"),
        own_chain,
    )
    assert own_chain.parent in view.covered, "no other chain, and not the keeper's key"
    assert view.received == (tmp_path / "live" / "i1",)
    assert {Path("/srv/engine"), Path("/run"), Path("/dev")} <= set(view.covered)
    assert Path("/dev") not in view.kept


def test_the_server_alone_sees_the_object_stores_credentials(tmp_path: Path) -> None:
    path = Path("/srv/store/keys.toml")
    settings = load(tmp_path).model_copy(
        update={"object_store": ObjectStoreSettings(credentials_file=path)}
    )
    assert path.parent in server_view(settings, ground(tmp_path)).kept
    assert path.parent in guard_process(settings, ground(tmp_path), rules(settings)).hidden
    beside = load(tmp_path).model_copy(
        update={
            "object_store": ObjectStoreSettings(credentials_file=tmp_path / "own" / "keys.toml")
        }
    )
    with pytest.raises(PreparationError, match="CREDENTIALS_FILE needs a directory of its own"):
        server_view(beside, ground(tmp_path))


def test_the_server_sees_no_image_of_a_disk_and_nothing_of_other_instances(tmp_path: Path) -> None:
    """Whose mounts it would hold on to, and their disks' space."""
    where = ground(tmp_path)
    view = server_view(Settings.model_validate({"data_dir": tmp_path / "data"}), where)
    assert where.disks.parent in view.covered
    seen = (*view.kept, *view.writable, *view.received)
    assert not any(where.disks.is_relative_to(path) or path == where.disks for path in seen)


def test_the_guard_sees_its_own_chain_alone(tmp_path: Path) -> None:
    made, audit = ground(tmp_path), AuditGround(tmp_path / "audit" / "i1")
    guard = guard_process(load(tmp_path), made, rules(load(tmp_path)))
    assert set(audit.others("guard")) <= set(guard.hidden)
    assert audit.chains["guard"] in guard.shown


def test_without_an_audit_log_no_process_is_told_of_one(tmp_path: Path) -> None:
    made = replace(ground(tmp_path), audit=None)
    settings = load(tmp_path)
    proxy = proxy_process(settings, made, None)
    assert "--audit-dir" not in proxy.arguments
    server = ServerLaunch.model_validate_json(server_process(settings, made, "i").standard_input)
    guard = guard_process(settings, made, rules(settings))
    assert server.audit_dir is None
    assert server.audit_reader is None
    assert GuardLaunch.model_validate_json(guard.standard_input).audit_dir is None


@pytest.mark.parametrize(
    "docker_host",
    [
        "tcp://127.0.0.1:2375",
        "unix:///docker.sock",
        "unix:///etc/docker.sock",
        "unix://docker.sock",
    ],
)
def test_an_engine_whose_socket_cannot_be_hidden_is_refused(
    tmp_path: Path, docker_host: str
) -> None:
    settings = load(tmp_path).model_copy(update={"docker_host": docker_host})
    with pytest.raises(PreparationError, match="HAKOIRI_DOCKER_HOST"):
        engine_directory(settings)


def test_an_engine_in_the_servers_own_directory_is_refused(tmp_path: Path) -> None:
    settings = load(tmp_path)
    inside = settings.model_copy(
        update={"docker_host": f"unix://{settings.data_dir}/e/docker.sock"}
    )
    with pytest.raises(PreparationError, match="HAKOIRI_DOCKER_HOST"):
        engine_directory(inside)
    assert engine_directory(
        settings.model_copy(update={"docker_host": "unix:///run/user/1000/docker.sock"})
    ) == Path("/run/user/1000")


def test_the_server_alone_gets_the_lock_and_the_kernels_log_and_is_told_under_which_number(
    tmp_path: Path,
) -> None:
    settings = load(tmp_path)
    server = server_process(settings, ground(tmp_path), "image", kernel_log=9)
    assert server.inherited == (-1, 9)
    assert ServerLaunch.model_validate_json(server.standard_input).kernel_log == 9
    without = server_process(settings, ground(tmp_path), "image")
    assert without.inherited == (-1,), "the lock alone"
    assert ServerLaunch.model_validate_json(without.standard_input).kernel_log is None
    assert proxy_process(settings, ground(tmp_path), None).inherited == ()


def test_the_server_is_told_what_root_saw_of_apparmor(tmp_path: Path) -> None:
    known = AppArmorKnown(enabled=True, profiles={"workspace-container": "enforce"})
    server = server_process(load(tmp_path), ground(tmp_path), "image", apparmor=known)
    assert ServerLaunch.model_validate_json(server.standard_input).apparmor == known
    untold = server_process(load(tmp_path), ground(tmp_path), "image")
    assert not ServerLaunch.model_validate_json(untold.standard_input).apparmor.enabled
