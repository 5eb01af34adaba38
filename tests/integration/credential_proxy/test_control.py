from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from tests.unit.credential_proxy.metrics.test_state_metrics import Parts

from hakoiri.credential_proxy.control import REASON_LIMIT_CHARS, Control
from hakoiri.host.adapters.proxy_client import ProxyClient

pytestmark = pytest.mark.anyio

FULL = "the audit log cannot be written: No space left on device"


async def test_a_server_learns_that_the_proxy_cannot_write_its_audit_log(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    control = Control(
        registry=cast("Any", None),
        in_force=parts.in_force,
        books=cast("Any", None),
        audit=parts.audit,
        version="1",
    )
    runner = web.AppRunner(control.application())
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "c.sock")).start()
        async with ProxyClient(tmp_path / "c.sock") as client:
            before = await client.check()
            parts.audit.failure = FULL
            assert await client.check() == [f"of the proxy: {FULL}", *before]
            parts.audit.failure = "x" * 9000
            assert (await client.check())[0] == f"of the proxy: {'x' * REASON_LIMIT_CHARS}"
    finally:
        await runner.cleanup()
