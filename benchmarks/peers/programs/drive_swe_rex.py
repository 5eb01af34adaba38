"""Drives swe-rex in its own environment: a word a line in, milliseconds a line out.

Its server in the container needs a way in from the host by TCP, so it gets the host's network.
"""

import asyncio
import logging
import sys
import time
from typing import Any

from swerex.deployment.docker import DockerDeployment
from swerex.runtime.abstract import Command

PORT = 8000
"""swe-rex's own: behind the host's network nothing maps it."""
ECHO = ("echo", "hi")


async def main() -> None:
    """Obey `create`, `command` and `remove` until the input ends."""
    logging.disable()
    (image,) = sys.argv[1:]
    deployment: Any = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        began_s = time.perf_counter()
        match line.strip():
            case "create":
                deployment = DockerDeployment(
                    image=image,
                    port=PORT,
                    pull="never",
                    docker_args=["--network", "host", "--entrypoint", ""],
                )
                await deployment.start()
                await command(deployment)
            case "command":
                await command(deployment)
            case "remove":
                await deployment.stop()
        print((time.perf_counter() - began_s) * 1000, flush=True)


async def command(deployment: DockerDeployment) -> None:
    """Run the command; end with an error unless it says what it should."""
    said = await deployment.runtime.execute(Command(command=list(ECHO)))
    if said.stdout.strip() != "hi":
        raise SystemExit(f"the command said {said!r}")


if __name__ == "__main__":
    asyncio.run(main())
