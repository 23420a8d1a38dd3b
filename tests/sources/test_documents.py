"""DataWarehouse's documents: which fields may be missing, and that a wrong one is named."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from cki_notifier.notification.errors import InvalidDocument
from cki_notifier.notification.models import Loaded
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.workers.deadline import Deadline
from tools.stand_ins import Garbage, Services, documents

#: All that is read, as the design lists it, by the object that holds it.
OPTIONAL_FIELDS = {
    "": ("testresults", "issueoccurrences"),
    "checkouts[0].": (
        "origin",
        "tree_name",
        "git_repository_branch",
        "patchset_files",
        "patchset_files[0].url",
        "valid",
        "misc",
    ),
    "checkouts[0].misc.": (
        "iid",
        "retrigger",
        "ready_to_report",
        "notification_sent_build_setups_finished",
        "submitter",
        "source_package_name",
        "source_package_version",
        "source_package_release",
        "patchset_modified_files",
        "patchset_modified_files[0].path",
        "mr",
        "mr.url",
        "mr.diff_url",
        "related_merge_request",
        "related_merge_request.url",
        "related_merge_request.diff_url",
        "provenance",
        "provenance[0].function",
        "provenance[0].url",
        "provenance[0].service_name",
    ),
    "builds[0].": (
        "checkout_id",
        "architecture",
        "valid",
        "status",
        "output_files",
        "output_files[0].name",
        "output_files[0].url",
        "misc",
    ),
    "builds[0].misc.": (
        "debug",
        "package_name",
        "package_version",
        "package_release",
        "kpet_tree_name",
        "kpet_tree_family",
    ),
    "tests[0].": ("status", "waived"),
    "testresults[0].": ("status",),
    "issueoccurrences[0].": (
        "is_regression",
        "build_id",
        "test_id",
        "testresult_id",
    ),
}
OPTIONAL = [holder + name for holder, names in OPTIONAL_FIELDS.items() for name in names]
REQUIRED_IDS = [
    "checkouts[0].id",
    "builds[0].id",
    "tests[0].id",
    "testresults[0].id",
    "testresults[0].test_id",
]
REQUIRED = ["checkouts", "builds", "tests", *REQUIRED_IDS]

#: Makes DataWarehouse answer with a document, and reads it.
Read = Callable[[dict[str, Any]], Any]


def full() -> dict[str, Any]:
    """Return an ``/all`` document with a value for every field that is read."""
    url = "https://gitlab.com/group/kernel/-/merge_requests/7"
    checkout = documents.checkout("redhat:1", merge_request=url, misc={"submitter": "Somebody"})
    checkout["misc"]["related_merge_request"] = {"url": url, "diff_url": f"{url}.diff"}
    build = documents.build(checkout, status="PASS")
    test = documents.test(build, "boot", "FAIL")
    result = documents.testresult(test, "reboot", "FAIL")
    occurrence = documents.issueoccurrence(test=test, testresult=result)
    occurrence["checkout_id"] = checkout["id"]
    return documents.everything(checkout, [build], [test], [result], [occurrence])


def place(document: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """Return the object that holds a field, and the field's name."""
    *parents, name = path.replace("[0]", ".0").split(".")
    holder: Any = document
    for parent in parents:
        holder = holder[0] if parent == "0" else holder[parent]
    assert name in holder
    return holder, name


@pytest.fixture
def read(warehouse: DataWarehouse, services: Services, deadline: Deadline) -> Read:
    """Make DataWarehouse answer with a document, and read it."""

    def read(document: dict[str, Any]) -> Loaded:
        services.warehouse.clear()
        services.warehouse.answer("/all", Garbage(json.dumps(document).encode()))
        return warehouse.everything("redhat:1", deadline)

    return read


def test_a_full_document_is_read(read: Read) -> None:
    """Each field arrives where it belongs."""
    loaded = read(full())
    assert loaded.checkout.misc.provenance[0].function == "coordinator"
    assert loaded.builds[0].output_files[0].name == "kernel_package_url"
    assert loaded.overall_status == "success"


def test_an_occurrence_that_is_missing_is_missed(read: Read) -> None:
    """The failing test's result is excused by its occurrence alone."""
    document = full()
    assert document["tests"][0]["status"] == document["testresults"][0]["status"] == "FAIL"
    del document["issueoccurrences"][0]
    assert read(document).overall_status == "fail"


@pytest.mark.parametrize("path", [*REQUIRED, *OPTIONAL])
def test_a_field_of_a_wrong_type_is_named(read: Read, path: str) -> None:
    """Nothing is guessed from a field that isn't what it should be."""
    document = full()
    holder, name = place(document, path)
    holder[name] = [[]]
    with pytest.raises(InvalidDocument, match=re.escape(f"`$.{path}")):
        read(document)


@pytest.mark.parametrize("path", OPTIONAL)
def test_an_optional_field_may_be_null_or_missing(read: Read, path: str) -> None:
    """Both mean the same."""
    null, missing = full(), full()
    holder, name = place(null, path)
    holder[name] = None
    holder, name = place(missing, path)
    del holder[name]
    assert read(null) == read(missing)


@pytest.mark.parametrize("path", REQUIRED)
def test_a_required_field_may_be_neither(read: Read, path: str) -> None:
    """A list that got lost must not pass for an empty one, nor an object for another."""
    null, missing = full(), full()
    holder, name = place(null, path)
    holder[name] = None
    holder, name = place(missing, path)
    del holder[name]
    for document in (null, missing):
        with pytest.raises(InvalidDocument, match=f"datawarehouse: .*`.*{name}`"):
            read(document)


@pytest.mark.parametrize("path", REQUIRED_IDS)
def test_an_id_is_not_empty(read: Read, path: str) -> None:
    """An empty id points at nothing."""
    document = full()
    holder, name = place(document, path)
    holder[name] = ""
    with pytest.raises(InvalidDocument, match=re.escape(f"`$.{path}`")):
        read(document)


def test_everything_without_a_checkout_is_refused(read: Read) -> None:
    """The list has to hold the checkout that was asked for."""
    with pytest.raises(InvalidDocument, match=r"no `checkouts\[0\]`"):
        read(full() | {"checkouts": []})


def test_of_several_checkouts_ours_is_read(read: Read) -> None:
    """The requested checkout is found by its id, and its builds by theirs."""
    document, other = full(), documents.checkout("redhat:2")
    document["checkouts"].insert(0, other)
    document["builds"].insert(0, documents.build(other))
    loaded = read(document)
    assert loaded.checkout.id == "redhat:1"
    assert [build.checkout_id for build in loaded.builds] == ["redhat:1"]


@pytest.mark.parametrize("status", ["PASS", "FAIL", "ERROR", "MISS", "DONE", "SKIP", "NEW ONE"])
def test_a_build_may_follow_v5(read: Read, status: str) -> None:
    """A build's status takes the place of its validity."""
    document = full()
    document["builds"][0]["status"] = status
    del document["builds"][0]["valid"]
    [build] = read(document).builds
    assert (build.status, build.valid) == (status, None)


def test_what_is_not_read_may_hold_anything(read: Read) -> None:
    """Fields nobody needs are skipped, on every level."""
    document = full()
    more: dict[str, Any] = {"more": [{"deep": [1.5, None, {"x": "y"}]}], "": 10**30, "🐧": []}
    document |= copy.deepcopy(more)
    for name in ("checkouts", "builds", "tests", "testresults", "issueoccurrences"):
        document[name][0] |= more
    document["checkouts"][0]["misc"] |= more
    assert read(document) == read(full())
