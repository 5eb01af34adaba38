from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.semconv.schemas import Schemas

from hakoiri.tracing import names

OURS = "hakoiri."


def test_names_are_those_of_the_conventions_of_the_version_that_is_told() -> None:
    known = {
        value
        for module in (
            error_attributes,
            gen_ai_attributes,
            http_attributes,
            server_attributes,
            url_attributes,
        )
        for value in vars(module).values()
        if isinstance(value, str)
    }
    told = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "." in value and name != "SCHEMA_URL"
    }
    assert len(told) > 15
    assert {name for name in told if not name.startswith(OURS)} <= known
    assert names.SCHEMA_URL in {schema.value for schema in Schemas}
    assert names.METHODS - {"QUERY"} == {
        one.value for one in http_attributes.HttpRequestMethodValues
    } - {names.OTHER_METHOD, "QUERY"}


def test_a_method_that_nobody_knows_is_not_told() -> None:
    assert names.method_of("GET") == "GET"
    assert names.method_of("PLANTED") == "_OTHER"
    assert names.method_of("get") == "_OTHER"
