"""`python -m deployment.monitoring.dashboards`: writes the files that Grafana reads."""

from pathlib import Path
from typing import Final

from deployment.monitoring.dashboards.fleet import FLEET
from deployment.monitoring.dashboards.proxy import PROXY
from deployment.monitoring.dashboards.rendering import render
from deployment.monitoring.dashboards.security import SECURITY
from deployment.monitoring.dashboards.workspace import WORKSPACE

DASHBOARDS: Final = (FLEET, WORKSPACE, PROXY, SECURITY)
DIRECTORY: Final = Path(__file__).parents[1] / "grafana" / "dashboards"


def main() -> None:
    """Write all of them; a file of a dashboard that is no more goes."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    wanted = {DIRECTORY / f"{one.uid}.json": render(one) for one in DASHBOARDS}
    for path in set(DIRECTORY.glob("*.json")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="ascii")
        print(path.relative_to(DIRECTORY.parents[3]))


if __name__ == "__main__":
    main()
