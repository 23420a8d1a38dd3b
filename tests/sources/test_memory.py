"""Any answers, and any number of them at once, take a bounded amount of memory."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import NamedTuple

import pytest

from tools.stand_ins import Answer, Place, Seen, Service, documents

MIB = 1024 * 1024
#: Limit of a process's growth. The daemon has to stay below 400 MiB: it needs 60 itself, and
#: notifications up to 100.
MOST_MIB = 230
PATIENCE = 120.0
#: Loads a number of objects at once, and prints the growth of its peak and the outcome.
LOADER = r"""
import pathlib, re, sys, threading
from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.notification.errors import NotifierError
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

url, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
http = HTTP(Transfers(certificate_authorities()))
warehouse = DataWarehouse(http, DataWarehouseConfig(url=url, token=Secret("t")))
gitlab = GitLab(http, {})
kept = []

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

def load(number):
    try:
        if what == "merge_request":
            address = f"{url}/group/kernel/-/merge_requests/{number}"
            got = gitlab.merge_request(address, "misc.mr.url", Deadline(100))
        else:
            got = getattr(warehouse, what)("redhat:1", Deadline(100))
    except NotifierError as error:
        kept.append((re.sub("GET /[^ ]*", "GET", str(error)), error))
    else:
        kept.append(("got", got))

before = peak()
threads = [threading.Thread(target=load, args=(number,)) for number in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(peak() - before, *sorted({text for text, _ in kept}), sep="\n")
"""


class Case(NamedTuple):
    """A kind of document, how often it is loaded at once, its body, and the outcome."""

    what: str
    many: int
    body: Callable[[], bytes]
    ends: str
    is_packed: bool = False


class One(Service):
    """A service that answers everything with the same."""

    def __init__(self) -> None:
        super().__init__(Place())
        self.says = Answer(200)

    def route(self, request: Seen) -> Answer:  # noqa: ARG002  # all are answered alike
        """Answer any request."""
        return self.says


@pytest.fixture(name="one")
def _one() -> Iterator[One]:
    """A service that is up."""
    service = One()
    service.up()
    yield service
    service.stop()


def filled(start: bytes, part: bytes, end: bytes, size: int) -> bytes:
    """Return JSON of about a size in bytes: a list that repeats one part."""
    count = (size - len(start) - len(end)) // (len(part) + 1)
    return start + b",".join([part] * count) + end


def labels(label: bytes) -> bytes:
    """Return a merge request with nothing but labels, as large as one may be."""
    return filled(b'{"state":"opened","labels":[', label, b"]}", 8 * MIB)


def everything(test: bytes) -> bytes:
    """Return all of a checkout, as large as it may be, with nothing but tests."""
    return filled(b'{"checkouts":[{"id":"redhat:1"}],"builds":[],"tests":[', test, b"]}", 64 * MIB)


def realistic() -> bytes:
    """Return all of a checkout with tests and results as real ones are, of some 60 MiB."""
    document = documents.large_all("redhat:1", tests=500)
    head = json.dumps({"checkouts": document["checkouts"], "builds": document["builds"]}).encode()
    tests = [json.dumps({**it, "more": "x" * 600}).encode() for it in document["tests"]]
    count = 60 * MIB * 500 // sum(map(len, tests))
    return head[:-1] + b',"tests":[' + b",".join(islice(cycle(tests), count)) + b"]}"


CASES = {
    "a bomb": Case("merge_request", 16, lambda: bytes(64 * MIB), "grows more than", is_packed=True),
    "objects": Case("merge_request", 16, lambda: labels(b"{}"), "more than 50000 objects"),
    "short labels": Case("merge_request", 16, lambda: labels(b'"ab"'), "length <= 1000"),
    "a real one": Case("everything", 4, realistic, "got"),
    "a real one, packed": Case("everything", 4, realistic, "got", is_packed=True),
    "tiny tests": Case("everything", 4, lambda: everything(b'{"id":"a"}'), "500000 objects"),
    "too large": Case("everything", 4, lambda: b" " * (64 * MIB + 1), "larger than 67108864 bytes"),
    "large checkouts": Case(
        "checkout",
        32,
        lambda: filled(
            b'{"id":"redhat:1","misc":{"patchset_modified_files":[',
            b'{"path":"drivers/net/a.c"}',
            b"]}}",
            MIB,
        ),
        "got",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_peak_is_bounded(one: One, name: str) -> None:
    """For any size, packed or decoded, and any content."""
    case = CASES[name]
    body, headers = case.body(), {}
    if case.is_packed:
        body, headers = gzip.compress(body, 6), {"Content-Encoding": "gzip"}
    one.says = Answer(200, body, headers)
    done = subprocess.run(
        [sys.executable, "-c", LOADER, one.url, case.what, str(case.many)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    grown, *ends = done.stdout.splitlines()
    assert len(ends) == 1, "the same for all"
    assert case.ends in ends[0]
    assert float(grown) < MOST_MIB
