import json

import pytest

from hakoiri.credential_proxy.decision import Retry
from hakoiri.credential_proxy.refusals import render_refusal, retry_headers
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "permission_error"), (429, "rate_limit_error"), (502, "api_error")],
)
def test_on_the_model_path_a_refusal_looks_like_the_apis_own(status: int, kind: str) -> None:
    media_type, body = render_refusal(status=status, code="c", reason="why", route="model")
    document = json.loads(body)
    assert media_type == "application/json"
    assert (document["type"], document["error"]["type"]) == ("error", kind)
    assert "why (c)" in document["error"]["message"]


def test_elsewhere_a_refusal_is_a_problem() -> None:
    media_type, body = render_refusal(status=403, code="c", reason="why", route="tunnel")
    problem = Problem.model_validate_json(body)
    assert media_type == PROBLEM_MEDIA_TYPE
    assert (problem.code, problem.status, problem.detail) == ("c", 403, "why")


def test_a_client_is_told_when_to_come_again_and_whether_by_itself() -> None:
    assert retry_headers(None) == []
    assert retry_headers(Retry(2, is_passing=True)) == [("Retry-After", "2")]
    assert retry_headers(Retry(9, is_passing=False)) == [
        ("Retry-After", "9"),
        ("x-should-retry", "false"),
    ]
