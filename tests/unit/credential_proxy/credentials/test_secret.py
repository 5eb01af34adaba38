import pickle

import pytest

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.errors import ConfigurationError


def test_a_secret_is_shown_by_no_way_but_reveal() -> None:
    secret = Secret("planted value", name="test")
    keys = AwsKeys("id", secret, secret)
    shown = f"{secret} {secret!r} {secret!s} {secret:>20} {[secret]} {keys}"
    assert "planted" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret.reveal() == "planted value"


@pytest.mark.parametrize(
    "value", ["", " zq", "zq ", "z\r\nq", "z\nq", "z\rq", "z\0q", "z\tq", "é", "a" * 8193]
)
def test_a_secret_that_would_break_a_header_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"credentials\.a") as refused:
        Secret(value, name="credentials.a")
    if value.strip():
        assert value not in str(refused.value)


def test_secrets_of_one_value_are_one_key() -> None:
    a, same, other = (Secret(value, name="a") for value in ("planted", "planted", "another"))
    assert a == same
    assert len({a, same, other}) == 2
    assert a != "planted"
