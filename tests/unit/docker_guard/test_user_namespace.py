from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from hakoiri.docker_guard.engine_client import EngineAnswer
from hakoiri.docker_guard.ownership import PLAIN, IdMaps, Owner
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.user_namespace import UserNamespace
from hakoiri.wire.id_map import WHOLE, IdRange

pytestmark = pytest.mark.anyio

ENGINE_ID = "1" * 64
REMAPPED = {"SecurityOptions": ["name=userns"], "DockerRootDir": "/d/100000.200000"}
HOSTS = IdMaps(WHOLE, WHOLE)
SHIFTED = IdMaps((IdRange(0, 100_000, 65_536),), (IdRange(0, 200_000, 65_536),))
SANDBOX = IdMaps((IdRange(65_534, 65_534, 1),), (IdRange(65_534, 65_534, 1),))


@dataclass
class Shown:
    """An engine with one container, and the processes of its host."""

    info: object = field(default_factory=dict)
    pids: list[int] = field(default_factory=lambda: [42])
    """What is said of the container's first process, one answer after the other."""

    runtime: str = "runc"
    maps: Mapping[int, IdMaps] = field(default_factory=dict)
    beside: tuple[int, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, method: str, path: str, **_: Any) -> EngineAnswer:
        self.asked.append((method, path))
        if path == "/info":
            return EngineAnswer(200, self.info)
        pid = self.pids.pop(0) if len(self.pids) > 1 else self.pids[0]
        host = {"Runtime": self.runtime}
        return EngineAnswer(200, {"State": {"Pid": pid}, "HostConfig": host})

    def id_maps(self, pid: int) -> IdMaps | None:
        return self.maps.get(pid)

    def siblings(self, pid: int) -> tuple[int, ...]:
        assert pid == 42
        return self.beside

    @property
    def removed(self) -> bool:
        return ("DELETE", f"/containers/{ENGINE_ID}") in self.asked

    async def require(self) -> None:
        await UserNamespace(engine=self, processes=self).require(ENGINE_ID)


async def test_the_engine_is_asked_once_who_owns_boxes() -> None:
    shown = Shown(REMAPPED)
    users = UserNamespace(engine=shown, processes=shown)
    assert await users.owner() == await users.owner() == Owner(101_000, 201_000, 200_000)
    assert shown.asked == [("GET", "/info")]
    assert await UserNamespace(engine=Shown(), processes=shown).owner() == PLAIN


@pytest.mark.parametrize(
    "shown",
    [
        Shown(maps={42: HOSTS}),
        Shown(REMAPPED, maps={42: SHIFTED}),
        # gVisor's sandbox is nobody; the process that opens its files has the user
        Shown(runtime="runsc", maps={42: SANDBOX, 43: HOSTS}, beside=(43,)),
        Shown(REMAPPED, runtime="runsc", maps={42: SANDBOX, 43: SHIFTED}, beside=(43,)),
        Shown(REMAPPED, runtime="runsc", maps={42: SHIFTED, 43: SANDBOX}, beside=(43,)),
        # it has ended: before we asked, and while we looked
        Shown(REMAPPED, pids=[0]),
        Shown(REMAPPED, pids=[42, 0]),
    ],
)
async def test_what_is_as_the_engine_says_goes_on(shown: Shown) -> None:
    await shown.require()
    assert not shown.removed


@pytest.mark.parametrize(
    "shown",
    [
        Shown(REMAPPED, maps={42: HOSTS}),
        Shown(maps={42: SHIFTED}),
        Shown(REMAPPED, maps={42: IdMaps(SHIFTED.uid, WHOLE)}),
        Shown(REMAPPED, maps={42: IdMaps((IdRange(0, 100_000, 1000),), SHIFTED.gid)}),
        Shown(REMAPPED, runtime="runsc", maps={42: SANDBOX, 43: HOSTS}, beside=(43,)),
        Shown(REMAPPED, runtime="runsc", maps={42: SANDBOX}),
        # what is beside a runc container is none of its processes
        Shown(REMAPPED, maps={42: HOSTS, 43: SHIFTED}, beside=(43,)),
        # it runs, and shows nothing
        Shown(REMAPPED),
    ],
)
async def test_what_contradicts_the_engine_is_removed(shown: Shown) -> None:
    with pytest.raises(CallRefusedError, match=r"uid_map|nothing") as refused:
        await shown.require()
    assert refused.value.code == "user-namespace"
    assert shown.removed


async def test_after_a_contradiction_the_engine_is_asked_anew() -> None:
    shown = Shown(REMAPPED, maps={42: HOSTS})
    users = UserNamespace(engine=shown, processes=shown)
    with pytest.raises(CallRefusedError):
        await users.require(ENGINE_ID)
    shown.info = {}
    assert await users.owner() == PLAIN
    await users.require(ENGINE_ID)


@pytest.mark.parametrize("answer", [[], None, "x"])
async def test_an_answer_of_another_form_is_not_taken_for_an_engine_without(
    answer: object,
) -> None:
    with pytest.raises(CallRefusedError) as refused:
        await UserNamespace(engine=Shown(answer), processes=Shown()).owner()
    assert refused.value.status == 502


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"State": {}, "HostConfig": {}},
        {"State": {"Pid": "1"}, "HostConfig": {}},
        {"State": {"Pid": 1}},
        [],
    ],
)
async def test_a_container_of_another_form_does_not_pass(document: object) -> None:
    class Broken(Shown):
        async def call(self, method: str, path: str, **_: Any) -> EngineAnswer:
            return EngineAnswer(200, self.info if path == "/info" else document)

    with pytest.raises(CallRefusedError) as refused:
        await Broken(REMAPPED).require()
    assert refused.value.status == 502
