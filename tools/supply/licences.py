"""Check the licenses of the daemon's libraries: each must be compatible with GPL-3.0-or-later.

``scripts/audit`` runs this module. It reads the installed packages, and needs no network.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, Final

from license_expression import (  # type: ignore[import-untyped] # has no types
    ExpressionError,
    get_spdx_licensing,
)

from tools.supply.locks import RUN_TIME, pins_of

#: Licenses whose code may be combined with ours, by their SPDX names. All are on the FSF's list of
#: licenses compatible with version 3 of the GPL: https://www.gnu.org/licenses/license-list.html
ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-2.1-or-later",
        "LGPL-3.0-or-later",
        "MIT",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)

#: SPDX names for classifiers of older metadata. "BSD License" is missing, as it names no text.
_CLASSIFIERS: Final = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


#: Licenses that the metadata lacks, and where the package states them, by the package's normalized
#: name. An entry that is no longer needed is a fault.
READINGS: Final[dict[str, tuple[str, str]]] = {}

_SPDX: Final = get_spdx_licensing()


def declared(package: str) -> str | None:
    """Return the SPDX expression that an installed package declares, or None.

    In the core metadata's order of precedence: the field License-Expression, then the field License
    if it is an expression, then classifiers.
    """
    fields = metadata(package)
    for field in ("License-Expression", "License"):
        for text in fields.get_all(field) or []:
            if _parsed(text) is not None:
                return str(text)
    known = {_CLASSIFIERS.get(name, "") for name in fields.get_all("Classifier") or []} - {""}
    return " AND ".join(sorted(known)) or None


def expression_of(package: str) -> str | None:
    """Return the SPDX expression of an installed package: declared, or from READINGS."""
    return declared(package) or READINGS.get(package, (None,))[0]


def is_allowed(expression: str) -> bool:
    """Return whether licenses in ALLOWED satisfy it; raise ValueError if it is no expression."""
    parsed = _parsed(expression)
    if parsed is None:
        raise ValueError(f"'{expression}' is no SPDX expression")
    return _allows(parsed)


def faults(packages: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each forbidden or unknown license, and for each stale reading."""
    for package in packages:
        try:
            expression = expression_of(package)
        except PackageNotFoundError:
            yield f"{package} is not installed, so its license can't be read"
            continue
        if expression is None:
            yield f"{package} declares no license in SPDX's words: read it, enter it in READINGS"
        elif not is_allowed(expression):
            yield f"{package} is {expression}, which is not in ALLOWED"
        elif package in READINGS and declared(package):
            yield f"{package} declares {expression} itself by now: take it out of READINGS"


def _parsed(text: str) -> Any:
    """Return an expression as a tree, or None if it is none."""
    try:
        return _SPDX.parse(text, validate=True)
    except ExpressionError:
        return None


def _allows(node: Any) -> bool:
    if isinstance(node, _SPDX.OR):
        return any(map(_allows, node.args))
    if isinstance(node, _SPDX.AND):
        return all(map(_allows, node.args))
    return str(node) in ALLOWED


def main() -> int:
    """Print the run-time packages with their licenses, or the faults; return the exit code."""
    packages = [pin.name for pin in pins_of(RUN_TIME) if pin.holds()]
    found = list(faults(packages))
    if not found:
        for package in packages:
            print(f"{package:24} {expression_of(package)}")
    for fault in found:
        print(f"licences: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
