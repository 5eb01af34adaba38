"""What differs between two recovery points, from their lists alone. Pure.

Only `/workspace` is told path by path; of the agent's home, whether it differs at all. Times are
no difference: what was restored or written anew with the same bytes is the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hakoiri.host.files.manifest import Entry, Manifest

ChangeKind = Literal["added", "removed", "content", "mode", "kind"]
"""How a path differs: `kind` when a file became a directory or a link, or the like."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs. A path that was added has no `before`, one that is gone no `after`."""

    path: bytes
    change: ChangeKind
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A page of changes in the order of their paths' bytes, and how many there are in all.

    `next_after` is the last path of a page that is not the last one. `is_memory_changed` tells of
    the agent's home and session.
    """

    changes: Sequence[Change]
    next_after: bytes | None
    added: int
    removed: int
    changed: int
    is_memory_changed: bool


def difference(
    before: Manifest, after: Manifest, *, limit: int, beyond: bytes | None = None
) -> Difference:
    """Compare two manifests; return the first `limit` changes of paths beyond the one given."""
    page: list[Change] = []
    has_more = False
    counts = {"added": 0, "removed": 0, "changed": 0}
    for change in _changes(_workspace(before), _workspace(after)):
        counts[change.change if change.change in counts else "changed"] += 1
        if beyond is not None and change.path <= beyond:
            continue
        if len(page) < limit:
            page.append(change)
        else:
            has_more = True
    return Difference(
        changes=page,
        next_after=page[-1].path if has_more and page else None,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        is_memory_changed=before.session_id != after.session_id or _home(before) != _home(after),
    )


def _workspace(manifest: Manifest) -> list[Entry]:
    return [entry for entry in manifest.entries if entry.root == "workspace"]


def _home(manifest: Manifest) -> list[tuple[bytes, str, str, bytes]]:
    return [
        (entry.path, entry.kind, entry.sha256, entry.target)
        for entry in manifest.entries
        if entry.root == "home"
    ]


def _changes(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[Change]:
    """Walk two lists, both sorted by the bytes of their paths, side by side."""
    left, right = iter(before), iter(after)
    old, new = next(left, None), next(right, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.path < new.path):
            yield Change(old.path if old else b"", "removed", old, None)
            old = next(left, None)
        elif old is None or new.path < old.path:
            yield Change(new.path, "added", None, new)
            new = next(right, None)
        else:
            kind = _kind(old, new)
            if kind is not None:
                yield Change(new.path, kind, old, new)
            old, new = next(left, None), next(right, None)


def _kind(old: Entry, new: Entry) -> ChangeKind | None:
    if old.kind != new.kind:
        return "kind"
    if (old.size, old.sha256, old.target) != (new.size, new.sha256, new.target):
        return "content"
    if old.mode != new.mode:
        return "mode"
    return None
