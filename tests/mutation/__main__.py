"""`python -m tests.mutation [ID…]` takes defences out; `--page` writes what they stand against.

What is seen is kept in `tried.txt`, entry by entry as it comes: a run that was cut off goes on with
`--untried`. The pages are written from that.
"""

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime

from tests.mutation import catalogue, page, runner, tried


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="ids of defences, or layers; all when left out")
    parser.add_argument(
        "--untried",
        action="store_true",
        help="of these, only what was not yet seen to be caught as it is now",
    )
    parser.add_argument("--page", action="store_true", help="write the pages and run nothing")
    parser.add_argument("--list", action="store_true", help="list the defences and run nothing")
    options = parser.parse_args()
    layers = catalogue.load_all()
    try:
        if options.page:
            _write_pages(layers)
            return 0
        defences = catalogue.chosen(layers, options.names)
        if options.untried:
            trials = tried.read()
            defences = [one for one in defences if not tried.is_tried(one, trials)]
        if options.list:
            _say("\n".join(f"{d.id}: {d.attack}" for d in defences))
            return 0
        if not defences:
            _say("nothing is untried")
            return 0
        ended = _try_all(defences)
        _write_pages(layers)
    except catalogue.CatalogueError as error:
        _say(f"mutants: {error}")
        return 1
    return ended


def _write_pages(layers: tuple[catalogue.Layer, ...]) -> None:
    tried.tidy(defence for layer in layers for defence in layer.defences)
    trials = tried.read()
    for layer in layers:
        page.path_of(layer).write_text(page.render(layer, trials))


def _try_all(defences: list[catalogue.Defence]) -> int:
    started_s = time.monotonic()
    commit = _commit()
    width = max(len(defence.id) for defence in defences)
    bad = 0
    for result in runner.try_all(defences):
        is_caught = result.verdict is tried.Verdict.CAUGHT
        bad += not is_caught
        tried.keep([_trial_of(result, commit)])
        numbers = ",".join(result.defence.attacks)
        line = (
            f"{result.defence.id:{width}}  {numbers:8}  {result.verdict:8} {result.took_s:5.1f} s"
        )
        _say(line if is_caught else f"{line}  {result.reason}")
    took_s = time.monotonic() - started_s
    _say(f"{len(defences)} defences taken out, {len(defences) - bad} seen, in {took_s:.0f} s")
    return 1 if bad else 0


def _trial_of(result: runner.Result, commit: str) -> tried.Trial:
    today = datetime.now(UTC).date().isoformat()
    digest = tried.digest_of(result.defence)
    return tried.Trial(result.defence.id, result.verdict, today, commit, digest)


def _commit() -> str:
    """Return what git calls the tree that is tried, with a `+` where it was changed since."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    done = subprocess.run(command, cwd=catalogue.ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
