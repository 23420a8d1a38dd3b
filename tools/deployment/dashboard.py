"""Makes the dashboard for Grafana, deploy/monitoring/dashboard.json, from dashboard.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

_SOURCE: Final = Path(__file__).with_name("dashboard.yaml")
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
#: Grafana's grid, in its units.
_WIDTH, _ROW_HEIGHT = 24, 1


class Panel(Struct, forbid_unknown_fields=True, kw_only=True):
    """A panel.

    Attributes:
        title: with the good value in brackets.
        about: the explanation in Grafana's (i).
        queries: by the name of their series.
        unit: Grafana's name of it.
        steps: thresholds with the colors from there on; the first one has no lower bound.
        colors: by the name of the series.
        words: the text in place of a value, and its color.
        links: their targets by their names.
    """

    title: str
    about: str
    queries: dict[str, str]
    kind: Literal["stat", "table", "timeseries"] = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: dict[int, str] = {}
    colors: dict[str, str] = {}
    words: dict[int, tuple[str, str]] = {}
    links: dict[str, str] = {}
    stacked: bool = False


class Mark(Struct, forbid_unknown_fields=True):
    """A mark in all graphs."""

    query: str
    color: str
    title: str
    text: str


class Source(Struct, forbid_unknown_fields=True):
    """The content of dashboard.yaml, which explains it."""

    abbreviations: dict[str, str]
    dashboard: dict[str, Any]
    options: dict[str, dict[str, Any]]
    variables: dict[str, str]
    links: dict[str, str]
    annotations: dict[str, Mark]
    rows: dict[str, list[Panel]]


def page() -> str:
    """Return the dashboard in Grafana's format."""
    source = msgspec.yaml.decode(_SOURCE.read_bytes(), type=Source)
    dashboard = source.dashboard
    dashboard["templating"]["list"] += _variables(source.variables)
    dashboard["links"] = [
        {
            "title": title,
            "type": "link",
            "icon": "external link",
            "url": target,
            "targetBlank": True,
            "tags": [],
        }
        for title, target in source.links.items()
    ]
    dashboard["annotations"]["list"] += _annotations(source.annotations)
    panels = enumerate(_panels(source), 1)
    dashboard["panels"] = [{"id": number, **panel} for number, panel in panels]
    text = json.dumps(dashboard, indent=2) + "\n"
    for word, meaning in source.abbreviations.items():
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
            "refresh": 2,  # on a change of the time range: instances come and go
            "includeAll": True,
            "multi": True,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "sort": 1,
            # Outside Kubernetes, series have no namespace. Only .* matches them.
            **({"allValue": ".*"} if name == "namespace" else {}),
        }


def _annotations(marks: dict[str, Mark]) -> Iterator[dict[str, Any]]:
    for name, mark in marks.items():
        yield {
            "name": name,
            "datasource": _DATASOURCE,
            "enable": True,
            "hide": False,
            "iconColor": mark.color,
            "expr": mark.query,
            "step": "60s",
            "titleFormat": mark.title,
            "textFormat": mark.text,
            "tagKeys": "",
        }


def _panels(source: Source) -> Iterator[dict[str, Any]]:
    """Yield each row's title and its panels, from left to right while they fit."""
    top = 0
    for title, members in source.rows.items():
        grid = {"x": 0, "y": top, "w": _WIDTH, "h": _ROW_HEIGHT}
        yield {"type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}
        top += _ROW_HEIGHT
        left = tallest = 0
        for panel in members:
            width, height = panel.width, panel.height
            if left + width > _WIDTH:
                top, left, tallest = top + tallest, 0, 0
            grid = {"x": left, "y": top, "w": width, "h": height}
            yield _panel(panel, grid, source.options[panel.kind])
            left, tallest = left + width, max(tallest, height)
        top += tallest


def _panel(panel: Panel, grid: dict[str, int], options: dict[str, Any]) -> dict[str, Any]:
    kind = panel.kind
    is_graph = kind == "timeseries"  # the others show the present value only
    defaults = _defaults(panel)
    shown: dict[str, Any] = {
        "type": kind,
        "title": panel.title,
        "description": panel.about,
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
                for name, color in panel.colors.items()
            ],
        },
        "options": options | ({"colorMode": "background"} if panel.words else {}),
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
            for letter, (legend, query) in zip("ABCDEF", panel.queries.items(), strict=False)
        ],
    }
    if kind == "table":
        hidden = {"excludeByName": {"Time": True, "Value": True}}
        shown["transformations"] = [{"id": "organize", "options": hidden}]
    if panel.links and "links" not in defaults:
        shown["links"] = _links(panel)
    return shown


def _links(panel: Panel) -> list[dict[str, Any]]:
    return [
        {"title": title, "url": page, "targetBlank": True} for title, page in panel.links.items()
    ]


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.steps:
        steps = [{"color": color, "value": value} for value, color in panel.steps.items()]
        steps[0]["value"] = None
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.words:
        options = {
            str(value): {"text": text, "color": color}
            for value, (text, color) in panel.words.items()
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if any("${" in page for page in panel.links.values()):
        defaults["links"] = _links(panel)  # one for each value
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        fill = 30 if panel.stacked else 10
        defaults["custom"] = {"fillOpacity": fill, "stacking": stacking, "showPoints": "never"}
    return defaults
