"""A dashboard as Grafana's JSON (schema version 39, of Grafana 11; Grafana 12 reads it, too).

Source: Grafana's documentation of the dashboard JSON model, and its `dashboard` kind.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final

from deployment.monitoring.dashboards.model import Dashboard, Kind, Panel, Size, Variable

SCHEMA_VERSION: Final = 39
TAG: Final = "hakoiri"
DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GRID_WIDTH: Final = 24
SIZES: Final[Mapping[Size, tuple[int, int]]] = {
    "small": (4, 4),
    "third": (8, 8),
    "half": (12, 8),
    "wide": (24, 8),
}
"""Width and height on the grid."""

_ROW_HEIGHT: Final = 1


def render(dashboard: Dashboard) -> str:
    """Return the file's text."""
    return json.dumps(document_of(dashboard), indent=2, ensure_ascii=True) + "\n"


def document_of(dashboard: Dashboard) -> dict[str, Any]:
    """Return the document. It has no id and no version: those are Grafana's to give."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "annotations": {"list": []},
        "links": [_links()],
        "templating": {"list": [_data_source(), *map(_variable, dashboard.variables)]},
        "panels": _panels(dashboard),
    }


def _links() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "Hakoiri",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "current": {},
        "options": [],
        "hide": 0,
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    asked = f"label_values({variable.metric}, {variable.label})"
    return {
        "name": variable.name,
        "label": variable.title,
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": asked,
        "query": {"qryType": 1, "query": asked, "refId": variable.name},
        "regex": "",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]}
        if variable.has_all
        else {},
        "options": [],
        "hide": 0,
        "refresh": 2,  # whenever the time changes
        "sort": 1,
        "multi": variable.has_all,
        "includeAll": variable.has_all,
        **({"allValue": ".+"} if variable.has_all else {}),
        "skipUrlSync": False,
    }


def _panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Return headings and panels, each with a place of its own."""
    documents: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        documents.append(_heading(row.title, number=len(documents) + 1, top=top))
        top += _ROW_HEIGHT
        places, top = _flow(row.panels, top)
        for panel, place in zip(row.panels, places, strict=True):
            documents.append(_panel(panel, number=len(documents) + 1, place=place))
    return documents


def _flow(panels: Iterable[Panel], top: int) -> tuple[list[dict[str, int]], int]:
    """Return a place for each, from left to right, and where what comes after them begins."""
    places: list[dict[str, int]] = []
    left = line_height = 0
    for panel in panels:
        width, height = SIZES[panel.size]
        if left + width > GRID_WIDTH:
            top, left, line_height = top + line_height, 0, 0
        places.append({"h": height, "w": width, "x": left, "y": top})
        left, line_height = left + width, max(line_height, height)
    return places, top + line_height


def _heading(title: str, *, number: int, top: int) -> dict[str, Any]:
    place = {"h": _ROW_HEIGHT, "w": GRID_WIDTH, "x": 0, "y": top}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(panel: Panel, *, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATA_SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
        "targets": [
            {
                "refId": letter,
                "datasource": DATA_SOURCE,
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": panel.kind != "bargauge",
                "instant": panel.kind == "bargauge",
            }
            for letter, query in zip(ascii_uppercase, panel.queries, strict=False)
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    has_steps = panel.warn is not None or panel.bad is not None
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if has_steps else "palette-classic"},
        "mappings": [],
        "thresholds": {"mode": "absolute", "steps": _steps(panel.warn, panel.bad)},
        "links": [] if panel.link is None else [{"title": "Look at it", "url": panel.link}],
    }
    if panel.unit not in {"bool_yes_no", "dateTimeFromNow"}:
        defaults["min"] = 0
    if panel.at_most is not None:
        defaults["max"] = panel.at_most
    if panel.kind == "timeseries":
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if has_steps else "off"},
        }
    return defaults


def _steps(warn: float | None, bad: float | None) -> Sequence[Mapping[str, Any]]:
    """Return colours from a value on; the first has none, since it begins at the bottom."""
    if warn is None and bad is None:
        return [{"color": "green", "value": None}]
    if warn is not None and bad is not None and bad < warn:
        return [
            {"color": "red", "value": None},
            {"color": "orange", "value": bad},
            {"color": "green", "value": warn},
        ]
    steps: list[Mapping[str, Any]] = [{"color": "green", "value": None}]
    if warn is not None:
        steps.append({"color": "orange", "value": warn})
    if bad is not None:
        steps.append({"color": "red", "value": bad})
    return steps


def _options(kind: Kind) -> dict[str, Any]:
    newest = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if kind == "timeseries":
        return {
            "legend": {
                "calcs": [],
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if kind == "stat":
        return {
            "reduceOptions": newest,
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "wideLayout": True,
        }
    return {
        "reduceOptions": newest,
        "displayMode": "basic",
        "minVizHeight": 10,
        "minVizWidth": 0,
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
    }
