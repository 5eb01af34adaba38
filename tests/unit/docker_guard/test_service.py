import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.disks import disk_rules, small_disks
from tests.unit.docker_guard.bodies import ID, IMAGE_ID, INSTANCE, RULES, sealed

from hakoiri.audit.testing import MemoryAudit
from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.calls import (
    ActOnContainer,
    AskRuntimes,
    Call,
    CreateContainer,
    InspectImage,
    ListBoxes,
    ListContainers,
    MakeBox,
)
from hakoiri.docker_guard.disks import Disks
from hakoiri.docker_guard.engine_client import EngineAnswer
from hakoiri.docker_guard.ownership import IdMaps, Owner
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import Rules
from hakoiri.docker_guard.service import Answer, Guard
from hakoiri.wire.guard import BoxDirectories, BoxList
from hakoiri.wire.id_map import WHOLE, IdRange

pytestmark = pytest.mark.anyio

NAME = f"hakoiri-{ID}"
OURS, NEWER, FOREIGN = "1" * 64, "2" * 64, "f" * 64


HOSTS = IdMaps(WHOLE, WHOLE)


class ShownProcesses:
    """Processes that all have the same ids."""

    def __init__(self, maps: IdMaps = HOSTS) -> None:
        self.maps = maps

    def id_maps(self, pid: int) -> IdMaps | None:
        del pid
        return self.maps

    def siblings(self, pid: int) -> list[int]:
        del pid
        return []


class ShownBoxes(Boxes):
    """Directories that need no mounts."""

    def show_proxy(self, container_id: str) -> None:
        del container_id


LAYERS_TOLD = ("name=planted", "name=seccomp,profile=planted", "name=apparmor")


@dataclass
class MemoryEngine:
    """An engine that remembers what was asked of it."""

    containers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The engine's id and the instance's label, by name."""

    image_id: str = IMAGE_ID
    info: Mapping[str, Any] = field(default_factory=dict)
    runsc: tuple[str, ...] = ("--network=none", "--host-uds=all", "--oci-seccomp")
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> EngineAnswer:
        self.asked.append((method, path, body if body is not None else query))
        parts = path.strip("/").split("/")
        if parts[0] == "images":
            return EngineAnswer(200, {"Id": self.image_id, "Config": {"Env": ["planted"]}})
        if parts == ["info"]:
            runtimes = {"runc": {"path": "runc"}, "runsc": {"runtimeArgs": list(self.runsc)}}
            told = {"Runtimes": runtimes, "Name": "planted", "SecurityOptions": list(LAYERS_TOLD)}
            return EngineAnswer(200, told | dict(self.info))
        if parts == ["containers", "json"]:
            return EngineAnswer(200, [self._listed(*one) for one in self.containers.values()])
        if parts == ["containers", "create"]:
            self.containers[(query or {})["name"]] = (OURS, INSTANCE)
            return EngineAnswer(201, {"Id": OURS, "Warnings": ["planted"]})
        return self._act(method, parts)

    def _act(self, method: str, parts: list[str]) -> EngineAnswer:
        for name, (engine_id, instance) in list(self.containers.items()):
            if parts[1] in {name, engine_id}:
                if parts[-1] == "json":
                    return EngineAnswer(200, self._shown(engine_id, instance))
                if method == "DELETE":
                    del self.containers[name]
                return EngineAnswer(204, None)
        raise CallRefusedError("engine-refused", f"No such container: {parts[1]}", status=404)

    def _shown(self, engine_id: str, instance: str) -> dict[str, Any]:
        return {
            "Id": engine_id,
            "Config": {"Labels": {"hakoiri.instance": instance}, "Env": ["planted"]},
            "State": {"Running": True, "ExitCode": 0, "Pid": 4711},
            "HostConfig": {"Runtime": "runc"},
        }

    def _listed(self, engine_id: str, instance: str) -> dict[str, Any]:
        return {
            "Id": engine_id,
            "State": "running",
            "Labels": {"hakoiri.instance": instance, "planted": "x"},
            "Command": "planted",
        }


NO_DISKS = Disks(directory=Path("/nonexistent"), rules=disk_rules())


def guard(
    engine: MemoryEngine,
    tree: Path = Path("/nonexistent"),
    *,
    rules: Rules = RULES,
    disks: Disks = NO_DISKS,
    processes: ShownProcesses | None = None,
    audit: MemoryAudit | None = None,
) -> Guard:
    boxes = ShownBoxes(tree=tree, disks=disks, stage=tree, proxy_sockets=None, proxy_uid=0)
    return Guard(
        engine=engine,
        boxes=boxes,
        rules=rules,
        processes=processes or ShownProcesses(),
        audit=audit or MemoryAudit(),
    )


async def carried_out(engine: MemoryEngine, call: Call, document: object = None) -> Answer:
    body = b"" if document is None else json.dumps(document).encode()
    return await guard(engine).carry_out(call, body)


async def test_a_sealed_container_is_created_from_the_guards_own_body() -> None:
    engine = MemoryEngine()
    answer = await carried_out(engine, CreateContainer(ID), sealed())
    assert answer == Answer(201, {"Id": OURS, "Warnings": []})
    method, path, body = engine.asked[-1]
    assert (method, path) == ("POST", "/containers/create")
    sources = [mount["Source"] for mount in body["HostConfig"]["Mounts"]]
    assert sources == [
        f"/nonexistent/{ID}/{name}" for name in ("workspace", "home", "proxy", "agent")
    ]


async def test_what_an_image_was_at_the_start_is_ours_whatever_its_name_is_now() -> None:
    moved_to = "sha256:" + "cd" * 32
    engine = MemoryEngine(image_id=moved_to)
    answer = await carried_out(engine, InspectImage("hakoiri/workspace:test"))
    assert answer.document == {"Id": IMAGE_ID}
    with pytest.raises(CallRefusedError, match="not the image"):
        await carried_out(engine, CreateContainer(ID), sealed(image_id=moved_to))
    assert not engine.containers
    asked = {path for _, path, _ in engine.asked if path.startswith("/images/")}
    assert asked == {f"/images/{IMAGE_ID}/json"}, "the name is not asked about again"
    await carried_out(engine, CreateContainer(ID), sealed())


async def test_an_image_that_the_engine_has_no_more_is_told() -> None:
    class Emptied(MemoryEngine):
        async def call(self, method: str, path: str, **more: Any) -> EngineAnswer:
            if path.startswith("/images/"):
                raise CallRefusedError("engine-refused", "No such image", status=404)
            return await super().call(method, path, **more)

    with pytest.raises(CallRefusedError, match="No such image"):
        await carried_out(Emptied(), InspectImage("hakoiri/workspace:test"))


async def test_runsc_is_refused_where_the_engine_runs_it_open() -> None:
    engine = MemoryEngine(runsc=("--network=host",))
    with pytest.raises(CallRefusedError, match="runsc"):
        await carried_out(engine, CreateContainer(ID), sealed(runtime="runsc"))
    assert not engine.containers
    await carried_out(MemoryEngine(), CreateContainer(ID), sealed(runtime="runsc"))


@pytest.mark.parametrize("reference", [NAME, FOREIGN])
@pytest.mark.parametrize("action", ["start", "stop", "pause", "unpause", "inspect", "remove"])
async def test_a_foreign_container_is_left_alone_even_under_a_name_like_ours(
    reference: str, action: Any
) -> None:
    engine = MemoryEngine({NAME: (FOREIGN, "another-instance")})
    with pytest.raises(CallRefusedError) as refused:
        await carried_out(engine, ActOnContainer(reference, action))
    assert refused.value.code == "container-not-ours"
    assert [path for _, path, _ in engine.asked] == [f"/containers/{reference}/json"]


async def test_a_container_of_ours_is_acted_on_by_its_id_and_asked_about_once() -> None:
    engine = MemoryEngine({NAME: (OURS, INSTANCE)})
    under_test = guard(engine)
    for action in ("pause", "unpause"):
        assert (await under_test.carry_out(ActOnContainer(NAME, action), b"")).status == 204
    await under_test.carry_out(ActOnContainer(NAME, "stop", grace_s=3), b"")
    assert [(path, query) for _, path, query in engine.asked] == [
        (f"/containers/{NAME}/json", None),
        (f"/containers/{OURS}/pause", None),
        (f"/containers/{OURS}/unpause", None),
        (f"/containers/{OURS}/stop", {"t": "3"}),
    ]


async def test_a_name_that_went_to_another_is_not_trusted_any_more() -> None:
    engine = MemoryEngine({NAME: (OURS, INSTANCE)})
    under_test = guard(engine)
    await under_test.carry_out(ActOnContainer(NAME, "start"), b"")
    engine.containers[NAME] = (FOREIGN, "another-instance")
    with pytest.raises(CallRefusedError) as refused:
        await under_test.carry_out(ActOnContainer(NAME, "remove"), b"")
    assert refused.value.code == "container-not-ours"
    assert NAME in engine.containers
    engine.containers[NAME] = (NEWER, INSTANCE)
    assert (await under_test.carry_out(ActOnContainer(NAME, "remove"), b"")).status == 204


async def test_a_container_that_is_gone_is_said_with_the_engines_status() -> None:
    with pytest.raises(CallRefusedError) as refused:
        await carried_out(MemoryEngine(), ActOnContainer(NAME, "stop", grace_s=0))
    assert refused.value.status == 404


async def test_answers_hold_what_is_needed_and_nothing_else() -> None:
    engine = MemoryEngine({NAME: (OURS, INSTANCE)})
    answers = [
        await carried_out(engine, ActOnContainer(NAME, "inspect")),
        await carried_out(engine, ListContainers(INSTANCE)),
        await carried_out(engine, InspectImage("hakoiri/workspace:test")),
        await carried_out(engine, AskRuntimes()),
    ]
    said = json.dumps([answer.document for answer in answers])
    assert "planted" not in said
    assert "4711" not in said
    assert answers[2].document == {"Id": IMAGE_ID}
    assert answers[3].document == {
        "Runtimes": {"runc": {}, "runsc": {}},
        "SecurityOptions": ["name=apparmor", "name=seccomp"],
    }
    remapped = await carried_out(MemoryEngine(info=REMAPPED), AskRuntimes())
    assert remapped.document is not None
    assert dict(remapped.document)["SecurityOptions"] == ["name=userns"]


async def test_only_our_instances_are_listed_and_only_our_images_inspected() -> None:
    engine = MemoryEngine()
    for call in (ListContainers("another-instance"), InspectImage("alpine:latest")):
        with pytest.raises(CallRefusedError) as refused:
            await carried_out(engine, call)
        assert refused.value.status == 403
    assert engine.asked == []


async def test_a_guard_without_an_instance_makes_no_directories(tmp_path: Path) -> None:
    tree, rules = tmp_path / "tree", RULES.model_copy(update={"instances": ()})
    tree.mkdir()
    disks = small_disks(tmp_path / "disks")
    under_test = guard(MemoryEngine(), tree, rules=rules, disks=disks)
    with pytest.raises(CallRefusedError, match="no instance"):
        await under_test.carry_out(MakeBox(ID), b"")
    assert (await under_test.carry_out(ListBoxes(), b"")).document == {
        "containers": [],
        "trouble": None,
    }


async def test_a_guard_that_cannot_write_its_audit_log_says_so(tmp_path: Path) -> None:
    audit, disks = MemoryAudit(), small_disks(tmp_path / "disks")
    tree = tmp_path / "tree"
    tree.mkdir()
    under_test = guard(MemoryEngine(), tree, disks=disks, audit=audit)
    answer = await under_test.carry_out(ListBoxes(), b"")
    assert BoxList.model_validate(answer.document).trouble is None
    audit.failure = "the audit log cannot be written: No space left on device"
    answer = await under_test.carry_out(ListBoxes(), b"")
    assert BoxList.model_validate(answer.document).trouble == audit.failure


REMAPPED = {"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker/100000.200000"}
SHIFTED = IdMaps((IdRange(0, 100_000, 65_536),), (IdRange(0, 200_000, 65_536),))


async def test_a_started_container_has_the_ids_that_the_engine_said() -> None:
    engine = MemoryEngine({NAME: (OURS, INSTANCE)}, info=REMAPPED)
    under_test = guard(engine, processes=ShownProcesses(SHIFTED))
    assert (await under_test.carry_out(ActOnContainer(NAME, "start"), b"")).status == 204
    assert NAME in engine.containers


async def test_a_container_with_the_hosts_ids_under_userns_remap_is_removed() -> None:
    engine = MemoryEngine({NAME: (OURS, INSTANCE)}, info=REMAPPED)
    with pytest.raises(CallRefusedError, match="101000:201000") as refused:
        await carried_out(engine, ActOnContainer(NAME, "start"))
    assert refused.value.code == "user-namespace"
    assert engine.containers == {}


async def test_directories_belong_to_whom_the_engine_makes_of_the_user_in_the_box(
    tmp_path: Path,
) -> None:
    class OwnedBoxes(ShownBoxes):
        def make(self, container_id: str, *, owner: Owner) -> dict[str, Path]:
            assert owner == Owner(101_000, 201_000, 200_000)
            return self.paths(container_id)

    boxes = OwnedBoxes(
        tree=tmp_path, disks=NO_DISKS, stage=tmp_path, proxy_sockets=None, proxy_uid=0
    )
    engine = MemoryEngine(info=REMAPPED)
    under_test = Guard(
        engine=engine,
        boxes=boxes,
        rules=RULES,
        processes=ShownProcesses(),
        audit=MemoryAudit(),
    )
    answer = await under_test.carry_out(MakeBox(ID), b"")
    assert BoxDirectories.model_validate(answer.document) == BoxDirectories(
        workspace=f"{tmp_path}/{ID}/workspace",
        home=f"{tmp_path}/{ID}/home",
        agent=f"{tmp_path}/{ID}/agent",
        owner_uid=101_000,
        owner_gid=201_000,
    )


async def test_an_answer_of_another_form_is_not_passed_on() -> None:
    class Broken(MemoryEngine):
        async def call(self, *_: Any, **__: Any) -> EngineAnswer:
            return EngineAnswer(200, ["planted"])

    for call in (ActOnContainer(NAME, "inspect"), AskRuntimes()):
        with pytest.raises(CallRefusedError) as refused:
            await carried_out(Broken(), call)
        assert refused.value.status == 502


FULL = "the audit log cannot be written: No space left on device"


@pytest.mark.parametrize("call", [CreateContainer(ID), MakeBox(ID), ActOnContainer(NAME, "start")])
async def test_no_container_begins_that_cannot_be_recorded(call: Call, tmp_path: Path) -> None:
    audit, engine = MemoryAudit(), MemoryEngine()
    audit.failure = FULL
    under_test = guard(engine, tmp_path, audit=audit)
    with pytest.raises(CallRefusedError) as refused:
        await under_test.carry_out(call, json.dumps(sealed()).encode())
    assert (refused.value.code, refused.value.status) == ("audit-unavailable", 503)
    assert refused.value.problem().title == "The audit log cannot be used"
    assert "HAKOIRI_AUDIT__DIR" in refused.value.detail
    assert engine.asked == []
    assert made_below(tmp_path) == []
    audit.failure = None
    with suppress(CallRefusedError):  # whatever else it lacks, that is over
        await under_test.carry_out(call, json.dumps(sealed()).encode())
    assert engine.asked or made_below(tmp_path)


def made_below(tree: Path) -> list[Path]:
    return list(tree.iterdir())


@pytest.mark.parametrize("action", ["inspect", "stop", "pause", "unpause", "remove"])
async def test_what_is_live_may_be_ended_though_it_cannot_be_recorded(action: str) -> None:
    audit, engine = MemoryAudit(), MemoryEngine()
    under_test = guard(engine, audit=audit)
    await under_test.carry_out(CreateContainer(ID), json.dumps(sealed()).encode())
    audit.failure = FULL
    grace_s = 1 if action == "stop" else None
    acted = ActOnContainer(NAME, cast("Any", action), grace_s=grace_s)
    assert (await under_test.carry_out(acted, b"")).status < 300


async def test_a_guard_that_is_told_to_goes_on() -> None:
    audit = MemoryAudit(goes_on=True)
    audit.failure = FULL
    made = await guard(MemoryEngine(), audit=audit).carry_out(
        CreateContainer(ID), json.dumps(sealed()).encode()
    )
    assert made.status == 201
