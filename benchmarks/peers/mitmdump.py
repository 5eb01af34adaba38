"""mitmdump as a peer: in an environment of its own, outside the tree."""

from pathlib import Path

from benchmarks.peers.environment import program_of


def find_mitmdump() -> Path | str:
    """Return the program, installed by pip as it is configured here; or why there is none."""
    return program_of("mitmproxy", "mitmproxy", program="mitmdump")


def command_of(program: Path, *, mode: str, port: int, confdir: Path) -> list[str]:
    """Return the command that serves on loopback, streams bodies and says nothing."""
    settings = ("stream_large_bodies=1", f"confdir={confdir}", "connection_strategy=lazy")
    command = [str(program), "--quiet", "--mode", f"{mode}@127.0.0.1:{port}", "--ssl-insecure"]
    for setting in settings:
        command += ["--set", setting]
    return command
