"""Under which container runtime a conversation's agent runs, purely.

The conversation may ask for one, its policy may narrow, and both only among those that the server
runs.
"""

from collections.abc import Sequence

from hakoiri.host.conversations.ports import ConversationsError
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy


class RuntimeNotAllowedError(ConversationsError):
    """Policy or server do not allow the runtime that was asked for."""


def choose_runtime(asked: Runtime | None, *, policy: Policy, allowed: Sequence[Runtime]) -> Runtime:
    """Return the runtime to use; `allowed` are the server's, the usual one first.

    Without a wish it is the first that the policy names, or else the usual one. Raises
    `RuntimeNotAllowedError`.
    """
    permitted = [one for one in policy.runtimes if one in allowed] if policy.runtimes else allowed
    if not permitted:
        raise RuntimeNotAllowedError(
            f"runtimes: the policy wants {', '.join(policy.runtimes)}, but this server runs "
            f"{', '.join(allowed)}; change the policy, or HAKOIRI_CONTAINER__RUNTIMES"
        )
    if asked is None:
        return permitted[0]
    if asked not in permitted:
        whose = "the policy" if policy.runtimes and asked in allowed else "this server"
        raise RuntimeNotAllowedError(
            f"runtime: {whose} does not allow {asked}, only {', '.join(permitted)}"
        )
    return asked
