from pathlib import Path

import pytest

from hakoiri.cli.workspace_image import read_public_key
from hakoiri.image.signature import SignatureRefusedError


def test_a_key_that_others_can_write_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "image.pub"
    path.write_bytes(b"key")
    assert read_public_key(path) == b"key"
    path.chmod(0o664)
    with pytest.raises(SignatureRefusedError, match="others can write it"):
        read_public_key(path)
    with pytest.raises(SignatureRefusedError, match="No such file"):
        read_public_key(tmp_path / "none")
