"""The documents of the benchmark's checkouts, with a gap where the checkout's number belongs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tools.benchmarks.ids import PLACEHOLDER, Shape, checkout_id
from tools.stand_ins import documents
from tools.stand_ins.documents import Document

ARCHITECTURES: Final = ("x86_64", "aarch64", "ppc64le", "s390x")
TESTS: Final = 200
BIG_TESTS: Final = 20_000
#: Of the ten issue occurrences of a post-test document, so many point at a testresult.
RESULT_OCCURRENCES: Final = 8
PROJECT: Final = "redhat/centos-stream/src/kernel/centos-stream-9"


class Template:
    """A text that a number is put into, and an end that is the same for all."""

    def __init__(self, text: bytes, end: bytes = b"") -> None:
        self._parts = text.split(PLACEHOLDER.encode())
        self.end = end

    def fill(self, number: bytes) -> bytes:
        """Return the text for a number, without the end."""
        return number.join(self._parts)

    def joined(self) -> bytes:
        """Return the text with the placeholder, without the end."""
        return self.fill(PLACEHOLDER.encode())

    def __len__(self) -> int:
        return len(self.joined()) + len(self.end)


@dataclass(frozen=True, slots=True)
class Pages:
    """All that the services show for the checkouts of a shape."""

    checkout: Template
    builds: Template
    everything: Template
    merge_request: Template


def pages(shape: Shape, gitlab: str) -> Pages:
    """Return what is shown for a shape; ``gitlab`` is where GitLab is, without a slash."""
    checkout = checkout_of(shape, gitlab)
    builds = _builds(checkout)
    page = {"count": len(builds), "next": None, "previous": None, "results": builds}
    return Pages(
        checkout=_template(checkout),
        builds=_template(page),
        everything=_big(checkout, builds) if shape is Shape.BIG else _everything(checkout, builds),
        merge_request=_template(_merge_request(gitlab)),
    )


def checkout_of(shape: Shape, gitlab: str) -> Document:
    """Return the checkout of a shape, with the placeholder as its number."""
    is_merge_request = shape is Shape.WITH_MERGE_REQUEST
    return documents.checkout(
        checkout_id(PLACEHOLDER),
        pipeline=f"{documents.PIPELINES}/{PLACEHOLDER}",
        merge_request=_merge_request_url(gitlab) if is_merge_request else None,
    )


def _builds(checkout: Document) -> list[Document]:
    return [
        documents.build(checkout, architecture, debug=debug)
        for architecture in ARCHITECTURES
        for debug in (False, True)
    ]


def _everything(checkout: Document, builds: list[Document]) -> Template:
    """Return an ``/all`` document whose ten occurrences excuse all that failed."""
    runs, results = _tests(builds, TESTS)
    failed = runs[::20]
    for run in failed:
        run["status"] = "FAIL"
    for result in results[::20][:RESULT_OCCURRENCES]:
        result["status"] = "FAIL"
    occurrences = [
        documents.issueoccurrence(test=run, testresult=result, issue=500 + index)
        for index, (run, result) in enumerate(zip(failed, results[::20], strict=True))
        if index < RESULT_OCCURRENCES
    ]
    occurrences += [documents.issueoccurrence(test=run) for run in failed[RESULT_OCCURRENCES:]]
    return _template(documents.everything(checkout, builds, runs, results, occurrences))


def _big(checkout: Document, builds: list[Document]) -> Template:
    """Return a big ``/all`` document; its tests don't name the number, so that it's soon filled."""
    stand_in = [{**build, "id": f"redhat:build-{index}"} for index, build in enumerate(builds)]
    runs, results = _tests(stand_in, BIG_TESTS)
    for run in runs:
        run.update(_logs(run["path"]))
    head = json.dumps(documents.everything(checkout, builds), separators=(",", ":"))
    start, _, _ = head.partition(',"tests":')
    end = _dumped({"tests": runs, "testresults": results, "issueoccurrences": []})
    return Template(start.encode(), b"," + end[1:])


def _tests(builds: list[Document], count: int) -> tuple[list[Document], list[Document]]:
    runs = [
        documents.test(builds[index % len(builds)], f"suite-{index % 17}.case-{index}")
        for index in range(count)
    ]
    return runs, [documents.testresult(run, "part-0") for run in runs]


def _logs(path: str) -> Document:
    folder = f"https://s3.example.com/trusted/tests/{path}/artifacts"
    names = ("console.log", "dmesg.log", "journal.log", "output.log", "resultoutputfile.log")
    files = [{"name": name, "url": f"{folder}/{name}"} for name in names]
    return {"log_url": f"{folder}/{names[0]}", "output_files": files}


def _merge_request_url(gitlab: str) -> str:
    return f"{gitlab}/{PROJECT}/-/merge_requests/{PLACEHOLDER}"


def _merge_request(gitlab: str) -> Document:
    """Return an open merge request whose head pipeline is the checkout's own."""
    return documents.merge_request(
        _merge_request_url(gitlab), head_pipeline=f"{documents.PIPELINES}/{PLACEHOLDER}"
    )


def _template(document: Mapping[str, Any]) -> Template:
    return Template(_dumped(document))


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
