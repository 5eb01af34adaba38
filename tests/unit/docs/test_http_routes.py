"""Routes, parameters and fields that pages name are those of the OpenAPI page."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.host.api.served import Served

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md")))
    if path.parent.name in {"docs", "security", "operations"} or path.name == "README.md"
    if path.name != "penetration-test-report.md"
}
CODE = re.compile(r"`([^`\n]+)`|^    (.+)$", re.MULTILINE)
ROUTE = re.compile(
    r"(?:^|[\s`\"])(?:(?P<method>GET|PUT|POST|PATCH|DELETE) )?"
    r"(?P<path>(?:/v1|…(?=[/?])|/ready|/health|/metrics(?=[/\s?`]|$)|/openapi\.json|\$api)[^\s`\"'#]*)"
)
BODY = re.compile(r'\{".*\}')
ELSEWHERE = {"/v1/traces": "a collector of traces has it"}
POINTS = "| call, below `…/recovery-points` | answer |"
NOT_DOCUMENTED = {"list": "of no meaning to the server; it makes the address readable"}


async def openapi() -> dict[str, Any]:
    async with Served().client() as client:
        told: dict[str, Any] = (await client.get("/openapi.json")).json()
    return told


def named(text: str) -> list[tuple[str | None, str, str, str | None]]:
    """Return method, path, query and body of each call in a page's code."""
    found = []
    for inline, block in CODE.findall(text):
        code = inline or block
        matches = list(ROUTE.finditer(code))
        ends = [*(match.start() for match in matches[1:]), len(code)]
        for match, end in zip(matches, ends, strict=False):
            body = BODY.search(code[match.end() : end])
            path, _, query = match["path"].rstrip(",;.").partition("?")
            if path in ELSEWHERE:
                continue
            found.append((match["method"], path, query, body[0] if body else None))
    return found


def whole(path: str) -> str:
    """Return the path as the OpenAPI page has it: the workspace's for `…`, ids by their place."""
    path = path.replace("$api", "/v1/conversations").replace("…", "/v1/workspaces/{id}")
    return re.sub(r"\{[^}]+\}|\$\w+", "{}", path)


def why_not(told: dict[str, Any], call: tuple[str | None, str, str, str | None]) -> str | None:
    method, path, query, body = call
    routes = {re.sub(r"\{[^}]+\}", "{}", one): methods for one, methods in told["paths"].items()}
    if path == "/openapi.json":
        return None
    if (methods := routes.get(whole(path))) is None:
        return f"there is no {whole(path)}"
    if method is not None and method.lower() not in methods:
        return f"{path} takes no {method}"
    asked = [methods[method.lower()]] if method else list(methods.values())
    parameters = {one["name"] for each in asked for one in each.get("parameters", ())}
    for part in filter(None, query.split("&")):
        name = part.partition("=")[0]
        if name not in parameters | set(NOT_DOCUMENTED):
            return f"{path} has no parameter {name}"
    fields = fields_of(told, asked)
    for name in re.findall(r'"(\w+)":', body or ""):
        if name not in fields:
            return f"{path} has no field {name}"
    return None


def fields_of(told: dict[str, Any], operations: list[Any]) -> set[str]:
    """Return the names of fields in bodies and answers, at any depth."""
    schemas, found, queue = told["components"]["schemas"], set(), list(operations)
    seen: set[str] = set()
    while queue:
        value = queue.pop()
        if isinstance(value, list):
            queue += value
        elif isinstance(value, dict):
            found |= set(value.get("properties", ()))
            queue += value.values()
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in seen:
                seen.add(name)
                queue.append(schemas[name])
    return found


async def test_each_route_of_a_page_is_one_of_the_api() -> None:
    told = await openapi()
    wrong = {
        f"{page}: {call}": fault
        for page, text in PAGES.items()
        for call in named(text)
        if (fault := why_not(told, call))
    }
    assert wrong == {}


async def test_the_calls_of_recovery_points_are_those_of_the_api() -> None:
    told = await openapi()
    table = PAGES["docs/operations/workspaces.md"].split(POINTS)[1].split("\n\n")[0]
    calls = re.findall(r"^\| `(\w+)(?: (/[^`]+))?` \|", table, re.MULTILINE)
    assert len(calls) > 6
    for method, path in calls:
        assert why_not(told, (method, f"…/recovery-points{path}", "", None)) is None, path


async def test_the_check_finds_what_is_wrong() -> None:
    told = await openapi()
    good = (
        "`GET /v1/pool` and `DELETE …?files=save`\n\n"
        """    curl $api/$id/messages -d '{"text": 1}'   # POST /v1/conversations {"kind": 1}\n"""
    )
    assert len(named(good)) == 4
    assert [why_not(told, call) for call in named(good)] == [None] * 4
    assert why_not(told, ("POST", "/v1/pool", "", None)) == "/v1/pool takes no POST"
    assert why_not(told, (None, "/v1/pools", "", None)) == "there is no /v1/pools"
    assert why_not(told, ("GET", "…/files", "lst", None)) == "…/files has no parameter lst"
    assert why_not(told, ("POST", "/v1/keys", "", '{"nme": "x"}')) == "/v1/keys has no field nme"
    assert sum(len(named(text)) for text in PAGES.values()) > 40
