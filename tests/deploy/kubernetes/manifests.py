"""Build the manifests with Kustomize, and read them."""

import functools
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools import PROJECT

DEPLOY = PROJECT / "deploy" / "kubernetes"
TOOLS = PROJECT / ".cache" / "kubernetes"
PAGE = PROJECT / "docs" / "kubernetes.md"
OVERLAYS = ("staging", "production")

Object = dict[str, Any]


class Manifests:
    """The objects of one overlay."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = tuple(objects)

    def all(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str) -> Object:
        """Return the only object of a kind."""
        (found,) = self.all(kind)
        return found

    @property
    def pod(self) -> Object:
        """The pod's spec."""
        spec: Object = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Object:
        """The pod's only container."""
        (container,) = self.pod["containers"]
        found: Object = container
        return found

    @property
    def settings(self) -> dict[str, str]:
        """The container's environment: the ConfigMap's, and the variables that override it."""
        (source,) = self.container["envFrom"]
        name = source["configMapRef"]["name"]
        (data,) = [
            item["data"] for item in self.all("ConfigMap") if item["metadata"]["name"] == name
        ]
        more = {item["name"]: item["value"] for item in self.container.get("env", [])}
        return {**data, **more}

    @property
    def secrets_folder(self) -> str:
        """The folder of the Secret's files."""
        return next(
            str(mount["mountPath"])
            for mount in self.container["volumeMounts"]
            if mount["name"] == "secrets"
        )

    @property
    def secret_keys(self) -> set[str]:
        """Return the keys that the Secret needs."""
        prefix = self.secrets_folder + "/"
        return {
            path.removeprefix(prefix) for path in self.settings.values() if path.startswith(prefix)
        }

    @property
    def secret_name(self) -> str:
        """The name of the mounted Secret."""
        return next(
            str(volume["secret"]["secretName"])
            for volume in self.pod["volumes"]
            if volume["name"] == "secrets"
        )


def kustomize(folder: Path) -> str:
    """Return the output of ``kustomize build`` for a folder."""
    result = subprocess.run(
        [TOOLS / "bin" / "kustomize", "build", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr  # warnings about deprecated fields
    return result.stdout


@functools.cache
def overlay(name: str) -> Manifests:
    """Return the objects of an overlay."""
    return Manifests(list(yaml.safe_load_all(kustomize(DEPLOY / "overlays" / name))))


def with_component(name: str, component: str, folder: Path) -> Manifests:
    """Return the objects of an overlay with a component that an operator adds.

    Args:
        name: the overlay's name.
        component: a folder of ``components/``.
        folder: an empty folder for the operator's overlay.
    """
    resource = os.path.relpath(DEPLOY / "overlays" / name, folder)
    part = os.path.relpath(DEPLOY / "components" / component, folder)
    text = yaml.safe_dump({"resources": [resource], "components": [part]})
    (folder / "kustomization.yaml").write_text(text)
    return Manifests(list(yaml.safe_load_all(kustomize(folder))))


def environment(manifests: Manifests, folder: Path) -> dict[str, str]:
    """Return the container's environment, and write the Secret's keys into a folder as files.

    Each file contains ``secret of <key>``.
    """
    for key in manifests.secret_keys:
        (folder / key).write_text(f"secret of {key}\n")
    mounted = manifests.secrets_folder
    return {
        name: value.replace(mounted, str(folder)) if value.startswith(mounted) else value
        for name, value in manifests.settings.items()
    }


def rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the table below a heading of docs/kubernetes.md, without its head."""
    _, found, below = PAGE.read_text().partition(f"\n## {heading}\n")
    assert found, f"docs/kubernetes.md has no section {heading!r}"
    section = below.partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    for line in table[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]
