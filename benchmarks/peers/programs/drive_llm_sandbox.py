"""Drives llm-sandbox in its own environment: a word a line in, milliseconds a line out."""

import sys
import time
from typing import Any

import docker
from llm_sandbox import SandboxSession

ECHO = "echo hi"


def main() -> None:
    """Obey `create`, `command` and `remove` until the input ends."""
    host, image = sys.argv[1:]
    client = docker.DockerClient(base_url=host)
    session: Any = None
    for line in sys.stdin:
        began_s = time.perf_counter()
        match line.strip():
            case "create":
                session = SandboxSession(
                    client=client,
                    image=image,
                    lang="python",
                    skip_environment_setup=True,
                    runtime_configs={
                        "network_mode": "none",
                        "entrypoint": ["sleep", "infinity"],
                    },
                )
                session.open()
                check(session.execute_command(ECHO))
            case "command":
                check(session.execute_command(ECHO))
            case "remove":
                session.close()
        print((time.perf_counter() - began_s) * 1000, flush=True)


def check(said: object) -> None:
    """End with an error unless it is what the command says."""
    if getattr(said, "stdout", "").strip() != "hi":
        raise SystemExit(f"the command said {said!r}")


if __name__ == "__main__":
    main()
