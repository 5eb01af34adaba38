"""Asking what a policy says of one request, and the answer step by step; nothing is sent anywhere.

`POST /explain` on the proxy's control socket takes `PolicyTest` and answers `Explanation`.
"""

from typing import Literal

from pydantic import Field

from hakoiri.wire.messages import Identifier, Message, ShortText
from hakoiri.wire.policy import Method, Policy

Check = Literal[
    "policy",
    "url",
    "host",
    "port",
    "interception",
    "plain-path",
    "method",
    "path",
    "model",
    "credential",
    "secrets",
    "body",
    "websocket",
    "request",
    "address",
]
"""What is looked at, in the order in which it is told."""


class PolicyTest(Message):
    """What would become of `method` to `url` under a `policy` of `tenant`?

    `url` is an `http`, `https`, `ws` or `wss` URL, or a path of the model's API such as
    `/v1/messages`.
    """

    policy: Policy
    method: Method = "GET"
    url: ShortText
    tenant: Identifier = "default"


class Step(Message):
    """One check; `later` is known only when the connection is made."""

    check: Check
    result: Literal["passed", "failed", "later"]
    text: ShortText


class Explanation(Message):
    """The decision and how it came about.

    `code` is the one a container would get, `allowed` when it may pass. `mend` is empty when there
    is none. `rule` is the rule's label as in logs and metrics.
    """

    verdict: Literal["allowed", "refused"]
    code: ShortText
    reason: ShortText
    mend: ShortText = ""
    route: Literal["model", "egress", "tunnel", "intercept", "intercepted"] | None = None
    rule: ShortText | None = None
    credential: Identifier | None = None
    secrets: list[Identifier] = Field(default=[])
    steps: list[Step]
