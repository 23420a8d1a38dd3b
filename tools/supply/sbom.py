"""The bill of materials of the image's Python part, in CycloneDX's JSON.

``scripts/sbom`` starts this module. The components are what requirements/run.txt locks, described
by the metadata of what is installed here, which must be the same versions. The bytes are the same
for every run: there is no serial number and no time in it. What Debian brings into the image is
listed by the image's own scanner.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any, Final

import confluent_kafka
import pycurl
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cki_notifier import __version__
from tools import PROJECT
from tools.supply.licences import expression_of
from tools.supply.locks import RUN_TIME, Pin, pins_of

#: A name and a version in what pycurl tells of itself: "PycURL/7.45 libcurl/8.14 OpenSSL/3.5 ...".
_BUILT_WITH: Final = re.compile(r"(\S+)/(\d\S*)")


def bill() -> str:
    """Return the whole document; RuntimeError when what is installed is not what is locked."""
    pins = [pin for pin in pins_of(RUN_TIME) if pin.holds()]
    components = {pin.name: _component(pin) for pin in pins}
    project = _project()
    bom = Bom(components=components.values(), dependencies=_dependencies(project, components))
    bom.metadata.component = project
    return _reproducible(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def schema_fault(document: str) -> str | None:
    """Return what CycloneDX's own schema says against the document, or None."""
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)
    return None if fault is None else str(fault)


def _component(pin: Pin) -> Component:
    fields = metadata(pin.name)
    if fields["Version"] != pin.version:
        raise RuntimeError(f"{pin.name} {fields['Version']} is installed, {pin.version} is locked")
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        description=fields["Summary"],
        purl=PackageURL("pypi", None, pin.name, pin.version),
        bom_ref=pin.name,
        licenses=_licences(expression_of(pin.name)),
        components=[
            Component(
                type=ComponentType.LIBRARY,
                name=name,
                version=version,
                purl=PackageURL("generic", None, name, version),
                bom_ref=f"{pin.name}/{name}",
            )
            for name, version in _bundled(pin.name)
        ],
    )


def _project() -> Component:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=__version__,
        description=project["description"],
        purl=PackageURL("pypi", None, project["name"], __version__),
        bom_ref=project["name"],
        licenses=_licences(project["license"]),
    )


def _licences(expression: str | None) -> list[Any]:
    return [] if expression is None else [LicenseFactory().make_from_string(expression)]


def _bundled(package: str) -> Iterator[tuple[str, str]]:
    # The two whose wheels carry libraries in C, which no metadata lists but which can be asked.
    # zlib is not among them: both take the system's.
    if package == "confluent-kafka":
        yield "librdkafka", confluent_kafka.libversion()[0]
    elif package == "pycurl":
        for name, version in _BUILT_WITH.findall(pycurl.version):
            if name not in {"PycURL", "zlib"}:
                yield name.lower(), version


def _dependencies(project: Component, components: dict[str, Component]) -> Iterator[Dependency]:
    for component in [project, *components.values()]:
        needed = sorted(_needs(component.name) & components.keys())
        refs = [Dependency(components[name].bom_ref) for name in needed]
        yield Dependency(component.bom_ref, dependencies=refs)


def _needs(package: str) -> set[str]:
    needed = map(Requirement, requires(package) or [])
    return {
        canonicalize_name(requirement.name)
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }


def _reproducible(document: str) -> str:
    # Fields of the library's own making that differ with every run; the format needs neither.
    content = json.loads(document)
    del content["serialNumber"], content["metadata"]["timestamp"]
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)


def main() -> int:
    """Write the document into the file that is named, and say so; return the exit code."""
    target = Path(sys.argv[1])
    document = bill()
    if fault := schema_fault(document):
        print(f"sbom: {fault}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(document)
    print(f"{target}: {len(pins_of(RUN_TIME))} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
