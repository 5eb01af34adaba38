from pathlib import Path

import pytest

from hakoiri.cli.listening import require_directory_of


def test_a_socket_needs_a_directory_that_is_there(tmp_path: Path) -> None:
    require_directory_of(tmp_path / "p.sock")
    with pytest.raises(NotADirectoryError, match=r"^--listen .*is not there; make it"):
        require_directory_of(tmp_path / "gone" / "p.sock")
