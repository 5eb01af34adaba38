from pathlib import Path

import pytest

from hakoiri.rehearsal.__main__ import StartError, bind, load_script, read_identities
from hakoiri.rehearsal.script import SCRIPT_LIMIT_BYTES, ScriptError

SECRET = "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY"
API_KEY = "HAKOIRI_REHEARSAL_API_KEY"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "127.9.9.9:0"])
def test_loopback_may_be_listened_on(listen: str) -> None:
    with bind(listen) as listener:
        assert listener.getsockname()[0].startswith("127.")


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0", "example.test:0", ":0", ""],
)
def test_any_other_address_is_refused(listen: str) -> None:
    with pytest.raises(StartError, match="--listen"):
        bind(listen)


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(StartError, match="--listen"):
        bind(f"127.0.0.1:{port}")


def test_a_taken_port_is_refused_with_the_mend() -> None:
    with bind("127.0.0.1:0") as first, pytest.raises(StartError, match="choose another port"):
        bind(f"127.0.0.1:{first.getsockname()[1]}")


def test_secrets_come_from_the_environment() -> None:
    identities = read_identities(
        {SECRET: "s", API_KEY: "k", "HAKOIRI_REHEARSAL_SESSION_TOKEN": "t"},
        region="eu-west-1",
        access_key_id="AKIDEXAMPLE",
    )
    key = identities.signing_key
    assert key is not None
    assert (key.secret_access_key, key.session_token, key.region) == ("s", "t", "eu-west-1")
    assert identities.api_key == "k"


def test_one_provider_is_enough_and_none_is_refused() -> None:
    alone = read_identities({API_KEY: "k"}, region="us-east-1", access_key_id=None)
    assert alone.signing_key is None
    with pytest.raises(StartError, match="nobody"):
        read_identities({API_KEY: ""}, region="us-east-1", access_key_id=None)


def test_half_a_signing_key_is_refused() -> None:
    with pytest.raises(StartError, match="together"):
        read_identities({SECRET: "s", API_KEY: "k"}, region="us-east-1", access_key_id=None)
    with pytest.raises(StartError, match="together"):
        read_identities({API_KEY: "k"}, region="us-east-1", access_key_id="AKIDEXAMPLE")


def test_a_script_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        load_script(tmp_path / "missing.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(StartError, match="cannot be read"):
        load_script(binary)
    long = tmp_path / "long.yaml"
    long.write_bytes(b"#" * (SCRIPT_LIMIT_BYTES + 100))
    with pytest.raises(ScriptError, match="longer than"):
        load_script(long)
