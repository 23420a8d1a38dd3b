"""Factories for the services' documents: plain dictionaries for JSON, with realistic values.

Import the module and not its names, as one of them is `test`.

The defaults are from the files in `samples/`, which are about the checkout of one merge request.
Ids and numbers follow from a factory's arguments.

Each factory takes changes as keywords, which replace top-level fields. It merges `misc` into the
default one. The value `MISSING` removes a field::

    documents.checkout("redhat:1", valid=False, tree_name=documents.MISSING, misc={"iid": 7})

Documents share no objects, so you can also change a document in place.
"""
# ruff: noqa: PT028 - `test` is a factory, no test function

import copy
import enum
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

#: A JSON object.
Document: TypeAlias = dict[str, Any]


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = enum.auto()


#: As the value of a change: removes the field.
MISSING: Final = Missing.MISSING

#: Changes to an object in a document; `None` makes it null, `MISSING` removes it.
Changes: TypeAlias = Mapping[str, object] | Missing | None

UNCHANGED: Final[Mapping[str, object]] = MappingProxyType({})

SAMPLES: Final = Path(__file__).with_name("samples")


def sample(name: str) -> Any:
    """Return the content of a sample."""
    return json.loads((SAMPLES / f"{name}.json").read_bytes())


#: The first item of each list in the sample `/all` document, as JSON, to be decoded each time.
_FIRST: Final = {
    name: json.dumps(listed[0])
    for name, listed in sample("checkout-all").items()
    if name != "version"
}
CHECKOUT_ID: Final = "redhat:2167003491"
PIPELINES: Final = (
    "https://gitlab.com/redhat/red-hat-ci-tools/kernel/cki-internal-pipelines"
    "/cki-trusted-contributors/-/pipelines"
)
LABELS: Final = ("Subsystem:net", "ExternalCI::lnst::NeedsTesting", "readyForQA")
DESCRIPTION: Final[str] = sample("merge-request")["description"]


def changed(
    document: Mapping[str, Any],
    changes: Mapping[str, object],
    misc: Changes = UNCHANGED,
) -> Document:
    """Return a copy of `document` with `changes` at its top level and `misc` inside its misc."""
    result = dict(document)
    if not isinstance(misc, Mapping):
        result["misc"] = misc
    elif misc:
        result["misc"] = changed(result.get("misc") or {}, misc)
    result.update(changes)
    return {name: value for name, value in result.items() if value is not MISSING}


def number(name: str) -> int:
    """Return a number for a name: always the same, and almost unique."""
    return zlib.crc32(name.encode())


def checkout(
    checkout_id: str = CHECKOUT_ID,
    *,
    merge_request: str | None = None,
    pipeline: str | None = f"{PIPELINES}/2167003491",
    misc: Changes = UNCHANGED,
    **changes: object,
) -> Document:
    """Return a valid checkout that is ready to be reported.

    `merge_request` and `pipeline` are URLs; None leaves the fact out of the checkout's misc.
    """
    document = json.loads(_FIRST["checkouts"]) | {"id": checkout_id, "patchset_files": []}
    details = document["misc"] | {"iid": number(checkout_id), "provenance": []}
    del details["mr"]
    if merge_request is not None:
        diff = f"{merge_request}.diff"
        details["mr"] = {"url": merge_request, "diff_url": diff}
        document["patchset_files"].append({"name": diff.rpartition("/")[2], "url": diff})
    if pipeline is not None:
        details["provenance"] = [
            _provenance("coordinator", pipeline),
            _provenance("executor", pipeline.replace("/pipelines/", "/jobs/")),
        ]
    return changed(document | {"misc": details}, changes, misc)


def _provenance(function: str, url: str) -> Document:
    return {"function": function, "url": url, "service_name": "gitlab"}


def build(
    checkout: Mapping[str, Any],
    architecture: str = "x86_64",
    *,
    debug: bool = False,
    misc: Changes = UNCHANGED,
    **changes: object,
) -> Document:
    """Return a valid build of a checkout, with packages of its version, in schema v4.

    For v5 pass `status="PASS", valid=MISSING`. A second build of the same architecture and kind
    needs its own `id`.
    """
    package = "kernel-debug" if debug else "kernel"
    build_id = f"{checkout['id']}-{architecture}-{package}"
    job = number(build_id)
    document = json.loads(_FIRST["builds"]) | {
        "id": build_id,
        "checkout_id": checkout["id"],
        "architecture": architecture,
    }
    source, details = checkout.get("misc") or {}, document["misc"]
    details |= {"iid": job, "debug": debug, "package_name": package}
    for name in ("package_version", "package_release"):
        details[name] = source.get(f"source_{name}", details[name])
    details["provenance"] = [
        _provenance("executor", PIPELINES.replace("/pipelines", f"/jobs/{job}"))
    ]
    version = f"{details['package_version']}-{details['package_release']}"
    artifacts = f"https://s3.example.com/trusted/{number(checkout['id'])}/{job}/artifacts"
    document["output_files"][0]["url"] = f"{artifacts}/repo/{version}.{architecture}"
    return changed(document, changes, misc)


def test(
    build: Mapping[str, Any],
    path: str,
    status: str | Missing | None = "PASS",
    *,
    waived: bool = False,
    misc: Changes = UNCHANGED,
    **changes: object,
) -> Document:
    """Return a test run of a build; `MISSING` as the status means that it still runs.

    A second run of the same path on the same build needs its own `id`.
    """
    test_id = f"{build['id']}_upt_{path}"
    document = json.loads(_FIRST["tests"]) | {
        "id": test_id,
        "build_id": build["id"],
        "path": path,
        "comment": path,
        "status": status,
        "waived": waived,
    }
    document["misc"]["iid"] = number(test_id)
    return changed(document, changes, misc)


def testresult(
    test: Mapping[str, Any],
    name: str,
    status: str | Missing | None = "PASS",
    **changes: object,
) -> Document:
    """Return the result of one part of a test."""
    result_id = f"{test['id']}.{name}"
    document = {"id": result_id, "test_id": test["id"], "name": name, "status": status}
    return changed(document, changes)


def issueoccurrence(
    *,
    checkout: Mapping[str, Any] | None = None,
    build: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
    testresult: Mapping[str, Any] | None = None,
    is_regression: bool | None = False,
    issue: int = 501,
    **changes: object,
) -> Document:
    """Return an occurrence of an issue at the smallest given object.

    As in DataWarehouse, it names the build and the test of that object, but not their checkout.
    Pass the test along with a testresult, which doesn't know its build.
    """
    build_id = build["id"] if build else test.get("build_id") if test else None
    test_id = test["id"] if test else testresult.get("test_id") if testresult else None
    result_id = testresult["id"] if testresult else None
    checkout_id = checkout["id"] if checkout and build_id is None and test_id is None else None
    document: Document = {
        "id": number(f"{issue} {checkout_id} {build_id} {test_id} {result_id}"),
        "is_regression": is_regression,
        "checkout_id": checkout_id,
        "build_id": build_id,
        "test_id": test_id,
        "testresult_id": result_id,
        "issue": {
            "id": issue,
            "description": f"issue {issue}",
            "ticket_url": f"https://issues.example.com/browse/RHEL-{issue}",
        },
    }
    return changed(document, changes)


def everything(
    checkout: Mapping[str, Any],
    builds: Iterable[Mapping[str, Any]] = (),
    tests: Iterable[Mapping[str, Any]] = (),
    testresults: Iterable[Mapping[str, Any]] = (),
    occurrences: Iterable[Mapping[str, Any]] = (),
    **changes: object,
) -> Document:
    """Return the document behind `/checkouts/{id}/all`."""
    document = {
        "version": {"major": 4, "minor": 2},
        "checkouts": [checkout],
        "builds": list(builds),
        "tests": list(tests),
        "testresults": list(testresults),
        "issueoccurrences": list(occurrences),
    }
    return changed(copy.deepcopy(document), changes)


def large_all(
    checkout_id: str = CHECKOUT_ID,
    tests: int = 10_100,
    *,
    results: int = 5,
    merge_request: str | None = None,
) -> Document:
    """Return an `/all` document with that many passed tests of `results` testresults each.

    A test weighs 2 kB as compact JSON: the default makes 20 MB.
    """
    source = checkout(checkout_id, merge_request=merge_request)
    builds = [build(source, architecture) for architecture in ("x86_64", "aarch64", "s390x")]
    runs = [
        _test_with_logs(builds[index % len(builds)], f"suite-{index % 97}.case-{index}")
        for index in range(tests)
    ]
    parts = [testresult(run, f"part-{part}") for run in runs for part in range(results)]
    # Without a copy of the lists, which would take longer than all the rest.
    return everything(source, builds) | {"tests": runs, "testresults": parts}


def _test_with_logs(build: Mapping[str, Any], path: str) -> Document:
    directory = f"https://s3.example.com/trusted/{number(build['id'])}/tests/{path}/artifacts"
    names = ("console.log", "dmesg.log", "journal.log", "output.log", "resultoutputfile.log")
    logs = [{"name": name, "url": f"{directory}/{name}"} for name in names]
    return test(build, path, log_url=f"{directory}/console.log", output_files=logs)


def merge_request(
    url: str,
    *,
    state: str = "opened",
    draft: bool = False,
    head_pipeline: str | None = None,
    **changes: object,
) -> Document:
    """Return a merge request as GitLab's REST API v4 shows it.

    `head_pipeline` is the pipeline's URL, perhaps in a fork, or None.
    """
    document: Document = sample("merge-request")
    document |= {
        "id": number(url),
        "iid": int(url.rpartition("/")[2]),
        "title": f"Draft: {document['title']}" if draft else document["title"],
        "state": state,
        "draft": draft,
        "web_url": url,
        "labels": list(LABELS),
        "head_pipeline": None,
    }
    if head_pipeline:
        document["head_pipeline"] = _pipeline(head_pipeline) | {"sha": document["sha"]}
    return changed(document, changes)


def bridge(pipeline_url: str | None, **changes: object) -> Document:
    """Return a trigger job as GitLab lists it. None stands for a job that has not triggered yet."""
    document: Document = {
        "id": number(pipeline_url or ""),
        "name": "c9s_merge_request",
        "status": "success" if pipeline_url else "created",
        "downstream_pipeline": _pipeline(pipeline_url) if pipeline_url else None,
    }
    return changed(document, changes)


def _pipeline(url: str) -> Document:
    return {"id": int(urlsplit(url).path.rpartition("/")[2]), "web_url": url}


def jira_issue(key: str, **fields: object) -> Document:
    """Return an issue as Jira's REST API v2 finds it; keywords change its `fields`."""
    issue = sample("jira-search")["issues"][0]
    return {"id": str(number(key)), "key": key, "fields": changed(issue["fields"], fields)}


def notification(
    checkout: Mapping[str, Any] | None,
    status: str = "ready_to_report",
    *,
    checkout_id: str | None = None,
    misc: Changes = UNCHANGED,
    timestamp: str | Missing | None = "2026-11-20T12:30:00.123456+00:00",
    object_type: str = "checkout",
    **changes: object,
) -> Document:
    """Return the body of a notification about a checkout.

    Without a checkout the notification is a thin one, with `checkout_id` only.
    """
    source = checkout or {}
    document: Document = {
        "timestamp": timestamp,
        "status": status,
        "object_type": object_type,
        "object": None if checkout is None else copy.deepcopy(dict(checkout)),
        "id": checkout_id or source.get("id"),
        "iid": (source.get("misc") or {}).get("iid"),
        "misc": {},
    }
    return changed(document, changes, misc)
