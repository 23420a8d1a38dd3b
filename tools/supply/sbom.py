"""The bill of materials of the image's Python part, in CycloneDX's JSON.

``scripts/sbom`` runs this module. The components are the packages in requirements/run.txt, with the
metadata of the installed packages, which must have the same versions. Every run writes the same
bytes, without a serial number and a time. A scanner of the image lists the Debian packages.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Final

import confluent_kafka
import pycurl
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
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

#: A name and a version in pycurl's version: "PycURL/7.45 libcurl/8.14 OpenSSL/3.5 ...".
_BUILT_WITH: Final = re.compile(r"(\S+)/(\d\S*)")


def bill() -> str:
    """Return the document; raise RuntimeError if an installed version is not the locked one."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    ours = _component(project["name"], __version__, project["description"], project["license"])
    ours.type = ComponentType.APPLICATION
    components = {pin.name: _locked(pin) for pin in pins_of(RUN_TIME) if pin.holds()}
    bom = Bom(components=components.values())
    bom.metadata.component = ours
    for component in (ours, *components.values()):
        needed = _needs(component.name) & components.keys()
        bom.register_dependency(component, [components[name] for name in needed])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Optional fields that differ with every run.
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def schema_fault(document: str) -> str | None:
    """Return the fault that CycloneDX's schema finds in the document, or None."""
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)
    return None if fault is None else str(fault)


def _component(
    name: str, version: str, description: str | None, licence: str | None, within: str = ""
) -> Component:
    """Return a component. A library ``within`` a package is not itself from the index."""
    return Component(
        name=name,
        version=version,
        description=description,
        purl=PackageURL("generic" if within else "pypi", None, name, version),
        bom_ref=f"{within}/{name}" if within else name,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def _locked(pin: Pin) -> Component:
    fields = metadata(pin.name)
    if fields["Version"] != pin.version:
        raise RuntimeError(f"{pin.name} {fields['Version']} is installed, {pin.version} is locked")
    component = _component(pin.name, pin.version, fields["Summary"], expression_of(pin.name))
    component.components = [
        _component(name, version, None, None, within=pin.name)
        for name, version in _bundled(pin.name)
    ]
    return component


def _bundled(package: str) -> Iterator[tuple[str, str]]:
    # Two wheels contain libraries in C. No metadata lists these, but the modules know the versions.
    # zlib is not among them, as both use the system's.
    if package == "confluent-kafka":
        yield "librdkafka", confluent_kafka.libversion()[0]
    elif package == "pycurl":
        for name, version in _BUILT_WITH.findall(pycurl.version):
            if name not in {"PycURL", "zlib"}:
                yield name.lower(), version


def _needs(package: str) -> set[str]:
    needed = map(Requirement, requires(package) or [])
    return {
        canonicalize_name(requirement.name)
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }


def main() -> int:
    """Write the document to the given file; return the exit code."""
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
