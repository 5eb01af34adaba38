from types import SimpleNamespace
from typing import Any, cast

import pytest

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.adapters.own_namespaces import read_own_namespaces
from hakoiri.host.containers.box import read_box
from hakoiri.host.launch import AppArmorKnown
from hakoiri.host.probe_keeping import make_box_probe, see_from_outside
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.metrics import ServerMetrics

pytestmark = pytest.mark.anyio

SETTINGS = Settings.model_validate(
    {"container": {"runtimes": "runc,runsc", "apparmor_profile": "p", "open_files": 300}}
)


class Engine:
    async def security_options(self) -> tuple[str, ...]:
        return ("seccomp", "apparmor")


async def test_a_box_is_held_against_what_is_known_out_here() -> None:
    box = read_box(SETTINGS, instance="i1")
    seen = await see_from_outside(box, Engine(), kernel=AppArmorKnown(enabled=True))
    assert seen.namespaces == read_own_namespaces()
    assert seen.apparmor == "p (enforce)"
    assert seen.limits.open_files == 300


def test_a_box_of_each_runtime_that_a_container_can_get_is_looked_at() -> None:
    launch = SimpleNamespace(settings=SETTINGS, apparmor=AppArmorKnown())
    probe = make_box_probe(
        cast("Any", launch),
        read_box(SETTINGS, instance="i1"),
        cast("Any", SimpleNamespace(lifecycle=None)),
        cast("Any", SimpleNamespace(engine=Engine())),
        metrics=ServerMetrics(),
        audit=MemoryAudit(),
    )
    assert list(probe.told) == ["runc", "runsc"]
