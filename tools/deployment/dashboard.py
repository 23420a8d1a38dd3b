"""The dashboard for Grafana, deploy/monitoring/dashboard.json, made of dashboard.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

_SOURCE: Final = Path(__file__).with_name("dashboard.yaml")
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
#: Grafana's grid, in its units.
_WIDTH, _ROW_HEIGHT = 24, 1


def page() -> str:
    """Return the dashboard as Grafana reads it."""
    source = yaml.safe_load(_SOURCE.read_text("utf-8"))
    dashboard = source["dashboard"]
    dashboard["templating"]["list"] += _variables(source["variables"])
    dashboard["links"] = [
        {
            "title": title,
            "type": "link",
            "icon": "external link",
            "url": target,
            "targetBlank": True,
            "tags": [],
        }
        for title, target in source["links"].items()
    ]
    dashboard["annotations"]["list"] += _annotations(source["annotations"])
    panels = enumerate(_panels(source), 1)
    dashboard["panels"] = [{"id": number, **panel} for number, panel in panels]
    text = json.dumps(dashboard, indent=2) + "\n"
    for word, meaning in source["abbreviations"].items():
        text = text.replace(word, json.dumps(meaning)[1:-1])
    return text


def _variables(queries: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, query in queries.items():
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": _DATASOURCE,
            "definition": query,
            "query": {"query": query, "refId": name},
            "refresh": 2,  # with the time range: instances come and go
            "includeAll": True,
            "multi": True,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "sort": 1,
            # Outside Kubernetes there is none, which only .* lets pass.
            **({"allValue": ".*"} if name == "namespace" else {}),
        }


def _annotations(marks: dict[str, dict[str, str]]) -> Iterator[dict[str, Any]]:
    for name, mark in marks.items():
        yield {
            "name": name,
            "datasource": _DATASOURCE,
            "enable": True,
            "hide": False,
            "iconColor": mark["color"],
            "expr": mark["query"],
            "step": "60s",
            "titleFormat": mark["title"],
            "textFormat": mark["text"],
            "tagKeys": "",
        }


def _panels(source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each row's title and its panels, from left to right as far as they fit."""
    top = 0
    for title, members in source["rows"].items():
        grid = {"x": 0, "y": top, "w": _WIDTH, "h": _ROW_HEIGHT}
        yield {"type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}
        top += _ROW_HEIGHT
        left = tallest = 0
        for panel in (source["panel"] | member for member in members):
            width, height = panel["width"], panel["height"]
            if left + width > _WIDTH:
                top, left, tallest = top + tallest, 0, 0
            grid = {"x": left, "y": top, "w": width, "h": height}
            yield _panel(panel, grid, source["options"][panel["kind"]])
            left, tallest = left + width, max(tallest, height)
        top += tallest


def _panel(panel: dict[str, Any], grid: dict[str, int], options: dict[str, Any]) -> dict[str, Any]:
    kind = panel["kind"]
    is_graph = kind == "timeseries"  # all others show what is now, and nothing when it is unknown
    defaults = _defaults(panel)
    shown: dict[str, Any] = {
        "type": kind,
        "title": panel["title"],
        "description": panel["about"],
        "datasource": _DATASOURCE,
        "gridPos": grid,
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
                    ],
                }
                for name, color in panel["colors"].items()
            ],
        },
        "options": options | ({"colorMode": "background"} if panel["words"] else {}),
        "targets": [
            {
                "refId": letter,
                "datasource": _DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": not is_graph,
                "range": is_graph,
                "format": "table" if kind == "table" else "time_series",
            }
            for letter, (legend, query) in zip("ABCDEF", panel["queries"].items(), strict=False)
        ],
    }
    if kind == "table":
        hidden = {"excludeByName": {"Time": True, "Value": True}}
        shown["transformations"] = [{"id": "organize", "options": hidden}]
    if panel["links"] and "links" not in defaults:
        shown["links"] = _links(panel)
    return shown


def _links(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"title": title, "url": page, "targetBlank": True} for title, page in panel["links"].items()
    ]


def _defaults(panel: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel["unit"], "min": 0}
    if panel["steps"]:
        steps = [{"color": color, "value": value} for value, color in panel["steps"].items()]
        steps[0]["value"] = None
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel["words"]:
        options = {
            str(value): {"text": text, "color": color}
            for value, (text, color) in panel["words"].items()
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if any("${" in page for page in panel["links"].values()):
        defaults["links"] = _links(panel)  # one for each value
    if panel["kind"] == "timeseries":
        stacking = {"mode": "normal" if panel["stacked"] else "none", "group": "A"}
        fill = 30 if panel["stacked"] else 10
        defaults["custom"] = {"fillOpacity": fill, "stacking": stacking, "showPoints": "never"}
    return defaults
