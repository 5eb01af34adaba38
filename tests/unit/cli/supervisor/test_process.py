import json
from pathlib import Path
from typing import Any

from hakoiri.cli.supervisor.process import ProcessSpec, SealedView, launch_command

SPEC = ProcessSpec(
    name="server",
    arguments=("-m", "hakoiri.host"),
    uid=900,
    gid=901,
    groups=(7, 8),
    capabilities=("chown",),
    hidden=(Path("/etc/hakoiri"),),
)


def plan_of(spec: ProcessSpec) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(
        launch_command(spec, shown=(Path("/code"),), supervisor_pid=77)[-1]
    )
    return plan


def test_rights_are_given_up_before_the_program_runs() -> None:
    command = plan_of(SPEC)["command"]
    rights = command[: command.index("--")]
    assert rights[0] == "setpriv"
    assert {"--reuid=900", "--regid=901", "--no-new-privs"} <= set(rights)
    assert rights[rights.index("--groups") + 1] == "7,8"
    assert command[-2:] == ["-m", "hakoiri.host"]


def test_only_the_named_capabilities_stay_and_none_can_come_back() -> None:
    rights = plan_of(SPEC)["command"]
    for kind in ("inh-caps", "ambient-caps", "bounding-set"):
        assert f"--{kind}=-all,+chown" in rights


def test_a_process_without_groups_and_capabilities_has_none() -> None:
    bare = plan_of(ProcessSpec(name="p", arguments=(), uid=1, gid=1))["command"]
    assert "--clear-groups" in bare
    assert "--bounding-set=-all" in bare


def test_what_is_hidden_is_hidden_in_a_mount_namespace_of_its_own() -> None:
    command = launch_command(SPEC, shown=(), supervisor_pid=77)
    assert command[:4] == ["unshare", "--mount", "--propagation", "slave"]
    assert plan_of(SPEC)["hidden"] == ["/etc/hakoiri"]


def test_what_a_process_keeps_is_shown_to_it_beside_the_code() -> None:
    spec = ProcessSpec(name="p", arguments=(), uid=1, gid=1, shown=(Path("/kept"),))
    assert plan_of(spec)["shown"] == ["/code", "/kept"]


def test_mounts_go_out_from_a_shared_directory_alone() -> None:
    spec = ProcessSpec(name="p", arguments=(), uid=1, gid=1, shared=(Path("/tree"),))
    command = launch_command(spec, shown=(), supervisor_pid=77)
    assert command[:4] == ["unshare", "--mount", "--propagation", "unchanged"]
    assert plan_of(spec)["shared"] == ["/tree"]
    assert plan_of(SPEC)["shared"] == []


def test_a_sealed_view_keeps_the_code() -> None:
    view = SealedView(
        writable=(Path("/data"),),
        received=(Path("/tree"),),
        covered=(Path("/run"),),
        kept=(Path("/run/x"),),
        scratch=(Path("/scratch"),),
    )
    assert plan_of(ProcessSpec(name="p", arguments=(), uid=1, gid=1, view=view))["view"] == {
        "writable": ["/data"],
        "received": ["/tree"],
        "covered": ["/run"],
        "kept": ["/code", "/run/x"],
        "scratch": ["/scratch"],
    }
    assert plan_of(SPEC)["view"] is None


def test_a_process_without_a_network_gets_an_empty_one() -> None:
    bare = ProcessSpec(name="p", arguments=(), uid=1, gid=1, has_network=False)
    command = launch_command(bare, shown=(), supervisor_pid=77)
    assert command[:3] == ["unshare", "--mount", "--net"]
    assert "--net" not in launch_command(SPEC, shown=(), supervisor_pid=77)
