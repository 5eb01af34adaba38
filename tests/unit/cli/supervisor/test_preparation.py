import os
import socket
from pathlib import Path

import pytest

from hakoiri.cli.supervisor.preparation import (
    PreparationError,
    open_kernel_log,
    require_free_port,
)


def test_a_port_that_somebody_listens_on_is_refused_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PreparationError, match=f"port {port}.*HAKOIRI_PORT"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_an_address_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(PreparationError, match=r"192\.0\.2\.1.*HAKOIRI_HOST"):
        require_free_port("192.0.2.1", 8420)


def test_the_kernels_log_is_read_from_its_end_and_is_no_must(tmp_path: Path) -> None:
    written = tmp_path / "kmsg"
    written.write_text("from before\n")
    descriptor = open_kernel_log(written)
    assert descriptor is not None
    with os.fdopen(descriptor) as file:
        assert file.read() == ""
        assert not os.get_inheritable(file.fileno())
    assert open_kernel_log(tmp_path / "none") is None
