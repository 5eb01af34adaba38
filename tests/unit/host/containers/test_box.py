import json
from pathlib import Path
from typing import Literal

import pytest

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import BoxError, box_cpus, read_box, read_profile
from hakoiri.host.settings import Settings

NARROW = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
}


def settings(path: Path | None = None, *, runtime: Literal["runc", "runsc"] = "runc") -> Settings:
    return Settings(container=ContainerSettings(seccomp_profile=path, runtime=runtime))


def test_with_nothing_set_every_box_has_the_profile_that_ships() -> None:
    box = read_box(settings(), instance="i1")
    sent = json.loads(box.seccomp_profiles["runc"])
    assert sent["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {"names": ["getrandom"], "action": "SCMP_ACT_ALLOW"} in sent["syscalls"]


@pytest.mark.parametrize(
    ("processors", "usual"), [(1, 1.0), (2, 1.0), (3, 1.5), (4, 2.0), (64, 2.0)]
)
def test_a_box_may_use_up_half_of_the_host_and_never_more_than_two(
    processors: int, usual: float
) -> None:
    assert box_cpus(None, processors=processors) == usual
    assert box_cpus(float(processors), processors=processors) == processors
    with pytest.raises(BoxError, match=f"HAKOIRI_CONTAINER__CPUS: .* at most {processors}"):
        box_cpus(processors + 0.5, processors=processors)


def test_more_processors_than_the_host_has_are_refused_before_the_engine_does() -> None:
    given = Settings(container=ContainerSettings(cpus=1024))
    with pytest.raises(BoxError, match="HAKOIRI_CONTAINER__CPUS"):
        read_box(given, instance="i1")


def test_the_filter_fits_the_runtime() -> None:
    box = read_box(settings(), instance="i1")
    assert "SCMP_ACT_KILL_PROCESS" in box.seccomp_profiles["runc"]
    assert "SCMP_ACT_KILL_PROCESS" not in box.seccomp_profiles["runsc"]


def test_a_profile_of_the_operators_own_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "narrow.json"
    path.write_text(json.dumps(NARROW))
    assert json.loads(read_box(settings(path), instance="i1").seccomp_profiles["runc"]) == NARROW


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"\xff", "utf-8"),
        (b"{}", "defaultAction"),
        (b" " * (1024 * 1024 + 1), "1048576 bytes"),
        (json.dumps(NARROW).replace("read", "mount").encode(), "lets through mount"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_setting(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "profile.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BoxError, match="HAKOIRI_CONTAINER__SECCOMP_PROFILE") as told:
        read_profile(settings(path).container)
    assert str(path) in str(told.value)
    assert why in str(told.value)


def test_a_profile_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(BoxError, match="1048576 bytes"):
        read_profile(settings(Path("/dev/zero")).container)
