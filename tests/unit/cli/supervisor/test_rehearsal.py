from pathlib import Path

import pytest

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.rehearsal import check_rehearsal_script


@pytest.mark.parametrize("content", [b"scenes: [", b"rules = [", b"\xff", b"scenes: [{nme: x}]"])
def test_a_script_that_cannot_be_played_names_setting_and_file(content: bytes) -> None:
    with pytest.raises(PreparationError, match=r"^HAKOIRI_MODEL__REHEARSAL_SCRIPT: /srv/s.yaml"):
        check_rehearsal_script(content, Path("/srv/s.yaml"))


def test_a_script_that_can_be_played_is_taken() -> None:
    check_rehearsal_script(b"scenes: [{name: a, replies: [{say: x}]}]", Path("/srv/s.yaml"))
