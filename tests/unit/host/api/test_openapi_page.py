"""The page is a valid OpenAPI document, and each route has sentences, examples and refusals."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.unit.host.api.served import Served

from hakoiri.host.api.openapi_examples import EXAMPLES
from hakoiri.host.api.openapi_page import summary_of
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem

pytestmark = pytest.mark.anyio


async def page(*, require_keys: bool = True) -> dict[str, Any]:
    async with Served(require_keys=require_keys).client() as client:
        told: dict[str, Any] = (await client.get("/openapi.json")).json()
    return told


def operations(told: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


@pytest.mark.parametrize("require_keys", [True, False])
async def test_the_page_is_a_valid_openapi_document(require_keys: bool) -> None:  # noqa: FBT001
    errors = OpenAPIV31SpecValidator(await page(require_keys=require_keys)).iter_errors()
    assert [error.message for error in errors] == []


async def test_the_validator_finds_what_is_wrong() -> None:
    told = await page()
    told["paths"]["/health"]["get"]["responses"]["200"].pop("description")
    assert list(OpenAPIV31SpecValidator(told).iter_errors())


async def test_each_route_has_a_sentence_of_its_own() -> None:
    summaries = {where: operation["summary"] for where, operation in operations(await page())}
    assert all(len(summary) > 6 and not summary.endswith(".") for summary in summaries.values())
    ids = [operation["operationId"] for _, operation in operations(await page())]
    assert len(ids) == len(set(ids))


async def test_each_json_body_and_answer_has_an_example_that_fits_it() -> None:
    told = await page()
    resolver = {"$defs": {}, "components": told["components"]}
    seen = set()
    for where, operation in operations(told):
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for part in parts:
            for kind, media in part.get("content", {}).items():
                if not kind.endswith("json") or not media.get("schema"):
                    continue
                assert "example" in media, (where, kind)
                Draft202012Validator({**resolver, **media["schema"]}).validate(media["example"])
                seen.add(json.dumps(media["example"]))
    assert {json.dumps(example) for example in EXAMPLES.values()} <= seen


async def test_each_route_tells_what_it_refuses_as_problems() -> None:
    told = await page()
    for where, operation in operations(told):
        default = operation["responses"]["default"]["content"][PROBLEM_MEDIA_TYPE]
        Problem.model_validate(default["example"])
        if where.endswith(("/health", "/ready")):
            assert operation["security"] == []
            continue
        assert "401" in operation["responses"], where
        assert ("404" in operation["responses"]) == ("{" in where)
    for status, response in told["components"]["responses"].items():
        example = response["content"][PROBLEM_MEDIA_TYPE]["example"]
        assert Problem.model_validate(example).status == int(status)


async def test_a_server_without_keys_asks_for_none() -> None:
    told = await page(require_keys=False)
    assert "security" not in told
    assert not any("401" in operation["responses"] for _, operation in operations(told))


async def test_the_page_is_the_same_each_time() -> None:
    async with Served(require_keys=True).client() as client:
        first, second = [(await client.get("/openapi.json")).json() for _ in range(2)]
    assert first == second


def test_a_summary_is_the_first_sentence() -> None:
    assert summary_of("Save now; or\nlater. Refused.\n\nMore.") == "Save now; or later"
    assert summary_of("") == ""
