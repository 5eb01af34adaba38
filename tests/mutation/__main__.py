"""`python -m tests.mutation [ID…]` takes defences out; `--page` writes what they stand against."""

import argparse
import sys
import time

from tests.mutation import catalogue, page, runner


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="ids of defences, or layers; all when left out")
    parser.add_argument("--page", action="store_true", help="write the pages and run nothing")
    parser.add_argument("--list", action="store_true", help="list the defences and run nothing")
    options = parser.parse_args()
    layers = catalogue.load_all()
    if options.page:
        for layer in layers:
            page.path_of(layer).write_text(page.render(layer))
        return 0
    try:
        defences = catalogue.chosen(layers, options.names)
        if options.list:
            _say("\n".join(f"{d.id}: {d.attack}" for d in defences))
            return 0
        return _try_all(defences)
    except catalogue.CatalogueError as error:
        _say(f"mutants: {error}")
        return 1


def _try_all(defences: list[catalogue.Defence]) -> int:
    started_s = time.monotonic()
    width = max(len(defence.id) for defence in defences)
    bad = 0
    for result in runner.try_all(defences):
        is_caught = result.verdict is runner.Verdict.CAUGHT
        bad += not is_caught
        numbers = ",".join(result.defence.attacks)
        line = (
            f"{result.defence.id:{width}}  {numbers:8}  {result.verdict:8} {result.took_s:5.1f} s"
        )
        _say(line if is_caught else f"{line}  {result.reason}")
    took_s = time.monotonic() - started_s
    _say(f"{len(defences)} defences taken out, {len(defences) - bad} seen, in {took_s:.0f} s")
    return 1 if bad else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
