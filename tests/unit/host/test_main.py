import pytest

from hakoiri.host.main import LaunchError, refuse_credentials


def test_a_server_that_still_holds_a_credential_does_not_start() -> None:
    with pytest.raises(LaunchError, match="AWS_SECRET_ACCESS_KEY") as refused:
        refuse_credentials({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "planted-a7f3"})
    assert "HAKOIRI_PROXY__ENV_FILE" in str(refused.value)
    assert "planted-a7f3" not in str(refused.value)


def test_a_server_without_any_does() -> None:
    refuse_credentials({"PATH": "/bin", "HAKOIRI_MODEL__REGION": "eu-west-1"})
