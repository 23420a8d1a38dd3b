"""DataWarehouse's documents, with only the fields that rules and messages read.

All other fields may hold anything.
Shapes: KCIDB objects (schema v4; builds perhaps v5) with DataWarehouse's ``misc``. Optional fields
may be missing or null. A field of a wrong type is a decoding error that names the field.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct

#: An identifier an object can't do without.
Identifier = Annotated[str, Meta(min_length=1)]


class Document(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all documents: never changed, and never part of a reference cycle."""


class PatchsetFile(Document, frozen=True):
    """A patch of the checkout."""

    url: str | None = None


class ModifiedFile(Document, frozen=True):
    """A file the checkout's patches touch."""

    path: str | None = None


class MergeRequestLink(Document, frozen=True):
    """The merge request's links in DataWarehouse."""

    url: str | None = None
    diff_url: str | None = None


class Provenance(Document, frozen=True):
    """The origin of a checkout. The function ``coordinator`` at ``gitlab`` is the pipeline."""

    function: str | None = None
    url: str | None = None
    service_name: str | None = None


class CheckoutMisc(Document, frozen=True):
    """DataWarehouse's own fields of a checkout."""

    iid: int | None = None
    retrigger: bool | None = None
    ready_to_report: bool | None = None
    notification_sent_build_setups_finished: bool | None = None
    submitter: str | None = None
    source_package_name: str | None = None
    source_package_version: str | None = None
    source_package_release: str | None = None
    patchset_modified_files: tuple[ModifiedFile, ...] | None = None
    mr: MergeRequestLink | None = None
    related_merge_request: MergeRequestLink | None = None
    provenance: tuple[Provenance, ...] | None = None


class Checkout(Document, frozen=True):
    """One version of the kernel's source."""

    id: Identifier
    origin: str | None = None
    tree_name: str | None = None
    git_repository_branch: str | None = None
    patchset_files: tuple[PatchsetFile, ...] | None = None
    valid: bool | None = None
    misc: CheckoutMisc | None = None


class OutputFile(Document, frozen=True):
    """A file a build made."""

    name: str | None = None
    url: str | None = None


class BuildMisc(Document, frozen=True):
    """DataWarehouse's own fields of a build."""

    debug: bool | None = None
    package_name: str | None = None
    package_version: str | None = None
    package_release: str | None = None
    kpet_tree_name: str | None = None
    kpet_tree_family: str | None = None


class Build(Document, frozen=True):
    """A kernel built from a checkout; ``valid`` is v4's field, ``status`` v5's."""

    id: Identifier
    checkout_id: str | None = None
    architecture: str | None = None
    valid: bool | None = None
    status: str | None = None
    output_files: tuple[OutputFile, ...] | None = None
    misc: BuildMisc | None = None


def testable_builds(builds: tuple[Build, ...]) -> tuple[Build, ...]:
    """Return the builds that labs can test, including those of unknown status."""
    return tuple(
        build
        for build in builds
        if build.valid is not False and (build.status is None or build.status == "PASS")
    )


class Test(Document, frozen=True):
    """A test of a build; without a status it is still running."""

    __test__ = False  # keeps pytest from collecting it

    id: Identifier
    status: str | None = None
    waived: bool | None = None


class TestResult(Document, frozen=True):
    """A part of a test with a status of its own."""

    __test__ = False  # keeps pytest from collecting it

    id: Identifier
    test_id: Identifier
    status: str | None = None


class IssueOccurrence(Document, frozen=True):
    """An issue seen in a checkout, a build, a test or a testresult."""

    is_regression: bool | None = None
    build_id: str | None = None
    test_id: str | None = None
    testresult_id: str | None = None


class Everything(Document, frozen=True):
    """The document with everything of a checkout.

    Checkouts, builds and tests are required: a missing list, read as empty, would hide builds or
    failures. Many checkouts have no testresults and no occurrences.
    """

    checkouts: tuple[Checkout, ...]
    builds: tuple[Build, ...]
    tests: tuple[Test, ...]
    testresults: tuple[TestResult, ...] | None = None
    issueoccurrences: tuple[IssueOccurrence, ...] | None = None


class CheckoutPage(Document, frozen=True):
    """One page of all checkouts, with their total number. Entries may be anything."""

    results: tuple[Raw, ...]
    next: str | None = None
    count: Raw = Raw(b"0")


class Listed(Document, frozen=True):
    """A checkout's id and start time in the list of all. Both may be anything."""

    id: Raw = Raw(b"null")
    start_time: Raw = Raw(b"null")


class BuildPage(Document, frozen=True):
    """One page of a checkout's builds; ``next`` is the next page's address or null."""

    results: tuple[Build, ...]
    next: str | None = None
