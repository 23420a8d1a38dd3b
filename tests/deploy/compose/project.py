"""Read compose.yaml and the files that it mounts."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from tools import PROJECT

FILE = PROJECT / "compose.yaml"

_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Mount(NamedTuple):
    """A file or folder of the project in a container."""

    service: str
    source: Path
    target: PurePosixPath
    options: frozenset[str]


class Port(NamedTuple):
    """A container's port on this machine."""

    service: str
    host: str
    published: int
    target: int


@functools.cache
def services() -> dict[str, dict[str, Any]]:
    """Return the services by name, with anchors and merges resolved. Don't change the result."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def own() -> dict[str, dict[str, Any]]:
    """Return the services whose images are built from this project."""
    return {name: service for name, service in services().items() if "build" in service}


def names() -> dict[str, str]:
    """Return the service of each network name."""
    found = {name: name for name in services()}
    for name, service in services().items():
        for network in service.get("networks", {}).values():
            found |= dict.fromkeys(network["aliases"], name)
    return found


def environment(service: str) -> dict[str, str]:
    """Return the variables of a service, without this machine's environment."""
    variables: dict[str, str] = services()[service].get("environment", {})
    assert all(isinstance(value, str) for value in variables.values()), variables
    return variables


def command(service: str, *arguments: str) -> list[str]:
    """Return a service's command; arguments replace its own, as in `compose run`."""
    definition = services()[service]
    return [*definition["entrypoint"], *(arguments or definition["command"])]


def healthcheck(service: str) -> list[str]:
    """Return the command of a service's health check."""
    test: list[str] = services()[service]["healthcheck"]["test"]
    assert test[0] == "CMD", test
    return test[1:]


def seconds(duration: str) -> float:
    """Return the seconds of a duration of compose, such as `1m30s`."""
    assert re.fullmatch(r"(\d+[smh])+", duration), duration
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)(\w)", duration))


def mounts() -> Iterator[Mount]:
    """Yield all mounts, which the file writes as `source:target:options`."""
    for name, service in services().items():
        for text in service.get("volumes", []):
            source, target, options = text.split(":")
            yield Mount(
                name, PROJECT / source, PurePosixPath(target), frozenset(options.split(","))
            )


def mounted(service: str) -> dict[PurePosixPath, Path]:
    """Return the project's files by their paths in a container."""
    return {mount.target: mount.source for mount in mounts() if mount.service == service}


def ports() -> Iterator[Port]:
    """Yield all published ports, which the file writes as `address:port:port`."""
    for name, service in services().items():
        for text in service.get("ports", []):
            host, published, target = text.split(":")
            yield Port(name, host, int(published), int(target))


def lay_out(service: str, folder: Path) -> None:
    """Copy the mounted files into a folder, as a container sees them."""
    for target, source in mounted(service).items():
        file = folder / target.relative_to("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.read_bytes())
