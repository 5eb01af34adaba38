"""Two processes' figures as one text. No I/O.

What the proxy tells is taken only as a whole, and only if every line is a figure of its own: a
proxy in others' hands can neither pass off figures of the server nor make the text unreadable.
"""

import re
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from hakoiri.wire.proxy import METRICS_PREFIX

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_NAME: Final = METRICS_PREFIX + r"_[a-z0-9_]+"
_LABEL: Final = r'[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_NUMBER: Final = r"(?:[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|[-+]Inf|NaN)"
_LINE: Final = re.compile(
    rf"# HELP {_NAME} [^\n]*"
    rf"|# TYPE {_NAME} (?:counter|gauge|histogram)"
    rf"|{_NAME}(?:\{{{_LABEL}(?:,{_LABEL})*\}})? {_NUMBER}"
)
_UP: Final = (
    "# HELP hakoiri_server_proxy_up 1 if the credential proxy told its figures.\n"
    "# TYPE hakoiri_server_proxy_up gauge\n"
    "hakoiri_server_proxy_up {value}\n"
)


def is_sound(text: str) -> bool:
    """Whether every line is one of the proxy's own figures."""
    return text.endswith("\n") and all(_LINE.fullmatch(line) for line in text[:-1].split("\n"))


def merge(own: str, proxys: str | None) -> str:
    """Return the server's figures and the proxy's, or that there are none.

    `proxys` is None when the proxy does not answer; what is not sound counts the same.
    """
    is_up = proxys is not None and is_sound(proxys)
    return own + _UP.format(value=int(is_up)) + (proxys if proxys is not None and is_up else "")
