"""A forwarder that signs with botocore, in the place where the credential proxy stands."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.integration.rehearsal.server import (
    ACCESS_KEY_ID,
    REGION,
    SECRET_ACCESS_KEY,
    Server,
)


@contextmanager
def signing_forwarder(server: Server) -> Iterator[str]:
    """Sign and forward all that comes to the yielded URL."""

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.forward()

        def do_POST(self) -> None:
            self.forward()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request: Any = AWSRequest(self.command, server.url + self.path, data=body)
            credentials = Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
            SigV4Auth(credentials, "bedrock", REGION).add_auth(request)
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as upstream:
                upstream.request(self.command, self.path, body, dict(request.headers.items()))
                answer = upstream.getresponse()
                # HTTP/1.0: the end of the connection is the end of the body.
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers["content-type"])
                self.end_headers()
                while piece := answer.read1():
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_address[1]}"
        finally:
            listener.shutdown()
            thread.join()
