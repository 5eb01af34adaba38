"""Carries out calls: checks whose container it is, asks the engine, answers what is needed."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hakoiri.audit.writer import AuditLog
from hakoiri.docker_guard import strict_json
from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.calls import (
    ActOnContainer,
    AskRuntimes,
    Call,
    CollectImages,
    CreateContainer,
    FindBox,
    InspectImage,
    ListBoxes,
    ListContainers,
    MakeBox,
    RemoveBox,
    begins,
)
from hakoiri.docker_guard.engine_client import Engine, EngineAnswer, unusable_answer
from hakoiri.docker_guard.old_images import ImageCollection
from hakoiri.docker_guard.ownership import PLAIN, Owner
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import Rules
from hakoiri.docker_guard.sealed_container import (
    check_body,
    check_runtime,
    engine_body,
    read_body,
)
from hakoiri.docker_guard.user_namespace import ShownProcesses, UserNamespace
from hakoiri.wire.guard import LABEL_INSTANCE, BoxDirectories, engine_name
from hakoiri.wire.problems import AUDIT_UNAVAILABLE

KNOWN_LIMIT: Final = 20_000
"""Containers whose labels are remembered; labels never change (Engine API, `ContainerCreate`)."""

NOT_FOUND: Final = 404
_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}")
LAYERS: Final = ("name=apparmor", "name=seccomp", "name=userns", "name=cgroupns")
"""The engine's security options that are told on; what else it says of them is not."""

UNRECORDED: Final = (
    "the docker guard cannot write its audit log, and makes no container that it cannot record; "
    "make room on the disk of HAKOIRI_AUDIT__DIR"
)

STATE_FIELDS: Final = ("Status", "Running", "Paused", "OOMKilled", "ExitCode", "Error")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, and a document unless there is none."""

    status: int
    document: Mapping[str, Any] | list[Any] | None = None


@dataclass(slots=True)
class _Place:
    """One container's place: its lock orders what is done to its directories."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Guard:
    """Between callers and the engine. `rules` say whose containers and how sealed."""

    def __init__(
        self,
        *,
        engine: Engine,
        boxes: Boxes,
        rules: Rules,
        processes: ShownProcesses,
        audit: AuditLog,
    ) -> None:
        """Collaborators; nothing is asked yet."""
        self._engine = engine
        self._users = UserNamespace(engine=engine, processes=processes)
        self._boxes = boxes
        self._audit = audit
        self._rules = rules
        self._old_images = ImageCollection(engine=engine, rules=rules, audit=audit)
        self._known: dict[str, str] = {}
        self._places: dict[str, _Place] = {}

    async def carry_out(self, call: Call, body: bytes) -> Answer:
        """Do what is asked; raise `CallRefusedError` with the reason why not."""
        self._require_recorded(call)
        match call:
            case CreateContainer(container_id):
                answer = await self._create(container_id, body)
            case ActOnContainer():
                answer = await self._act(call)
            case ListContainers(instance):
                answer = await self._list(instance)
            case InspectImage(reference):
                answer = Answer(200, {"Id": await self._inspect_image(reference)})
            case AskRuntimes():
                answer = await self._info()
            case MakeBox() | FindBox() | RemoveBox() | ListBoxes():
                answer = await self._on_boxes(call)
            case CollectImages():
                answer = Answer(200, (await self._old_images.collect()).model_dump())
        return answer

    async def _on_boxes(self, call: MakeBox | FindBox | RemoveBox | ListBoxes) -> Answer:
        match call:
            case MakeBox(container_id):
                answer = await self._make_box(container_id)
            case FindBox(container_id):
                answer = await self._find_box(container_id)
            case RemoveBox(container_id):
                answer = await self._remove_box(container_id)
            case ListBoxes():
                answer = await self._list_boxes()
        return answer

    async def _make_box(self, container_id: str) -> Answer:
        self._require_instance()
        owner = await self._users.owner()
        async with self._place(container_id):
            paths = await asyncio.to_thread(self._boxes.make, container_id, owner=owner)
        return Answer(201, _shown(paths, owner))

    async def _find_box(self, container_id: str) -> Answer:
        return Answer(200, _shown(self._boxes.find(container_id), await self._users.owner()))

    async def _list_boxes(self) -> Answer:
        trouble = self._audit.failure or await asyncio.to_thread(self._boxes.trouble)
        return Answer(200, {"containers": self._boxes.present(), "trouble": trouble})

    async def _remove_box(self, container_id: str) -> Answer:
        async with self._place(container_id):
            await self._boxes.remove(container_id)
        return Answer(204)

    async def _create(self, container_id: str, content: bytes) -> Answer:
        body = read_body(strict_json.parse(content))
        check_body(body, container_id=container_id, rules=self._rules)
        if body.HostConfig.Runtime == "runsc":
            check_runtime("runsc", (await self._runtimes()).get("runsc"))
        is_remapped = await self._users.owner() != PLAIN
        async with self._place(container_id):
            self._boxes.show_proxy(container_id)
            sources = self._boxes.sources(container_id)
            made = await self._engine.call(
                "POST",
                "/containers/create",
                query={"name": engine_name(container_id)},
                body=engine_body(body, sources=sources, rules=self._rules, is_remapped=is_remapped),
            )
        engine_id = _id_of(_object(made.document))
        self._remember(engine_name(container_id), engine_id)
        return Answer(201, {"Id": engine_id, "Warnings": []})

    async def _act(self, call: ActOnContainer) -> Answer:
        """Act on the container by its id: between check and act, a name could change hands."""
        if call.action == "inspect":
            return Answer(200, await self._inspect(call.reference))
        engine_id = self._known.get(call.reference)
        if engine_id is None:
            engine_id = _id_of(await self._inspect(call.reference))
        try:
            done = await self._on_engine(call, engine_id)
        except CallRefusedError as error:
            if error.status != NOT_FOUND or self._known.pop(call.reference, None) is None:
                raise
            # the one we knew is gone; the name may be another's by now
            return await self._act(call)
        if call.action == "remove":
            self._known.pop(call.reference, None)
        elif call.action == "start":
            await self._users.require(engine_id)
        return Answer(done.status)

    async def _on_engine(self, call: ActOnContainer, engine_id: str) -> EngineAnswer:
        path = f"/containers/{engine_id}"
        if call.action == "remove":
            return await self._engine.call("DELETE", path, query={"force": "1", "v": "1"})
        query = {"t": str(call.grace_s)} if call.grace_s is not None else None
        return await self._engine.call("POST", f"{path}/{call.action}", query=query)

    async def _inspect(self, reference: str) -> dict[str, Any]:
        """Return id and state of a container of ours; raise `CallRefusedError` if it is not."""
        shown = _object((await self._engine.call("GET", f"/containers/{reference}/json")).document)
        labels = _object(_object(shown.get("Config")).get("Labels") or {})
        if labels.get(LABEL_INSTANCE) not in self._rules.instances:
            raise CallRefusedError("container-not-ours", f"{reference} is not a container of ours")
        engine_id = _id_of(shown)
        self._remember(reference, engine_id)
        state = _object(shown.get("State"))
        return {"Id": engine_id, "State": {name: state.get(name) for name in STATE_FIELDS}}

    async def _list(self, instance: str) -> Answer:
        if instance not in self._rules.instances:
            raise CallRefusedError("list-not-ours", f"{instance[:64]} is not an instance of ours")
        filters = f'{{"label":["{LABEL_INSTANCE}={instance}"]}}'
        listed = await self._engine.call(
            "GET", "/containers/json", query={"all": "1", "filters": filters}
        )
        if not isinstance(listed.document, list):
            raise unusable_answer()
        return Answer(200, [_listed(_object(entry)) for entry in listed.document])

    async def _info(self) -> Answer:
        info = _object((await self._engine.call("GET", "/info")).document)
        names: dict[str, Any] = {name: {} for name in _object(info.get("Runtimes") or {})}
        return Answer(200, {"Runtimes": names, "SecurityOptions": _layers(info)})

    async def _runtimes(self) -> dict[str, list[str]]:
        info = _object((await self._engine.call("GET", "/info")).document)
        runtimes = _object(info.get("Runtimes") or {})
        return {
            name: [str(word) for word in _object(one or {}).get("runtimeArgs") or []]
            for name, one in runtimes.items()
        }

    async def _inspect_image(self, reference: str) -> str:
        """Return the id that one of our images had at our start; the engine must still have it."""
        image_id = self._rules.images.get(reference)
        if image_id is None:
            raise CallRefusedError("image-not-ours", f"{reference[:128]} is not an image of ours")
        await self._engine.call("GET", f"/images/{image_id}/json")
        return image_id

    def _require_recorded(self, call: Call) -> None:
        if begins(call) and self._audit.hindrance is not None:
            raise CallRefusedError(AUDIT_UNAVAILABLE, UNRECORDED, status=503)

    def _require_instance(self) -> None:
        if not self._rules.instances:
            raise CallRefusedError("no-instance", "this guard was told of no instance to serve")

    def _remember(self, reference: str, engine_id: str) -> None:
        while len(self._known) >= KNOWN_LIMIT:
            self._known.pop(next(iter(self._known)))
        self._known[reference] = engine_id

    @asynccontextmanager
    async def _place(self, container_id: str) -> AsyncIterator[None]:
        """Let one call at a time make, use or remove a container's directories."""
        place = self._places.setdefault(container_id, _Place())
        place.users += 1
        try:
            async with place.lock:
                yield
        finally:
            place.users -= 1
            if place.users == 0:
                self._places.pop(container_id, None)


def _shown(paths: Mapping[str, Path], owner: Owner) -> dict[str, Any]:
    shown = {name: str(paths[name]) for name in ("workspace", "home", "agent")}
    return BoxDirectories(**shown, owner_uid=owner.uid, owner_gid=owner.gid).model_dump()


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    labels = _object(entry.get("Labels") or {})
    ours = {name: value for name, value in labels.items() if name.startswith("hakoiri.")}
    return {"Id": entry.get("Id"), "State": entry.get("State"), "Labels": ours}


def _layers(info: Mapping[str, Any]) -> list[str]:
    """Return which layers of protection the engine has, by name alone (`name=apparmor`)."""
    options = info.get("SecurityOptions") or []
    if not isinstance(options, list):
        raise unusable_answer()
    said = {str(option).partition(",")[0] for option in options}
    return [name for name in LAYERS if name in said]


def _object(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise unusable_answer()
    return document


def _id_of(document: Mapping[str, Any]) -> str:
    found = document.get("Id")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise unusable_answer()
    return found
