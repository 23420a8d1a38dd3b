"""Installed packages that are nothing but their metadata."""

from pathlib import Path


def install(folder: Path, name: str, version: str, *fields: str) -> None:
    """Make ``folder`` look as if the package had been installed into it."""
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir(parents=True)
    lines = ("Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *fields)
    (information / "METADATA").write_text("\n".join(lines) + "\n\n")
