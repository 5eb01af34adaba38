"""Answers to a container."""

from aiohttp import web

from hakoiri.credential_proxy.exchange import Route
from hakoiri.credential_proxy.refusals import REASON_HEADER, render_refusal


class RelayedResponse(web.StreamResponse):
    """An answer with exactly the headers it was given."""

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in ("Content-Type", "Server", "Date"):
            if name.lower() not in given:
                self.headers.popall(name, None)


class NothingMore(web.StreamResponse):
    """Stands for an answer that was already sent by other means; the connection is closed."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send nothing."""
        del request
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""
        del data


def refusal(*, status: int, code: str, reason: str, route: Route | None) -> web.Response:
    """Answer with a refusal and close: an unread body must not be taken for a request."""
    media_type, body = render_refusal(status=status, code=code, reason=reason, route=route)
    headers = {"Content-Type": media_type, REASON_HEADER: code}
    response = web.Response(status=status, body=body, headers=headers)
    response.force_close()
    return response
