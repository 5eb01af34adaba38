"""The defences, each with the change that takes it out and the tests that must see it.

A layer is one TOML file beside this module. It names the attacks, and for each defence the text
that makes it one. Another layer is another file: what it changes must be Python below `src/`.
"""

import ast
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LAYERS: Final = Path(__file__).parent
_FIELDS: Final = frozenset({"id", "attacks", "attack", "answer", "edit", "tests"})


class CatalogueError(Exception):
    """An entry is not what it should be; the message names it and the mend."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: `find`, which stands once in `file` (below `src/hakoiri/`), becomes `replace`."""

    file: str
    find: str
    replace: str

    @property
    def path(self) -> str:
        """The file, below `src/`."""
        return f"hakoiri/{self.file}"

    def apply(self, source: str) -> str:
        """Return `source` with the change.

        Raises:
            CatalogueError: the text is not there exactly once.
        """
        count = source.count(self.find)
        if count != 1:
            reason = f"{self.find.strip()[:60]!r} is {count} times in {self.file}, not once"
            raise CatalogueError(f"{reason}; write it anew")
        return source.replace(self.find, self.replace)


@dataclass(frozen=True, slots=True)
class Defence:
    """One defence, and the edits that take it out: more than one where one covers for another.

    `attacks` are keys of the layer's table; `attack` and `answer` tell this one case in words.
    Each of `tests` must fail without it.
    """

    id: str
    attacks: tuple[str, ...]
    attack: str
    answer: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def take_out(self, source: Path) -> None:
        """Take the defence out of the package in `source`.

        Raises:
            CatalogueError: a text is not there exactly once.
        """
        for edit in self.edits:
            path = source / edit.path
            mutated = edit.apply(path.read_text())
            path.unlink()  # it may be a link to the file of another copy
            path.write_text(mutated)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file tells: `attacks` by their keys, in order, and the defences against them."""

    name: str
    title: str
    attacks: dict[str, str]
    defences: tuple[Defence, ...]


def load(path: Path) -> Layer:
    """Read one layer.

    Raises:
        CatalogueError: an entry has other fields, or names an attack that is not in the table.
    """
    document = tomllib.loads(path.read_text())
    attacks = document["attacks"]
    defences = tuple(_defence(entry, attacks) for entry in document["defence"])
    ids = [defence.id for defence in defences]
    doubled = sorted({name for name in ids if ids.count(name) > 1})
    if doubled:
        raise CatalogueError(f"{path.name}: {doubled[0]} is there twice; give it another id")
    return Layer(path.stem, document["title"], attacks, defences)


def load_all() -> tuple[Layer, ...]:
    """Read every layer."""
    return tuple(load(path) for path in sorted(LAYERS.glob("*.toml")))


def _defence(entry: dict[str, Any], attacks: dict[str, str]) -> Defence:
    name = entry.get("id", "an entry without id")
    if set(entry) != _FIELDS:
        raise CatalogueError(f"{name}: its fields must be {', '.join(sorted(_FIELDS))}")
    unknown = [key for key in entry["attacks"] if key not in attacks]
    if unknown or not entry["attacks"] or not entry["tests"]:
        raise CatalogueError(f"{name}: name attacks of the table, and tests")
    return Defence(
        id=name,
        attacks=tuple(entry["attacks"]),
        attack=entry["attack"],
        answer=entry["answer"],
        edits=tuple(Edit(**edit) for edit in entry["edit"]),
        tests=tuple(entry["tests"]),
    )


def check(defence: Defence, *, root: Path = ROOT) -> None:
    """Check that the entry still fits the code and the tests.

    Raises:
        CatalogueError: it does not.
    """
    changed: dict[str, str] = {}
    for edit in defence.edits:
        path = root / "src" / edit.path
        if not path.is_file():
            raise CatalogueError(f"{defence.id}: there is no src/{edit.path}")
        source = changed.get(edit.path) or path.read_text()
        try:
            changed[edit.path] = edit.apply(source)
            is_same = _meaning(source) == _meaning(changed[edit.path])
        except CatalogueError as error:
            raise CatalogueError(f"{defence.id}: {error}") from error
        except SyntaxError as error:
            raise CatalogueError(f"{defence.id}: {edit.file} is no Python after it") from error
        if is_same:
            raise CatalogueError(f"{defence.id}: it changes nothing in {edit.file}")
    for node in defence.tests:
        _check_node(defence.id, node, root)


def _meaning(source: str) -> str:
    return ast.dump(ast.parse(source))


def _check_node(name: str, node: str, root: Path) -> None:
    file, _, function = node.partition("::")
    path = root / file
    if not path.is_file():
        raise CatalogueError(f"{name}: there is no {file}")
    if function.partition("[")[0] not in _functions_of(path):
        raise CatalogueError(f"{name}: {file} has no {function}")


def _functions_of(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {item.name for item in ast.parse(path.read_text()).body if isinstance(item, functions)}


def chosen(layers: Iterable[Layer], wanted: Iterable[str]) -> list[Defence]:
    """Return the defences with these ids, or of these layers; all when nothing is wanted.

    Raises:
        CatalogueError: one is not there.
    """
    names = set(wanted)
    found = [
        defence
        for layer in layers
        for defence in layer.defences
        if not names or names & {defence.id, layer.name}
    ]
    missing = names - {defence.id for defence in found} - {layer.name for layer in layers}
    if missing:
        raise CatalogueError(f"there is no defence or layer {min(missing)!r}")
    return found
