"""The benchmark's checkouts, and their documents in DataWarehouse and GitLab.

A checkout is named ``redhat:<number>``. Its pipeline and its merge request have the same number,
whose first digit is the shape of its documents. All numbers have ten digits, so that all documents
of a shape have the same length.
"""

import enum
from typing import Final

import msgspec

from tools.stand_ins import documents
from tools.stand_ins.documents import Document

ARCHITECTURES: Final = ("x86_64", "aarch64", "ppc64le", "s390x")
#: Stands for the number in a template; no other number in the documents is that large.
PLACEHOLDER: Final = "9999999999"

_TESTS: Final = 200
_BIG_TESTS: Final = 20_000
#: One of this many tests fails, and one of this many testresults.
_FAILS_EVERY: Final = 20
#: This many of the ten issue occurrences in a post-test document are for a testresult.
_RESULT_OCCURRENCES: Final = 8
_PROJECT: Final = "redhat/centos-stream/src/kernel/centos-stream-9"


class Shape(enum.Enum):
    """The shape of a checkout's documents; the value is the first digit of its number."""

    PLAIN = 1
    WITH_MERGE_REQUEST = 2
    BIG = 3


def number_of(shape: Shape, index: int) -> str:
    """Return the number of the checkout that is the ``index``-th of its shape."""
    return f"{shape.value}{index:09}"


def checkout_id(number: str) -> str:
    """Return the KCIDB id of a checkout."""
    return f"redhat:{number}"


def template(text: bytes) -> list[bytes]:
    """Cut a text at the placeholder: ``number.join(template)`` inserts a number."""
    return text.split(PLACEHOLDER.encode())


def checkout_of(shape: Shape, gitlab: str) -> Document:
    """Return the checkout of a shape, with the placeholder as its number.

    Args:
        shape: of its documents.
        gitlab: GitLab's URL, without a slash at the end.
    """
    is_merge_request = shape is Shape.WITH_MERGE_REQUEST
    return documents.checkout(
        checkout_id(PLACEHOLDER),
        pipeline=f"{documents.PIPELINES}/{PLACEHOLDER}",
        merge_request=_merge_request_url(gitlab) if is_merge_request else None,
    )


def pages(shape: Shape, gitlab: str) -> dict[str, bytes]:
    """Return the documents of a shape, with the placeholder, by the last part of the path."""
    checkout = checkout_of(shape, gitlab)
    builds = [
        documents.build(checkout, architecture, debug=debug)
        for architecture in ARCHITECTURES
        for debug in (False, True)
    ]
    everything = _big_everything if shape is Shape.BIG else _everything
    shown = {
        "": checkout,
        "/builds": {"count": len(builds), "next": None, "previous": None, "results": builds},
        "/all": everything(checkout, builds),
        # Its head pipeline is the checkout's own.
        "/merge_requests": documents.merge_request(
            _merge_request_url(gitlab), head_pipeline=f"{documents.PIPELINES}/{PLACEHOLDER}"
        ),
    }
    return {path: msgspec.json.encode(document) for path, document in shown.items()}


def _everything(checkout: Document, builds: list[Document]) -> Document:
    """Return an ``/all`` document with an issue occurrence for each of the ten failures."""
    runs = [
        documents.test(builds[index % len(builds)], f"suite-{index % 17}.case-{index}")
        for index in range(_TESTS)
    ]
    results = [documents.testresult(run, "part-0") for run in runs]
    occurrences = []
    failing = zip(runs[::_FAILS_EVERY], results[::_FAILS_EVERY], strict=True)
    for index, (run, result) in enumerate(failing):
        run["status"] = "FAIL"
        if index < _RESULT_OCCURRENCES:
            result["status"] = "FAIL"
            occurrence = documents.issueoccurrence(test=run, testresult=result, issue=500 + index)
        else:
            occurrence = documents.issueoccurrence(test=run)
        occurrences.append(occurrence)
    return documents.everything(checkout, builds, runs, results, occurrences)


def _big_everything(checkout: Document, builds: list[Document]) -> Document:
    """Return a big ``/all`` document. For speed, its tests don't contain the number."""
    large = documents.large_all(tests=_BIG_TESTS, results=1)
    return {**large, "checkouts": [checkout], "builds": builds}


def _merge_request_url(gitlab: str) -> str:
    return f"{gitlab}/{_PROJECT}/-/merge_requests/{PLACEHOLDER}"
