from pathlib import Path

import pytest

from hakoiri.credential_proxy.credential_definitions import HeaderCredential
from hakoiri.credential_proxy.credentials.header import load_header_secret
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError


def credential(**source: object) -> HeaderCredential:
    fields = {"kind": "header", "header": "x-api-key", "hosts": ["api.example.com"], **source}
    return HeaderCredential.model_validate(fields)


def test_a_secret_comes_from_the_environment() -> None:
    secret = load_header_secret(credential(value_env="KEY"), name="a", environ={"KEY": "planted"})
    assert secret.reveal() == "planted"


def test_a_variable_that_is_not_set_is_told_by_name() -> None:
    with pytest.raises(CredentialError, match="KEY is not set"):
        load_header_secret(credential(value_env="KEY"), name="a", environ={})


@pytest.mark.parametrize("content", ["planted", "planted\n", "planted\r\n"])
def test_a_secret_comes_from_a_file_without_its_line_break(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, newline="")
    file.chmod(0o600)
    secret = load_header_secret(credential(value_file=file), name="a", environ={})
    assert secret.reveal() == "planted"


def test_a_file_that_others_write_or_with_two_lines_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a\nb\n")
    for mode in (0o666, 0o600):
        file.chmod(mode)
        with pytest.raises(ConfigurationError):
            load_header_secret(credential(value_file=file), name="a", environ={})
