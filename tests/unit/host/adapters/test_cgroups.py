from collections.abc import Callable
from pathlib import Path

import pytest

from hakoiri.host.adapters.cgroups import Cgroups
from hakoiri.host.usage.figures import V1_FILES, V2_FILES

ENGINE_ID = "ab" * 32
CONTENT = {
    "cpu": "usage_usec 2000000\n",
    "memory": "5000\n",
    "memory_limit": "10000\n",
    "memory_stat": "inactive_file 1000\n",
    "oom": "oom_kill 1\n",
    "pids": "7\n",
    "pids_limit": "max\n",
}


def v1(root: Path, name: str) -> None:
    for figure, (controller, file) in V1_FILES.items():
        path = root / controller / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("2000000000\n" if figure == "cpu" else CONTENT[figure])


def v2(root: Path, name: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    (root / name).mkdir(parents=True)
    for figure, file in V2_FILES.items():
        (root / name / file).write_text(CONTENT[figure])


@pytest.mark.parametrize("lay_out", [v1, v2])
@pytest.mark.parametrize("name", [f"docker/{ENGINE_ID}", f"system.slice/docker-{ENGINE_ID}.scope"])
def test_both_versions_and_both_drivers_are_found(
    tmp_path: Path, lay_out: Callable[[Path, str], None], name: str
) -> None:
    lay_out(tmp_path, name)
    found = Cgroups(tmp_path).read(ENGINE_ID)
    assert found is not None
    assert (found.cpu_seconds, found.memory_bytes, found.pids) == (2.0, 4000, 7)
    assert found.pids_limit is None


def test_who_is_gone_is_none(tmp_path: Path) -> None:
    assert Cgroups(tmp_path).read(ENGINE_ID) is None


@pytest.mark.parametrize("engine_id", ["x", "../docker/x", "", "AB" * 32, "ab" * 33])
def test_only_an_engines_id_names_a_group(tmp_path: Path, engine_id: str) -> None:
    v1(tmp_path, "docker/x")
    assert Cgroups(tmp_path).read(engine_id) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    v1(tmp_path, f"docker/{ENGINE_ID}")
    path = tmp_path / "pids" / "docker" / ENGINE_ID / "pids.current"
    path.unlink()
    (tmp_path / "elsewhere").write_text("9\n")
    path.symlink_to(tmp_path / "elsewhere")
    assert Cgroups(tmp_path).read(ENGINE_ID) is None
