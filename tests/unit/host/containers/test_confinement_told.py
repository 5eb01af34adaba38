from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.confinement import OWN_PROFILE
from hakoiri.host.containers.confinement_told import look_at_confinement
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.launch import AppArmorKnown, ServerLaunch
from hakoiri.host.settings import Settings

pytestmark = pytest.mark.anyio


class Engine:
    def __init__(self, options: tuple[str, ...] | None) -> None:
        self.options = options

    async def security_options(self) -> tuple[str, ...]:
        if self.options is None:
            raise EngineError("the docker guard does not answer")
        return self.options


def launch(**known: object) -> ServerLaunch:
    return ServerLaunch(
        settings=Settings(container=ContainerSettings(apparmor_profile=OWN_PROFILE)),
        instance="i",
        image="image",
        control_socket=Path("/c"),
        guard_socket=Path("/g"),
        apparmor=AppArmorKnown.model_validate(known),
    )


@pytest.mark.parametrize(
    ("options", "known", "state", "level"),
    [
        (
            ("apparmor",),
            {"enabled": True, "profiles": {OWN_PROFILE: "enforce"}},
            "confined",
            "info",
        ),
        (("seccomp",), {"enabled": False}, "degraded", "warning"),
        (None, {"enabled": True, "profiles": {OWN_PROFILE: "enforce"}}, "unknown", "warning"),
    ],
)
async def test_what_is_known_is_told_once_in_the_log(
    options: tuple[str, ...] | None, known: dict[str, object], state: str, level: str
) -> None:
    with capture_logs() as told:
        found = await look_at_confinement(launch(**known), Engine(options))
    assert found.state == state
    (line,) = told
    assert (line["event"], line["state"], line["log_level"]) == ("apparmor", state, level)
    assert line["reason"] == found.reason
