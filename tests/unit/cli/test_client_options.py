import pytest
import typer

from hakoiri.cli.api_client import ApiError
from hakoiri.cli.client_options import client


def test_what_a_server_repeats_of_a_container_steers_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), client("http://127.0.0.1:1", None):
        raise ApiError("cannot: \x1b]0;owned\x07\x9b2J")
    assert capsys.readouterr().err == "hakoiri: cannot: \\x1b]0;owned\\x07\\x9b2J\n"
