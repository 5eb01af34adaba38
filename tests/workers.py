"""Which tests one worker plays one after the other, when there are several."""

from typing import Final

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

E2E: Final = "tests/e2e/"
RUNTIMES: Final = ("runc", "runsc")
SHARED: Final = {
    "tests/e2e/test_remapped.py": "remapped",
    "tests/integration/docker_guard/test_remapped.py": "remapped",
    "tests/integration/engine/test_remapped_engine.py": "remapped",
    "tests/integration/host/containers/test_user_namespace.py": "remapped",
    "tests/e2e/test_postgresql.py": "postgresql",
}
"""Files that need what takes long to start, which one worker then starts for all."""

SQL: Final = "tests/integration/sql/"


def group_of(node_id: str) -> str:
    """Return the group of a test: a file's tests share what they test.

    Whole systems are there once for each runtime, so these may be in two places.
    """
    file, _, test = node_id.partition("::")
    if file.startswith(SQL):
        return "postgresql"
    if file in SHARED:
        return SHARED[file]
    parameters = test.partition("[")[2].removesuffix("]").split("-")
    runtimes = [one for one in RUNTIMES if one in parameters] if file.startswith(E2E) else []
    return "-".join([file, *runtimes])


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Gives each group to one worker.

    The marks of `--dist loadgroup` are not seen by xdist 3.8 with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
