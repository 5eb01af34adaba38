import platform
from pathlib import Path

import pytest

from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import read_inputs


def test_tags_carry_a_content_hash_and_stay_while_nothing_changes(source_root: Path) -> None:
    inputs = read_inputs(source_root)
    assert inputs.tag.startswith("hakoiri/workspace:")
    assert inputs.base_tag.startswith("hakoiri/base:")
    assert len(inputs.tag.partition(":")[2]) == 16
    assert read_inputs(source_root).tag == inputs.tag


@pytest.mark.parametrize(
    ("changed", "base_too"),
    [
        ("workspace-base/packages.txt", True),
        ("workspace-base/seal-root.sh", True),
        ("workspace-base/Dockerfile", False),
        ("workspace-base/workspace-requirements.txt", False),
        ("workspace-base/package-lock.json", False),
        ("src/hakoiri/workspace_agent/app.py", False),
        ("src/hakoiri/workspace_agent/data.json", False),
        ("workspace-base/loopback-interfaces.cjs", False),
        ("src/hakoiri/wire/__init__.py", False),
    ],
)
def test_each_input_changes_the_tag(source_root: Path, changed: str, *, base_too: bool) -> None:
    before = read_inputs(source_root)
    with (source_root / changed).open("a") as file:
        file.write("\n# changed")
    after = read_inputs(source_root)
    assert after.tag != before.tag
    assert (after.base_tag != before.base_tag) == base_too


def test_host_code_is_no_input(source_root: Path) -> None:
    before = read_inputs(source_root)
    (source_root / "src/hakoiri/host/secret.py").write_text("other = 1")
    assert read_inputs(source_root) == before
    assert not [path for path in before.agent if "host" in path]


def test_another_architecture_is_another_image(
    source_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = set()
    for machine in ("x86_64", "aarch64"):
        monkeypatch.setattr(platform, "machine", lambda name=machine: name)
        tags.add(read_inputs(source_root).tag)
    assert len(tags) == 2
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ImageBuildError, match="riscv64"):
        read_inputs(source_root)


def test_packages_are_read_without_comments(source_root: Path) -> None:
    assert read_inputs(source_root).packages == ["git", "jq"]


def test_what_is_no_source_tree_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="name the root of Hakoiri's sources"):
        read_inputs(tmp_path)


def test_a_tree_without_the_agent_is_refused(source_root: Path) -> None:
    for path in (source_root / "src/hakoiri").glob("w*/*.py"):
        path.unlink()
    with pytest.raises(ImageBuildError, match="no agent"):
        read_inputs(source_root)


def test_a_tree_that_is_far_too_large_is_refused(source_root: Path) -> None:
    with (source_root / "src/hakoiri/wire/large.py").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(ImageBuildError, match="more than"):
        read_inputs(source_root)
