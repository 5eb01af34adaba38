from pathlib import Path

import anyio
import pytest
from tests.unit.host.containers.fleet import Fleet, container_id_of

from hakoiri.host import container_keeping
from hakoiri.host.container_keeping import Leaving, let_go, make_collector
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.testing import MemoryChats
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.wire.keeping import DAY_S, Keeping
from hakoiri.wire.policy import DENY_ALL


def launch(*, keep_containers: bool) -> ServerLaunch:
    return ServerLaunch(
        settings=Settings(),
        instance="i1",
        image="image",
        control_socket=Path("/control"),
        guard_socket=Path("/guard"),
        keep_containers=keep_containers,
    )


def test_containers_stay_if_the_operator_wants_it_or_the_supervisor_was_killed() -> None:
    parents = [100]
    leaves = Leaving(launch(keep_containers=False), parent=lambda: parents[-1])
    assert not leaves()
    parents.append(1)
    assert leaves()
    assert Leaving(launch(keep_containers=True), parent=lambda: 100)()


def test_containers_stay_at_the_one_end_at_which_it_is_asked_for() -> None:
    leaves = Leaving(launch(keep_containers=False), parent=lambda: 100)
    assert not leaves()
    leaves.ask()
    assert leaves()


async def nothing(_: ContainerDirectories) -> None:
    return


@pytest.mark.anyio
@pytest.mark.parametrize("leaves", [True, False])
async def test_at_the_end_containers_are_left_as_they_are_or_removed(
    tmp_path: Path,
    leaves: bool,  # noqa: FBT001 - parametrized
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await orchestrator.claim(
        workspace_id="w",
        tenant="t",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=True,
    )
    await orchestrator.release("w", is_saved=False)
    await let_go(orchestrator, lambda: leaves)
    assert fleet.saved == ([] if leaves else ["w"])
    assert bool(fleet.engine.running) == leaves
    assert bool(fleet.claims.by_container) == leaves


async def claimed(fleet: Fleet) -> Orchestrator:
    orchestrator = fleet.orchestrator()
    await orchestrator.claim(
        workspace_id="w",
        tenant="t",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=True,
    )
    return orchestrator


@pytest.mark.anyio
@pytest.mark.parametrize("state", ["in use", "idle", "frozen"])
async def test_what_cannot_be_saved_at_the_end_stays_on_the_host(
    tmp_path: Path, state: str
) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.can_save = False
    orchestrator = await claimed(fleet)
    if state != "in use":
        await orchestrator.release("w", is_saved=False)
    if state == "frozen":
        await orchestrator.freeze("w", container_id=container_id_of(orchestrator, "w"))
    await let_go(orchestrator, lambda: False)
    (container_id,) = fleet.claims.by_container
    assert not fleet.engine.running
    assert not fleet.engine.frozen
    assert not fleet.proxy.sockets
    assert (tmp_path / "live" / container_id / "workspace").is_dir()


@pytest.mark.anyio
async def test_a_save_that_takes_too_long_holds_up_no_other_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_keeping, "LAST_SAVES_S", 0.05)
    fleet = Fleet(tmp_path / "live")
    orchestrator = await claimed(fleet)

    fleet.meanwhile = anyio.sleep_forever
    await let_go(orchestrator, lambda: False)
    assert len(fleet.claims.by_container) == 1


@pytest.mark.anyio
async def test_an_engine_that_is_away_at_the_end_loses_nothing_either(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = await claimed(fleet)
    fleet.can_save = False
    fleet.engine.fail = {"stop"}
    await let_go(orchestrator, lambda: False)
    assert len(fleet.claims.by_container) == 1


@pytest.mark.parametrize(("most_s", "counts_s"), [(None, 1800), (7200, 7200)])
def test_the_collector_keeps_to_the_settings(
    tmp_path: Path, most_s: float | None, counts_s: float
) -> None:
    settings = Settings(container=ContainerSettings(idle_timeout_max_s=most_s, pause_after_s=0))
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    collector = make_collector(
        settings,
        fleet.orchestrator(lifecycle=lifecycle),
        lifecycle,
        MemoryChats(),
        ServerMetrics(),
    )
    limits = collector._limits.under(Keeping(idle_timeout_s=DAY_S))
    assert (limits.idle_timeout_s, limits.lifetime_s) == (counts_s, 28_800)
    assert limits.pause_after_s is None


@pytest.mark.anyio
async def test_a_save_that_fails_in_no_way_foreseen_leaves_no_container_running(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = await claimed(fleet)

    async def breaks() -> None:
        raise ZeroDivisionError

    fleet.meanwhile = breaks
    await let_go(orchestrator, lambda: False)
    assert not fleet.engine.running
    assert list(fleet.claims.by_container), "its files are set aside"
