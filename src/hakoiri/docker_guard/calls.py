"""From a request's method and target to one of the calls there are, purely.

Nothing of the target goes further: a call carries parsed names and numbers, and what is sent to the
engine is written anew from them. A target that two readers could read differently (percent signs,
doubled slashes, dots, another version, an absolute URI) is refused, not cleaned.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from hakoiri.docker_guard import strict_json
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.wire.guard import API_VERSION, CONTAINER_ID_PATTERN, LABEL_INSTANCE, engine_name

TARGET_LIMIT_CHARS: Final = 1024
GRACE_LIMIT_S: Final = 600

ContainerAction = Literal["start", "stop", "pause", "unpause", "inspect", "remove"]


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Create the container `container_id` from the request's body."""

    container_id: str


@dataclass(frozen=True, slots=True)
class ActOnContainer:
    """Do something to one container, named as the engine knows it: our name, or a whole id."""

    reference: str
    action: ContainerAction
    grace_s: int | None = None


@dataclass(frozen=True, slots=True)
class ListContainers:
    """All containers of one instance."""

    instance: str


@dataclass(frozen=True, slots=True)
class InspectImage:
    """The content id of an image of ours, by the name that the guard was told of."""

    reference: str


@dataclass(frozen=True, slots=True)
class AskRuntimes:
    """Which runtimes the engine has, and whether it maps users."""


@dataclass(frozen=True, slots=True)
class MakeBox:
    """Make the directories of a container that is to be."""

    container_id: str


@dataclass(frozen=True, slots=True)
class FindBox:
    """Where the directories of a container are."""

    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveBox:
    """Remove them with all that is in them."""

    container_id: str


@dataclass(frozen=True, slots=True)
class ListBoxes:
    """The containers that have directories."""


@dataclass(frozen=True, slots=True)
class CollectImages:
    """Take away the images of ours that nothing needs any more."""


Call: TypeAlias = (
    CreateContainer
    | ActOnContainer
    | ListContainers
    | InspectImage
    | AskRuntimes
    | MakeBox
    | FindBox
    | RemoveBox
    | ListBoxes
    | CollectImages
)

_SEGMENT: Final = r"[A-Za-z0-9][A-Za-z0-9_.:@-]*"
_PATH: Final = re.compile(rf"(/{_SEGMENT})+")
_OURS: Final = rf"hakoiri-{CONTAINER_ID_PATTERN}|[0-9a-f]{{64}}"
_ACT: Final = re.compile(rf"containers/({_OURS})/(json|start|stop|pause|unpause)")
_REMOVE: Final = re.compile(rf"containers/({_OURS})")
_IMAGE: Final = re.compile(rf"images/({_SEGMENT}(?:/{_SEGMENT})*)/json")
_BOX: Final = re.compile(rf"/boxes/({CONTAINER_ID_PATTERN})")
_NAME: Final = re.compile(rf"hakoiri-({CONTAINER_ID_PATTERN})")
_TRUE: Final = frozenset({"1", "true", "True"})
_NUMBER: Final = re.compile(r"[0-9]{1,3}")


def read_call(method: str, target: str) -> Call:
    """Return the call, or raise `CallRefusedError`: every other call is refused."""
    path, query = _split(target)
    if path.startswith("/boxes"):
        _no_query(query)
        return _box_call(method, path)
    if (method, path) == ("DELETE", "/images/old"):
        _no_query(query)
        return CollectImages()
    prefix = f"/{API_VERSION}/"
    if not path.startswith(prefix):
        raise CallRefusedError(
            "version-unknown", f"only paths below {prefix} are served, /boxes, and /images/old"
        )
    return _engine_call(method, path.removeprefix(prefix), query)


def takes_body(call: Call) -> bool:
    """Whether the call comes with a body; any other must come without."""
    return isinstance(call, CreateContainer)


def begins(call: Call) -> bool:
    """Whether the call makes something live that was not; what is live may always be ended."""
    if isinstance(call, ActOnContainer):
        return call.action == "start"
    return isinstance(call, CreateContainer | MakeBox)


def _split(target: str) -> tuple[str, dict[str, str]]:
    if len(target) > TARGET_LIMIT_CHARS:
        raise _bad_target(f"it has over {TARGET_LIMIT_CHARS} characters")
    path, mark, query = target.partition("?")
    if _PATH.fullmatch(path) is None:
        raise _bad_target("the path is not made of plain names with single slashes between them")
    if not mark:
        return path, {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, max_num_fields=4, errors="strict"
        )
    except ValueError:  # also of a UnicodeDecodeError
        raise _bad_target("the query is not a list of names and values") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad_target("a name is in the query twice")
    return path, found


def _box_call(method: str, path: str) -> Call:
    if path == "/boxes" and method == "GET":
        return ListBoxes()
    one = _BOX.fullmatch(path)
    if one is not None and method == "PUT":
        return MakeBox(one[1])
    if one is not None and method == "GET":
        return FindBox(one[1])
    if one is not None and method == "DELETE":
        return RemoveBox(one[1])
    raise _not_allowed(method, path)


def _engine_call(method: str, path: str, query: dict[str, str]) -> Call:
    if (method, path) == ("POST", "containers/create"):
        return _create(query)
    if (method, path) == ("GET", "containers/json"):
        return _list(query)
    if (method, path) == ("GET", "info"):
        _no_query(query)
        return AskRuntimes()
    if method == "GET" and (image := _IMAGE.fullmatch(path)):
        _no_query(query)
        return InspectImage(image[1])
    if method == "DELETE" and (one := _REMOVE.fullmatch(path)):
        _only(query, force=_TRUE, v=_TRUE)
        return ActOnContainer(one[1], "remove")
    if (one := _ACT.fullmatch(path)) and method == ("GET" if one[2] == "json" else "POST"):
        return _act(one[1], one[2], query)
    raise _not_allowed(method, path)


def _create(query: dict[str, str]) -> CreateContainer:
    name = _NAME.fullmatch(query.get("name", ""))
    if set(query) != {"name"} or name is None:
        raise CallRefusedError(
            "name-not-ours", f"a container is created with ?name={engine_name('ID')} alone"
        )
    return CreateContainer(name[1])


def _list(query: dict[str, str]) -> ListContainers:
    filters = strict_json.parse(query.get("filters", "").encode())
    labels = filters.get("label") if isinstance(filters, dict) and len(filters) == 1 else None
    if set(query) != {"all", "filters"} or query["all"] not in _TRUE or not _is_one_text(labels):
        raise _not_ours_listed()
    name, _, instance = str(labels[0]).partition("=") if labels else ("", "", "")
    if name != LABEL_INSTANCE:
        raise _not_ours_listed()
    return ListContainers(instance)


def _is_one_text(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)


def _act(reference: str, action: str, query: dict[str, str]) -> ActOnContainer:
    if action == "stop":
        seconds = query.get("t", "")
        if set(query) != {"t"} or _NUMBER.fullmatch(seconds) is None:
            raise _bad_target(f"a stop names its grace, ?t=0 to {GRACE_LIMIT_S}")
        if int(seconds) > GRACE_LIMIT_S:
            raise _bad_target(f"t: at most {GRACE_LIMIT_S} s")
        return ActOnContainer(reference, "stop", grace_s=int(seconds))
    _no_query(query)
    if action == "json":
        return ActOnContainer(reference, "inspect")
    if action == "start":
        return ActOnContainer(reference, "start")
    return ActOnContainer(reference, "pause" if action == "pause" else "unpause")


def _only(query: dict[str, str], **allowed: frozenset[str]) -> None:
    for name, value in query.items():
        if name not in allowed or value not in allowed[name]:
            raise _bad_target(f"the query may only say {', '.join(allowed)}")


def _no_query(query: dict[str, str]) -> None:
    if query:
        raise _bad_target("this call takes no query")


def _bad_target(detail: str) -> CallRefusedError:
    return CallRefusedError("target-invalid", detail, status=400)


def _not_allowed(method: str, path: str) -> CallRefusedError:
    return CallRefusedError("call-not-allowed", f"{method[:16]} {path[:128]} is not a call we make")


def _not_ours_listed() -> CallRefusedError:
    return CallRefusedError(
        "list-not-ours", f'list with ?all=1&filters={{"label":["{LABEL_INSTANCE}=ID"]}}'
    )
