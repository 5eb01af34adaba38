"""The probe's composition root: one container like all others, looked at from inside, and removed.

Started by `hakoiri probe` with a `ProbeLaunch` as JSON on standard input, in the place of the
control plane and with its rights. The report goes to a descriptor that was handed over.
"""

import os
import sys
from contextlib import AsyncExitStack

import uvloop
from pydantic import ValidationError

from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.container_fleet import make_lifecycle
from hakoiri.host.containers.box import Box, BoxError, read_box
from hakoiri.host.containers.box_probe import look_at_a_box
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.launch import ProbeLaunch, ProbeOutcome
from hakoiri.host.main import USAGE_EXIT_CODE, LaunchError, refuse_credentials
from hakoiri.host.probe_keeping import see_from_outside
from hakoiri.host.telemetry.logging import configure_logging


def main() -> None:
    """Read the launch from standard input, look once, and write what came of it."""
    try:
        refuse_credentials(os.environ)
        launch = ProbeLaunch.model_validate_json(sys.stdin.buffer.read())
        server = launch.server
        configure_logging(server.settings.log_level)
        box = read_box(server.settings, instance=server.instance)
        outcome = uvloop.run(look(launch, box))
        with os.fdopen(launch.report, "w", encoding="utf-8") as file:
            file.write(outcome.model_dump_json())
    except (LaunchError, BoxError, ValidationError) as error:
        sys.stderr.write(f"hakoiri probe: {error}\n")
        sys.exit(USAGE_EXIT_CODE)
    except ContainersError as error:
        sys.stderr.write(f"hakoiri probe: {error}\n")
        sys.exit(1)


async def look(launch: ProbeLaunch, box: Box) -> ProbeOutcome:
    """Open the ways to engine and proxy, and look once."""
    server = launch.server
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(DockerEngine(f"unix://{server.guard_socket}"))
        proxy = await stack.enter_async_context(ProxyClient(server.control_socket))
        image_id = await engine.image_id(server.image)
        lifecycle = make_lifecycle(box, engine=engine, proxy=proxy, image_id=image_id)
        look = await look_at_a_box(
            lifecycle,
            runtime=server.settings.container.runtime,
            outside=await see_from_outside(box, engine, kernel=server.apparmor),
            thorough=launch.thorough,
        )
        return ProbeOutcome(report=look.report, took_s=look.took_s)


if __name__ == "__main__":
    main()
