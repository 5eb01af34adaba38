"""`make chaos`: one long storm, with a seed that can be given again."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import Final

from benchmarks.arguments import count, duration
from tests.chaos.disturbances import KINDS, UnknownKindError, kinds_of, slug
from tests.chaos.site import engine_with
from tests.chaos.storm import Weather, rage

from hakoiri.cli.termination import end_in_order_on_sigterm
from hakoiri.host.settings import DEFAULT_DOCKER_HOST
from hakoiri.image.build import DEFAULT_CACHE_DIR, ensure_image

HELP: Final = ("help",)
EXAMPLES: Final = """examples:
  make chaos                                  30 minutes, with a new seed
  make chaos ARGS="--minutes 5 --seed 17"     the storm of this seed
  make chaos ARGS="--every 1.5 --users 8"     a harder one
  make chaos ARGS="--kinds agent,proxy --seconds 90 --seed 3"
                                              these alone; --kinds help lists them
  make chaos ARGS="--servers 2 --kinds server,server-stands-still,redis --seconds 90"
                                              two servers, of which either is struck
"""


def main() -> int:
    """Have a storm; exit code 1 if anything was violated."""
    given, weather = read_arguments()
    if weather.kinds == HELP:
        sys.stdout.write("\n".join(map(slug, KINDS)) + "\n")
        return 0
    end_in_order_on_sigterm()
    root = Path(tempfile.mkdtemp(prefix="hakoiri-chaos-", dir="/var/tmp"))
    say(f"{weather}; data and logs in {root}")
    image = ensure_image(
        source_root=Path(__file__).parents[2],
        docker_host=given.image_from,
        cache_dir=DEFAULT_CACHE_DIR,
        progress=say,
    )
    with engine_with(
        image, image_from=given.image_from, keeps_containers=given.live_restore
    ) as engine:
        outcome = rage(root, weather, engine=engine, image=image, say=say)
    (root / "outcome.txt").write_text(outcome.told())
    sys.stdout.write(outcome.told() + "\n")
    if outcome.violations:
        return 1
    shutil.rmtree(root)
    return 0


def read_arguments(words: Sequence[str] | None = None) -> tuple[argparse.Namespace, Weather]:
    """Read the command line (default: that of this process); exit with 2 if it cannot be meant."""
    parser = _parser()
    given = parser.parse_args(words)
    kinds = tuple(word.strip() for word in given.kinds.split(",") if word.strip())
    seconds = given.minutes * 60 if given.seconds is None else given.seconds
    if kinds != HELP:
        try:
            kinds_of(is_shared=True, only=kinds)
        except UnknownKindError as error:
            parser.error(f"--kinds: {error}")
    if given.every > seconds:
        parser.error(
            f"--every {given.every:g}: nothing might be struck within {seconds:g} s, and a storm "
            "without a strike proves nothing; strike more often, or longer (--minutes, --seconds)"
        )
    seed = given.seed if given.seed is not None else SystemRandom().randrange(10**6)
    weather = Weather(
        seed,
        seconds,
        given.every,
        users=given.users,
        chats=given.chats,
        kinds=kinds,
        servers=given.servers,
    )
    return given, weather


def say(text: str) -> None:
    """Tell how it goes."""
    sys.stderr.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Disturb a Hakoiri of its own under load, and check what must hold after. "
        "Needs root.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=duration, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seconds", type=duration, help="the same, for a short one")
    parser.add_argument(
        "--kinds", default="", help="strike these alone, with commas (default: everything)"
    )
    parser.add_argument("--seed", type=int, help="of an earlier storm (default: a new one)")
    parser.add_argument("--every", type=duration, default=6.0, help="seconds between two strikes")
    parser.add_argument("--users", type=count, default=4, help="conversations at once (default: 4)")
    parser.add_argument("--chats", type=count, default=1, help="and chats at once (default: 1)")
    parser.add_argument(
        "--servers", type=int, default=1, choices=(1, 2, 3), help="on one database (default: 1)"
    )
    parser.add_argument(
        "--live-restore", action="store_true", help="containers run on while the engine is away"
    )
    parser.add_argument(
        "--image-from", default=DEFAULT_DOCKER_HOST, help="the engine that has the image"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
