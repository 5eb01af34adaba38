"""The agent's process: relay and interface up at once, the heavy imports behind them."""

import asyncio
import gc
import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from hakoiri.wire.agent import (
    AGENT_KEEPS_IDLE_S,
    AGENT_SOCKET_NAME,
    PROXY_MOUNT,
    PROXY_SOCKET_NAME,
    RELAY_PORT,
)
from hakoiri.workspace_agent.commands import Commands
from hakoiri.workspace_agent.early_app import EarlyApp
from hakoiri.workspace_agent.relay import Relay
from hakoiri.workspace_agent.sdk_import import import_agent
from hakoiri.workspace_agent.turns import Agent, Turns

AGENT_DIRECTORY: Final = Path("/run/hakoiri/agent")
PROXY_DIRECTORY: Final = Path(PROXY_MOUNT)
WORKSPACE: Final = Path("/workspace")
HOME: Final = Path("/home/agent")
CLI_START_LIMIT_S: Final = 180
"""The SDK's own minute is too short where a busy host reads the CLI from a cold disk."""

CLI_START_LIMIT_VARIABLE: Final = "CLAUDE_CODE_STREAM_CLOSE_TIMEOUT"
"""Milliseconds; for the SDK, in `ClaudeSDKClient.connect`, how long a CLI may take to answer."""

LoadAgent = Callable[[], Awaitable[Agent]]

STOP_LIMIT_S: Final = 1.9
"""We promise to end within two seconds of SIGTERM, whatever hangs."""


class AgentServer(uvicorn.Server):
    """A server whose signals go to us: a turn must end before its streams can."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        """Set `stop` when a signal asks the process to end."""
        super().__init__(config)
        self._stop = stop
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - its signature
        """Wake the loop; called in the signal handler."""
        self._loop.call_soon_threadsafe(self._stop.set)


def bind_socket(path: Path) -> socket.socket:
    """Listen on the Unix socket, anew if one is left from before.

    Mode 0666: who may reach it is decided by who has the directory, and the host's uid is not known
    inside a user namespace.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o666)
    return listener


async def load_agent() -> Agent:
    """Import the SDK off the event loop, and make the agent."""
    os.environ[CLI_START_LIMIT_VARIABLE] = str(CLI_START_LIMIT_S * 1000)
    module = await asyncio.to_thread(import_agent, "hakoiri.workspace_agent.sdk_client")
    agent: Agent = module.SdkAgent(workspace=WORKSPACE, home=HOME)
    gc.freeze()  # code and classes stay; a look through them for garbage stops all for 20 ms
    return agent


async def serve(
    *,
    agent_directory: Path,
    proxy_directory: Path,
    relay_port: int,
    workspace: Path = WORKSPACE,
    load_agent: LoadAgent = load_agent,
    end_at_once: Callable[[int], object] = os._exit,
) -> None:
    """Run relay and interface until a signal or a shutdown request.

    `end_at_once` is called when an orderly end would take too long.
    """
    stop = asyncio.Event()
    early = EarlyApp()
    turns = Turns(load_agent=load_agent)
    commands = Commands(workspace=workspace)
    deadline = threading.Timer(STOP_LIMIT_S, end_at_once, args=(0,))
    server = AgentServer(server_configuration(early), stop)

    async def load_app() -> None:
        module = await asyncio.to_thread(importlib.import_module, "hakoiri.workspace_agent.app")
        early.become(module.make_app(turns=turns, commands=commands, shut_down=stop.set))

    async def wait_for_stop() -> None:
        await stop.wait()
        deadline.start()
        commands.stop()
        await turns.stop()
        server.should_exit = True

    listener = bind_socket(agent_directory / AGENT_SOCKET_NAME)
    relay = Relay(proxy_socket=proxy_directory / PROXY_SOCKET_NAME, port=relay_port)
    async with relay, asyncio.TaskGroup() as group:
        owned = [
            group.create_task(load_app(), name="load the interface"),
            group.create_task(turns.serve(), name="turns"),
            group.create_task(wait_for_stop(), name="stop"),
        ]
        await server.serve(sockets=[listener])
        for task in owned:
            task.cancel()
    deadline.cancel()


def server_configuration(app: EarlyApp) -> uvicorn.Config:
    """How the interface is served: quietly, without lifespan or WebSockets."""
    return uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_keep_alive=AGENT_KEEPS_IDLE_S,
        timeout_graceful_shutdown=1,
    )


async def _serve_to_the_end() -> None:
    await serve(
        agent_directory=AGENT_DIRECTORY, proxy_directory=PROXY_DIRECTORY, relay_port=RELAY_PORT
    )
    # not by returning: the interpreter would wait for imports that may still be under way
    os._exit(0)


def main() -> None:
    """Run until told to stop; exit code 0 then."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(_serve_to_the_end())


if __name__ == "__main__":
    main()
