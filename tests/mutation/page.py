"""The page that tells which attacks were played, out of the catalogue and what was tried of it."""

from pathlib import Path
from typing import Final

from tests.mutation.catalogue import ROOT, Defence, Layer
from tests.mutation.tried import Trials, is_tried

DIRECTORY: Final = ROOT / "docs/security"
_HEAD: Final = """\
# Attacks on {title}

Each line is an attack, what it meets, the module that sees to that, and a test that plays it.
{tried} `tests/mutation/tried.txt` tells when and at which commit; `make mutants`
does so again, and `make mutants ARGS=--untried` with what is marked as untried here. This page is
written by `python -m tests.mutation --page`.
"""


def path_of(layer: Layer) -> Path:
    """Say where the page of a layer is."""
    return DIRECTORY / ("attacks.md" if layer.name == "proxy" else f"attacks-{layer.name}.md")


def render(layer: Layer, trials: Trials) -> str:
    """Write the page of a layer, in the order of its attacks."""
    parts = [_HEAD.format(title=layer.title, tried=_tried(layer, trials))]
    for key, words in layer.attacks.items():
        lines = [_line(defence, trials) for defence in layer.defences if defence.attacks[0] == key]
        others = [d.id for d in layer.defences if key in d.attacks[1:]]
        parts.append(f"## {words}\n")
        if others:
            parts.append(f"See also {', '.join(f'`{name}`' for name in others)}.\n")
        if lines:
            table = ["| attack | what it meets | defence | test |", "|---|---|---|---|", *lines]
            parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _tried(layer: Layer, trials: Trials) -> str:
    count = sum(is_tried(defence, trials) for defence in layer.defences)
    if count == len(layer.defences):
        return f"Each of the {count} defences was taken out, and its tests seen to fail:"
    whole = f"{count} of the {len(layer.defences)} defences, as they are here,"
    return f"{whole} were taken out and their tests seen to fail:"


def _line(defence: Defence, trials: Trials) -> str:
    module = defence.edits[0].file.removeprefix("credential_proxy/").removesuffix(".py")
    tests = "<br>".join(_short(node) for node in defence.tests)
    mark = "" if is_tried(defence, trials) else " (**untried**)"
    cells = (defence.attack, defence.answer, f"`{module}`: `{defence.id}`{mark}", tests)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(node: str) -> str:
    file, _, function = node.partition("::")
    kind = Path(file).parts[1]  # the directory below tests/
    return f"{kind} `{Path(file).stem}`: `{function}`"
