import pytest

from hakoiri.cli.workspace_path import path_of_workspace


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("w-1", "/v1/workspaces/w-1"),
        ("c-1", "/v1/conversations/c-1/workspace"),
        ("../keys", "/v1/workspaces/..%2Fkeys"),
        ("c-1/../..", "/v1/conversations/c-1%2F..%2F../workspace"),
        ("w-1?x", "/v1/workspaces/w-1%3Fx"),
    ],
)
def test_an_id_is_one_segment_of_a_path(given: str, path: str) -> None:
    assert path_of_workspace(given) == path
