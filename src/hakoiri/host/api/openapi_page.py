"""The OpenAPI page made whole: sentences, examples, what may be refused, keys. No I/O."""

from collections.abc import Iterator
from typing import Any, Final

from hakoiri.host.api.authentication import PROTECTED_PREFIXES, UNAUTHORISED
from hakoiri.host.api.openapi_examples import EVENT_STREAM, EXAMPLES
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem

_SCHEMAS: Final = "#/components/schemas/"
_CHANGING: Final = frozenset({"post", "put", "patch", "delete"})

_REFUSALS: Final = {
    "401": UNAUTHORISED,
    "404": Problem.of(
        "no-such-conversation",
        title="No such conversation",
        status=404,
        detail="there is no such conversation",
    ),
    "409": Problem.of(
        "turn-running",
        title="A turn is running",
        status=409,
        detail="a turn is running; wait for its end, or interrupt it",
    ),
    "422": Problem.of(
        "invalid-request",
        title="The request is not valid",
        status=422,
        detail="text: Field required; txt: there is no such field",
    ),
    "503": Problem.of(
        "store-unavailable",
        title="The database does not answer",
        status=503,
        detail="Try again later; see /ready.",
    ),
}
"""What is refused often enough to be shown, by status."""


def complete(page: dict[str, Any], *, require_keys: bool) -> dict[str, Any]:
    """Return FastAPI's page with what it cannot know; `page` itself is changed."""
    components = page.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    components["responses"] = {status: _refusal(problem) for status, problem in _REFUSALS.items()}
    if require_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        page["security"] = [{"key": []}]
    for path, method, operation in _operations(page):
        operation["summary"] = summary_of(operation.get("description", ""))
        is_protected = path.startswith(PROTECTED_PREFIXES)
        if require_keys and not is_protected:
            operation["security"] = []
        for status in _statuses(path, method, operation, keys=require_keys and is_protected):
            reference = {"$ref": f"#/components/responses/{status}"}
            operation["responses"].setdefault(status, reference)
        for media in _media(operation):
            _add_example(media)
    return page


def summary_of(description: str) -> str:
    """Return a description's first sentence, without its full stop."""
    paragraph = " ".join(description.split("\n\n", maxsplit=1)[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def _operations(page: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _statuses(path: str, method: str, operation: dict[str, Any], *, keys: bool) -> Iterator[str]:
    if keys:
        yield "401"
    if "{" in path:
        yield "404"
        if method in _CHANGING:
            yield "409"
    if operation.get("parameters") or "requestBody" in operation:
        yield "422"
    if path.startswith("/v1"):
        yield "503"


def _media(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for response in operation["responses"].values():
        yield from response.get("content", {}).items()


def _add_example(of: tuple[str, dict[str, Any]]) -> None:
    kind, media = of
    if kind == "text/event-stream":
        media.setdefault("example", EVENT_STREAM)
    elif kind == PROBLEM_MEDIA_TYPE:
        media.setdefault("example", _REFUSALS["422"].model_dump())
    elif kind == "application/json":
        for name in _names(media.get("schema", {})):
            if name in EXAMPLES:
                media.setdefault("example", EXAMPLES[name])


def _names(schema: dict[str, Any]) -> Iterator[str]:
    for one in (schema, *schema.get("anyOf", ())):
        if (reference := one.get("$ref", "")).startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS)


def _refusal(problem: Problem) -> dict[str, Any]:
    media = {"schema": {"$ref": f"{_SCHEMAS}Problem"}, "example": problem.model_dump()}
    return {"description": problem.title, "content": {PROBLEM_MEDIA_TYPE: media}}
