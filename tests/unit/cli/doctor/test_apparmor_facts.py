from pathlib import Path

import pytest

from hakoiri.cli.doctor import apparmor_facts
from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.host.launch import AppArmorKnown


def lay_out(sys: Path, *, enabled: str | None = "Y\n", profiles: bytes | None = None) -> Path:
    if enabled is not None:
        (sys / "module/apparmor/parameters").mkdir(parents=True)
        (sys / "module/apparmor/parameters/enabled").write_text(enabled)
    if profiles is not None:
        (sys / "kernel/security/apparmor").mkdir(parents=True)
        (sys / "kernel/security/apparmor/profiles").write_bytes(profiles)
    return sys


@pytest.mark.parametrize("enabled", [None, "N\n", "", "yes"])
def test_a_kernel_without_it_or_with_it_off_has_none(tmp_path: Path, enabled: str | None) -> None:
    sys = lay_out(tmp_path, enabled=enabled, profiles=b"a (enforce)\n")
    assert read_apparmor(sys) == AppArmorKnown(enabled=False)


def test_the_profiles_are_told_with_their_modes(tmp_path: Path) -> None:
    listed = (
        b"workspace-container (enforce)\n/usr/bin/man (complain)\na b (kill)\nnot a line\n\xff\n"
    )
    assert read_apparmor(lay_out(tmp_path, profiles=listed)) == AppArmorKnown(
        enabled=True,
        profiles={"workspace-container": "enforce", "/usr/bin/man": "complain", "a b": "kill"},
    )


def test_a_list_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_apparmor(lay_out(tmp_path / "none")) == AppArmorKnown(enabled=True, profiles=None)
    monkeypatch.setattr(apparmor_facts, "LIST_LIMIT_BYTES", 10)
    endless = lay_out(tmp_path / "long", profiles=b"workspace-container (enforce)\n")
    assert read_apparmor(endless) == AppArmorKnown(enabled=True, profiles=None)
