"""A CONNECT tunnel: two transports, bytes copied both ways, each side's backpressure kept."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from hakoiri.credential_proxy.budgets.holder import OverBudgetError
from hakoiri.credential_proxy.budgets.meter import Meter
from hakoiri.credential_proxy.interception.hello_guard import HelloGuard, TunnelRefusedError

IDLE_TIMEOUT_S: Final = 600.0


class Tunnel(asyncio.Protocol):
    """The upstream's side of a tunnel, told of the container's side by the container's connection.

    `finished` is done when either side is gone, nothing moved for the idle time, or what the
    container sent was not what the tunnel is for; `refusal` tells of that. `over_budget` tells that
    `meter` let no more bytes by.
    """

    def __init__(
        self,
        *,
        container: asyncio.Transport,
        guard: HelloGuard | None = None,
        meter: Meter | None = None,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._container = container
        self._guard = guard
        self._meter = meter
        self._upstream: asyncio.Transport | None = None
        self._idle_timeout_s = idle_timeout_s
        self._moved_at_s = loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_container_done = False
        self._is_upstream_done = False
        self.finished: asyncio.Future[None] = loop.create_future()
        self.refusal: TunnelRefusedError | None = None
        self.over_budget: OverBudgetError | None = None
        self.bytes_up = 0
        self.bytes_down = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The upstream is connected; it is read once `start` is called."""
        self._upstream = cast("asyncio.Transport", transport)
        self._upstream.pause_reading()

    def start(self, glued: bytes) -> None:
        """Let bytes flow; `glued` came with the head of the CONNECT and goes first."""
        if self._upstream is None:
            return
        if glued:
            self.from_container(glued)
        self._upstream.resume_reading()
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """The upstream sent `data`."""
        if self._meter is not None and not self._is_counted(self._meter.down, len(data)):
            return
        self.bytes_down += len(data)
        self._moved_at_s = self._loop.time()
        self._container.write(data)

    def from_container(self, data: bytes) -> None:
        """The container sent `data`."""
        if self._upstream is None or self.refusal is not None or self.over_budget is not None:
            return
        if self._guard is not None:
            try:
                passed = self._guard.feed(data)
            except TunnelRefusedError as refusal:
                self.refusal = refusal
                self._finish()
                return
            if passed is None:
                return
            data, self._guard = passed, None
        if self._meter is not None and not self._is_counted(self._meter.up, len(data)):
            return
        self.bytes_up += len(data)
        self._moved_at_s = self._loop.time()
        self._upstream.write(data)

    def eof_received(self) -> bool:
        """The upstream sends no more; the container may still."""
        self._is_upstream_done = True
        if self._container.can_write_eof() and not self._container.is_closing():
            self._container.write_eof()
        self._finish_if_done()
        return True

    def container_eof(self) -> None:
        """The container sends no more; the upstream may still."""
        self._is_container_done = True
        if self._upstream is not None and self._upstream.can_write_eof():
            self._upstream.write_eof()
        self._finish_if_done()

    def pause_writing(self) -> None:
        """The upstream takes no more for now."""
        if not self._container.is_closing():
            self._container.pause_reading()

    def resume_writing(self) -> None:
        """The upstream takes more again."""
        if not self._container.is_closing():
            self._container.resume_reading()

    def pause_container_writing(self) -> None:
        """The container takes no more for now."""
        if self._upstream is not None and not self._upstream.is_closing():
            self._upstream.pause_reading()

    def resume_container_writing(self) -> None:
        """The container takes more again."""
        if self._upstream is not None and not self._upstream.is_closing():
            self._upstream.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The upstream is gone."""
        del exc
        self._upstream = None
        self._finish()

    def close(self) -> None:
        """End the upstream's side; what was written is sent first."""
        self._finish()
        if self._upstream is not None:
            self._upstream.close()

    def _is_counted(self, count: Callable[[int], None], size_bytes: int) -> bool:
        try:
            count(size_bytes)
        except OverBudgetError as error:
            self.over_budget = error
            self._finish()
            return False
        return True

    def _finish_if_done(self) -> None:
        if self._is_container_done and self._is_upstream_done:
            self._finish()

    def _finish(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if not self.finished.done():
            self.finished.set_result(None)

    def _watch_idle(self) -> None:
        left_s = self._moved_at_s + self._idle_timeout_s - self._loop.time()
        if left_s <= 0:
            self._finish()
            return
        self._idle_timer = self._loop.call_later(left_s, self._watch_idle)
