import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hakoiri.credential_proxy as room
from hakoiri.credential_proxy.metrics.codes import CODES, OTHER, code_label
from hakoiri.wire.problems import AUDIT_UNAVAILABLE, OVER_BUDGET

_CODE = re.compile(r"[a-z]+(-[a-z]+)*")
_MAKERS = {"Refuse", "WhitelistDecision", "_unreadable", "_refuse_unread", "_write_refusal"}
_NOT_OF_REQUESTS = {"policy-too-wide"}


def _literals(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _MAKERS or name.endswith("Error"):
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _literals(argument)
        elif isinstance(node, ast.Assign):
            target = node.targets[-1]
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for left, value in pairs:
                named = left.attr if isinstance(left, ast.Attribute) else getattr(left, "id", "")
                if named in ("code", "reason"):
                    yield from _literals(value)


def test_the_set_is_that_of_all_codes_with_which_a_request_can_end() -> None:
    [directory] = room.__path__
    used = {
        code
        for path in Path(directory).rglob("*.py")
        if "metrics" not in path.parts
        for code in _codes_in(ast.parse(path.read_text()))
        if "-" in code and _CODE.fullmatch(code)
    }
    single = {"cut", "internal", "unbound", OVER_BUDGET, AUDIT_UNAVAILABLE}
    assert used - CODES - _NOT_OF_REQUESTS == set(), "add these to CODES"
    assert CODES - used - single == set(), "no request ends with these"


@pytest.mark.parametrize(
    ("code", "label"),
    [("ok", None), ("cut", "cut"), ("new-thing", OTHER), ('x"} 1\n', OTHER), ("", OTHER)],
)
def test_no_other_text_becomes_a_label(code: str, label: str | None) -> None:
    assert code_label(code) == label
