"""What the agent's environment says: addresses, switches, whom to trust, and never a key.

The variables are those of the agent CLI's own documentation. The model is reached in plain HTTP at
the relay on the container's loopback; the proxy outside signs and speaks TLS.
"""

from typing import Final, Literal

from hakoiri.wire.agent import CA_BUNDLE_NAME, PROXY_MOUNT, RELAY_PORT

RELAY_URL: Final = f"http://127.0.0.1:{RELAY_PORT}"
INJECTED_OUTSIDE: Final = "injected-by-the-credential-proxy"
"""The CLI insists on a key; this one opens nothing, and the proxy strips it."""

CA_BUNDLE: Final = f"{PROXY_MOUNT}/{CA_BUNDLE_NAME}"
_TRUST: Final = dict.fromkeys(
    (
        "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
        "CURL_CA_BUNDLE",
        "DENO_CERT",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "NPM_CONFIG_CAFILE",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    ),
    CA_BUNDLE,
)
"""Where each client looks for the certificates it trusts: the host's, and the proxy's own."""

_AWS: Final = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
"""A checksum that the SDKs add by themselves comes in chunks that the container would sign; the
proxy signs bodies as a whole."""

_QUIET: Final = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
}

PROCESSORS: Final = "WTF_numberOfProcessorCores"
"""Of WebKit's WTF, on which the CLI's runtime is built. Without it that takes a limit of processor
time below 2 for one processor: the first request of a process that waits came after 225 ms, with
it after 160."""

_STEADY: Final = {"BUN_JSC_numberOfGCMarkers": "1", "BUN_JSC_useConcurrentGC": "0"}
"""The runtime collects garbage in threads that it starts when it needs them, and aborts where it
cannot: a tool that used up the box's processes took the CLI with it, every time, wherever the CLI
saw two processors. It collects in the thread that it has; that took the first request no longer."""


def reckoned_processors(cpus: float, *, processors: int) -> int:
    """Return how many processors a box may run on at once, of the host's; its limit is of time."""
    return min(processors, max(2, int(cpus)))


def agent_environment(
    *,
    provider: Literal["bedrock", "anthropic", "rehearsal"],
    region: str,
    model: str | None,
    retries: int,
    processors: int,
) -> dict[str, str]:
    """Return the variables that lead the agent to its model.

    `processors`: how many the CLI is to reckon with (`reckoned_processors`).
    """
    environment = _QUIET | _TRUST | _AWS | _STEADY
    environment |= {"CLAUDE_CODE_MAX_RETRIES": str(retries), PROCESSORS: str(processors)}
    if provider == "anthropic":
        environment |= {"ANTHROPIC_BASE_URL": RELAY_URL, "ANTHROPIC_API_KEY": INJECTED_OUTSIDE}
    else:  # the rehearsal model speaks Bedrock, so that the whole signed path is rehearsed
        environment |= {
            "CLAUDE_CODE_USE_BEDROCK": "1",
            "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
            "ANTHROPIC_BEDROCK_BASE_URL": RELAY_URL,
            "AWS_REGION": region,
        }
    if model is not None:
        environment["ANTHROPIC_MODEL"] = model
    return environment
