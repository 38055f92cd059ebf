"""Makes Grafana's JSON of dashboards. Knows none of them."""

from __future__ import annotations

import itertools
from typing import Any

from scripts.dashboards.panels import Dashboard, Panel

# Of the JSON model; newer Grafanas bring older models up to theirs.
SCHEMA_VERSION = 39
_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def render(dashboard: Dashboard) -> dict[str, Any]:
    """Returns Grafana's JSON model of a dashboard."""
    panels: list[dict[str, Any]] = []
    ids = itertools.count(1)
    y = 0
    for title, row in dashboard.rows:
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
        panels.append(
            {
                "id": next(ids),
                "type": "row",
                "title": title,
                "gridPos": place,
                "collapsed": False,
                "panels": [],
            }
        )
        width, height = _WIDTH // len(row), 4 if row[0].kind == "stat" else 9
        for number, panel in enumerate(row):
            place = {"h": height, "w": width, "x": number * width, "y": y + 1}
            panels.append({"id": next(ids), "gridPos": place, **_panel(panel)})
        y += 1 + height
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": ["lookalike"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_VARIABLE]},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Lookalike",
                "tags": ["lookalike"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


_VARIABLE = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "hide": 0,
    "current": {},
    "options": [],
    "regex": "",
    "includeAll": False,
    "multi": False,
}


def _panel(panel: Panel) -> dict[str, Any]:
    now = panel.kind in {"stat", "table"}
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "editorMode": "code",
            "expr": query,
            "legendFormat": legend,
            "range": not now,
            "instant": now,
            **({"format": "table"} if panel.kind == "table" else {}),
        }
        for number, (query, legend) in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.top is not None:
        defaults["max"] = panel.top
    options: dict[str, Any] = {}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 2,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif panel.kind == "stat":
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }
