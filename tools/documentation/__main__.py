"""Write the generated files and parts of pages.

::

    python -m tools.documentation          writes them
    python -m tools.documentation --check  names stale files; exit code 1 for any
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tools import PROJECT
from tools.deployment import dashboard, prometheus_rule
from tools.documentation import (
    asyncapi,
    command_line,
    configuration,
    contract,
    house,
    man,
    metrics,
    reasons,
    way,
)
from tools.documentation.markdown import put

#: Generated files.
WHOLE: Final[Mapping[str, Callable[[], str]]] = {
    "deploy/kubernetes/base/prometheus-rule.yaml": prometheus_rule.page,
    "deploy/monitoring/dashboard.json": dashboard.page,
    "docs/asyncapi.yaml": asyncapi.page,
    "docs/cki-notifier.1": man.page,
    "docs/contract.md": contract.page,
    "docs/house.svg": house.svg,
    "docs/how-it-works.svg": way.svg,
}
#: Pages with a generated part, between marks.
PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "docs/command-line.md": command_line.part,
    "docs/configuration.md": configuration.part,
    "docs/how-it-works.md": house.part,
    "docs/metrics.md": metrics.part,
    "docs/reasons.md": reasons.part,
}


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.documentation",
        description="Writes the generated files and parts of pages.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; name stale files")
    parser.add_argument("--project", type=Path, default=PROJECT, help="the folder to work on")
    parsed = parser.parse_args()
    made = {name: make() for name, make in WHOLE.items()}
    made |= {name: put((parsed.project / name).read_text(), make()) for name, make in PARTS.items()}
    stale = 0
    for name, text in made.items():
        path = parsed.project / name
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if parsed.check:
            print(f"{name} is not up to date: run python -m tools.documentation", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if stale and parsed.check else 0


if __name__ == "__main__":
    sys.exit(main())
