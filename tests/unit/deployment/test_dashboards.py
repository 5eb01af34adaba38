"""The files that Grafana reads are those of their source, and of Grafana's form."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.monitoring.dashboards.__main__ import DASHBOARDS, DIRECTORY
from deployment.monitoring.dashboards.model import Dashboard, Panel, Query, Row
from deployment.monitoring.dashboards.rendering import GRID_WIDTH, document_of, render

MONITORING = Path(__file__).parents[3] / "deployment/monitoring"
PROVISIONING = MONITORING / "grafana/provisioning"
OF_GRAFANA = {"$__rate_interval", "$__range"}
LEGENDS = re.compile(r"\{\{(\w+)\}\}")
REFERENCES = re.compile(r"\$\{?(\w+)")
DOCUMENTS = {one.uid: document_of(one) for one in DASHBOARDS}

every_dashboard = pytest.mark.parametrize("uid", sorted(DOCUMENTS))


def panels_of(uid: str) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = DOCUMENTS[uid]["panels"]
    return panels


def test_the_files_are_those_of_their_source() -> None:
    written = {path.name: path.read_text() for path in DIRECTORY.glob("*")}
    assert written == {f"{one.uid}.json": render(one) for one in DASHBOARDS}, "run make dashboards"


def test_there_are_the_four_that_were_asked_for() -> None:
    assert set(DOCUMENTS) == {
        f"hakoiri-{name}" for name in ("fleet", "workspace", "proxy", "security")
    }
    assert len({one["title"] for one in DOCUMENTS.values()}) == len(DOCUMENTS)


@every_dashboard
def test_the_form_is_grafanas(uid: str) -> None:
    document = DOCUMENTS[uid]
    assert document["schemaVersion"] == 39  # Grafana 11's; what is newer is brought up by Grafana
    assert document["uid"] == uid
    assert len(uid) <= 40
    assert not {"id", "version"} & set(document), "these are Grafana's to give"
    ids = [panel["id"] for panel in panels_of(uid)]
    assert ids == list(range(1, len(ids) + 1))
    for panel in panels_of(uid):
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        assert panel["type"] in {"timeseries", "stat", "bargauge"}
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))
        assert letters
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        bounds = [step["value"] for step in steps[1:]]
        assert bounds == sorted(bounds)
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["range"] is not target["instant"]


@every_dashboard
def test_no_panel_covers_another_or_leaves_the_grid(uid: str) -> None:
    places = [panel["gridPos"] for panel in panels_of(uid)]
    for place in places:
        assert set(place) == {"h", "w", "x", "y"}
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= GRID_WIDTH
        assert place["h"] > 0
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@every_dashboard
def test_what_is_chosen_is_what_is_asked_for(uid: str) -> None:
    variables = {one["name"]: one for one in DOCUMENTS[uid]["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    used: set[str] = set()
    for panel in panels_of(uid):
        for target in panel.get("targets", []):
            names = {f"${name}" for name in REFERENCES.findall(target["expr"])}
            used |= names - OF_GRAFANA
    assert used == {f"${name}" for name in variables} - {"$datasource"}
    for name, variable in variables.items():
        if name != "datasource":
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["definition"] == variable["query"]["query"]


@every_dashboard
def test_a_link_leads_to_a_dashboard_that_there_is(uid: str) -> None:
    for panel in panels_of(uid):
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", []):
            found = re.fullmatch(
                r"/d/([\w-]+)\?var-(\w+)=\$\{__field\.labels\.(\w+)\}", link["url"]
            )
            assert found
            variables = DOCUMENTS[found[1]]["templating"]["list"]
            assert found[2] in {one["name"] for one in variables}
            assert all(f"{{{{{found[3]}}}}}" in one["legendFormat"] for one in panel["targets"])


def test_two_rows_are_laid_out_one_below_the_other() -> None:
    def panel(title: str, **more: Any) -> Panel:
        return Panel(title, "why", [Query("up", "up")], **more)

    rows = [
        Row("first", [panel("a", size="small"), panel("b"), panel("c", size="half"), panel("d")]),
        Row("second", [panel("e", size="wide")]),
    ]
    made = document_of(Dashboard("u", "t", "d", rows=rows, variables=[]))
    places = [(one["title"], *one["gridPos"].values()) for one in made["panels"]]
    assert places == [
        ("first", 1, 24, 0, 0),
        ("a", 4, 4, 0, 1),
        ("b", 8, 8, 4, 1),
        ("c", 8, 12, 12, 1),
        ("d", 8, 8, 0, 9),
        ("second", 1, 24, 0, 17),
        ("e", 8, 24, 0, 18),
    ]


def test_a_value_that_should_be_large_is_red_where_it_is_small() -> None:
    panel = Panel("t", "m", [Query("up", "up")], warn=1, bad=0.5)
    made = document_of(Dashboard("u", "t", "d", rows=[Row("r", [panel])], variables=[]))
    steps = made["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["color"], step["value"]) for step in steps] == [
        ("red", None),
        ("orange", 0.5),
        ("green", 1),
    ]


def test_grafana_is_told_where_they_are_and_what_to_ask() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/hakoiri.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).is_absolute()
    assert provider["allowUiUpdates"] is False
    (source,) = yaml.safe_load((PROVISIONING / "datasources/hakoiri.yml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    scraped = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    jobs = {
        job["job_name"]: job.get("metrics_path", "/metrics") for job in scraped["scrape_configs"]
    }
    assert jobs == {"hakoiri": "/metrics", "hakoiri-workspaces": "/metrics/workspaces"}


def test_a_document_is_json_without_other_letters() -> None:
    for dashboard in DASHBOARDS:
        text = render(dashboard)
        assert text.isascii()
        assert json.loads(text) == document_of(dashboard)
