import pytest
from pydantic import ValidationError
from tests.unit.docker_guard.bodies import RULES

from hakoiri.docker_guard.rules import Rules


@pytest.mark.parametrize(
    "name", ["unconfined", "UNCONFINED", "", "a b", "a,b", "a/../b", "x" * 129]
)
def test_no_guard_starts_with_a_profile_that_is_none(name: str) -> None:
    with pytest.raises(ValidationError, match="apparmor_profile"):
        Rules.model_validate(RULES.model_dump() | {"apparmor_profile": name})


@pytest.mark.parametrize("image", ["hakoiri/workspace:test", "sha256:ab", "ab" * 32, ""])
def test_no_guard_starts_with_an_image_that_is_a_name(image: str) -> None:
    with pytest.raises(ValidationError, match="images"):
        Rules.model_validate(RULES.model_dump() | {"images": {"hakoiri/workspace:test": image}})


@pytest.mark.parametrize("name", ["workspace-container", None])
def test_a_named_profile_and_the_engines_own_are_fine(name: str | None) -> None:
    rules = Rules.model_validate(RULES.model_dump() | {"apparmor_profile": name})
    assert rules.apparmor_profile == name
