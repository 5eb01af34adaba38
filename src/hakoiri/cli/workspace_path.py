"""Where the API has a workspace that the command line was told of."""

from urllib.parse import quote


def path_of_workspace(given: str) -> str:
    """Return its path; ids of conversations begin with `c-`."""
    if given.startswith("c-"):
        return f"/v1/conversations/{quote(given, safe='')}/workspace"
    return f"/v1/workspaces/{quote(given, safe='')}"
