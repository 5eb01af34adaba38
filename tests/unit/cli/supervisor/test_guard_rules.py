import json
from importlib.resources import files
from pathlib import Path

import pytest

from hakoiri.cli.supervisor.guard_rules import guard_rules
from hakoiri.docker_guard.sealed_container import check_body, read_body
from hakoiri.host.containers.box import SHIPPED_PROFILE, BoxError, read_box
from hakoiri.host.containers.hardening import engine_configuration
from hakoiri.host.settings import Settings

ID = "c" + "0" * 16
IMAGE_ID = "sha256:" + "ab" * 32


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
@pytest.mark.parametrize("has_profile", [True, False])
def test_what_the_server_makes_by_the_same_settings_passes(
    tmp_path: Path, runtime: str, *, has_profile: bool
) -> None:
    profile = tmp_path / "profile.json"
    shipped = files("hakoiri.host.containers").joinpath(SHIPPED_PROFILE)
    profile.write_text(shipped.read_text("utf-8"))
    container = {"runtime": runtime, "cpus": 0.3, "apparmor_profile": "workspace-container"}
    if has_profile:
        container["seccomp_profile"] = str(profile)
    settings = Settings.model_validate({"container": container})
    rules = guard_rules(
        settings, instances=["i1"], images={"tag": IMAGE_ID}, runtimes=[settings.container.runtime]
    )
    body = engine_configuration(read_box(settings, instance="i1").maker(IMAGE_ID)(ID))
    check_body(read_body(json.loads(json.dumps(body))), container_id=ID, rules=rules)


def test_a_profile_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    settings = Settings.model_validate({"container": {"seccomp_profile": str(tmp_path / "none")}})
    with pytest.raises(BoxError, match="SECCOMP_PROFILE"):
        guard_rules(settings, instances=[], images={}, runtimes=["runc"])
