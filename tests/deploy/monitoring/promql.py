"""Find the metrics and labels in Prometheus queries, and run promtool."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

#: Labels from Prometheus itself, from histograms and from label_replace().
TARGET_LABELS = frozenset({"job", "instance", "namespace", "le"})
_SELECTOR = re.compile(
    r"\b((?:cki_notifier|process|python)_\w+|(?:ALERTS|up)(?=\{))(?:\{([^}]*)\})?"
)
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


class Use(NamedTuple):
    """A metric in a query, and the labels it is selected by."""

    metric: str
    labels: frozenset[str]


def uses(query: str) -> list[Use]:
    """Return the metrics of the daemon, and of Prometheus itself, that a query selects."""
    return [
        Use(found[1], frozenset(_MATCHER.findall(found[2] or "")))
        for found in _SELECTOR.finditer(query)
    ]


def groupings(query: str) -> set[str]:
    """Return the labels that a query groups by."""
    return {
        label.strip()
        for found in _GROUPING.finditer(query)
        for label in found[1].split(",")
        if label.strip()
    }


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        ["promtool", *map(str, arguments)],  # noqa: S607  # wherever it is installed
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def faults(queries: Iterable[str], folder: Path) -> str:
    """Return what promtool has to say against queries, nothing when it takes them all.

    It checks rules only, so each is made one.
    """
    rules = [{"record": f"query:{number}", "expr": text} for number, text in enumerate(queries)]
    file = folder / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    result = promtool("check", "rules", file)
    return result.stdout + result.stderr if result.returncode else ""
