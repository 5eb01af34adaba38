from pathlib import Path

import pytest

from hakoiri.audit.segments import AuditFilesError
from hakoiri.audit.writer import ChainWriter, NoAuditLog
from hakoiri.cli.operator_keys import require_writable


def test_no_key_is_made_that_cannot_be_recorded(tmp_path: Path) -> None:
    require_writable(NoAuditLog())
    with ChainWriter(tmp_path, chain="operator", version="1") as log:
        require_writable(log)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with (
        ChainWriter(tmp_path, chain="operator", version="1", sync=refuse) as log,
        pytest.raises(AuditFilesError, match="no key is made that cannot be recorded"),
    ):
        require_writable(log, wait_s=0.2)
