"""The scenes of the demo: each route, and the rules that matter.

In a scene something happens at CKI, and DataWarehouse sends a notification. Every part is a
generator, which changes the services' documents just before it yields a scene.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cki_notifier.notification.models import Status
from cki_notifier.notification.reasons import DeadLetterReason, IgnoreReason
from tools.demo.kernels import ARK, C9S, C10S, RHEL, Change, Kernel
from tools.stand_ins import Services, documents
from tools.stand_ins import Status as Answer

BUILT = Status.BUILD_SETUPS_FINISHED
TESTED = Status.READY_TO_REPORT
UNKNOWN = Status.UNKNOWN
TRIAGED = Status.ISSUEOCCURRENCES_CHANGED


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of the daemon: `outcome` and `reason` as in its log, `status` of the message."""

    outcome: str
    reason: str
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A notification, with its story and the expected decision.

    `checkout` and `status` are as in the daemon's log, None for an unreadable notification.
    `later` is the final decision about a notification that is first delayed.
    """

    story: str
    body: bytes
    tree: str
    checkout: str | None
    status: str | None
    expected: Decision
    later: Decision | None = None


_PRE_TEST = Decision("sent", "pre-test")


def _scene(
    story: str,
    kernel: Kernel,
    status: str,
    expected: Decision,
    *,
    later: Decision | None = None,
    thin: bool = False,
    **changes: Any,
) -> Scene:
    """Return a scene whose notification has the current time and `changes`.

    A `thin` notification holds only the id of the checkout.
    """
    body = documents.notification(
        None if thin else kernel.checkout,
        status,
        checkout_id=kernel.id,
        timestamp=datetime.now(UTC).isoformat(),
        **changes,
    )
    sent = json.dumps(body).encode()
    return Scene(story, sent, kernel.tree.name, str(body["id"]), status, expected, later)


def scenario(services: Services) -> Iterator[Scene]:
    """Yield the scenes, and change the services' documents to match."""
    yield from _a_merge_request(services)
    yield from _an_official_build(services)
    yield from _leaving_draft(services)
    yield from _an_outage(services)
    yield from _not_for_testers(services)
    yield from _too_late(services)
    yield from _nothing_to_test(services)
    yield _malformed()


def _a_merge_request(services: Services) -> Iterator[Scene]:
    change = Change(
        iid=1187,
        title="ice: fix link flap after resume",
        files=["drivers/net/ethernet/intel/ice/ice_main.c", "redhat/kernel.changelog-10.1"],
        labels=["Subsystem:net", "Subsystem:drivers-net", "ExternalCI::lnst::NeedsTesting"],
        issue="RHEL-61187",
        summary="ice: link flaps after resume",
        components=["kernel / Networking / NIC Drivers"],
    )
    kernel = Kernel(services, C10S, 2167003491, change)
    builds = kernel.builds
    yield _scene(
        'CKI has built merge request !1187, "ice: fix link flap after resume", for four '
        "architectures, and once for debugging. Labs for network drivers can start their tests.",
        kernel,
        BUILT,
        _PRE_TEST,
    )
    mtu = documents.test(builds[0], "networking.route.pmtu", "FAIL")
    ipv6 = documents.testresult(mtu, "pmtu_ipv6", "FAIL")
    tunnel = documents.test(builds[3], "networking.tunnel", "FAIL", waived=True)
    kernel.tested(mtu, tunnel, results=[documents.testresult(mtu, "pmtu_ipv4"), ipv6])
    kernel.triaged(documents.issueoccurrence(test=mtu, testresult=ipv6, issue=3022))
    yield _scene(
        "CKI has tested this kernel. One test failed because of a known issue, and another failed "
        "test is waived. So the status is success.",
        kernel,
        TESTED,
        Decision("sent", "post-test", "success"),
    )


def _an_official_build(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, RHEL, 2167010208, submitter="jdoe")
    builds = kernel.builds
    stress = documents.test(builds[3], "storage.block.stress", "FAIL")
    panic = documents.test(builds[1], "kdump.crash", "FAIL")
    kernel.tested(stress, panic)
    yield _scene(
        "CKI has tested a RHEL 9.6 kernel that jdoe built without a merge request. "
        "Two tests failed, and triage has found no known issue yet.",
        kernel,
        TESTED,
        Decision("sent", "post-test", "fail"),
    )
    kernel.triaged(documents.issueoccurrence(test=stress, issue=3107))
    yield _scene(
        "Triage finds a known issue behind one of the two failures. The other failure still "
        "counts, so the outcome does not change.",
        kernel,
        TRIAGED,
        Decision("ignored", IgnoreReason.OUTCOME_UNCHANGED),
        misc={"checkout_outcome_changed": False},
    )
    kernel.triaged(documents.issueoccurrence(test=panic, issue=3111))
    yield _scene(
        "The other failure is a known issue, too. The outcome changes, and labs that wait for "
        "good kernels get a message.",
        kernel,
        TRIAGED,
        Decision("sent", "post-test", "success"),
        misc={"checkout_outcome_changed": True},
    )


def _leaving_draft(services: Services) -> Iterator[Scene]:
    """Merge requests that leave draft: thin notifications with the status unknown."""
    change = _change(5230, "xfs: take the inode lock for reflink", "Subsystem:fs")
    building = Kernel(services, C9S, 2167021744, change, architectures=["s390x"], complete=False)
    yield _scene(
        "Merge request !5230 is no longer a draft, but only the first of its kernels is built.",
        building,
        UNKNOWN,
        Decision("ignored", IgnoreReason.STAGE_NOT_REACHED),
        thin=True,
    )
    change = _change(5198, "scsi: lpfc: update to 14.4.0.9", "Subsystem:scsi")
    built = Kernel(services, C9S, 2167020150, change)
    yield _scene(
        "Merge request !5198 is no longer a draft. Its kernels are built, and CKI is testing them.",
        built,
        UNKNOWN,
        _PRE_TEST,
        thin=True,
    )
    change = _change(5021, "s390/dasd: fix path verification", "Subsystem:s390")
    tested = Kernel(services, C9S, 2167018302, change)
    tested.tested(documents.test(tested.builds[2], "storage.dasd", "ERROR"))
    yield _scene(
        "Merge request !5021 is no longer a draft. CKI has tested it, and one test ended with "
        "an error. So the status is error.",
        tested,
        UNKNOWN,
        Decision("sent", "post-test", "error"),
        thin=True,
    )


def _change(
    iid: int, title: str, label: str, *, state: str = "opened", newer_pipeline: int | None = None
) -> Change:
    return Change(
        iid=iid,
        title=title,
        files=[f"{title.partition(':')[0]}/Makefile"],
        labels=[label],
        issue=f"RHEL-{70000 + iid}",
        state=state,
        newer_pipeline=newer_pipeline,
    )


def _an_outage(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, ARK, 2167030077, architectures=["aarch64", "x86_64"])
    services.warehouse.answer("", Answer(503))
    yield _scene(
        "CKI has built an Always Ready Kernel (ark). But DataWarehouse is restarting, and answers "
        "503 to all requests.",
        kernel,
        BUILT,
        Decision("delayed", "unavailable"),
        later=_PRE_TEST,
    )
    services.warehouse.clear()


def _not_for_testers(services: Services) -> Iterator[Scene]:
    """Notifications that the daemon ignores without a request to a service."""
    retrigger = Kernel(services, C9S, 2167031500, retrigger=True)
    yield _scene(
        "CKI's developers rerun a pipeline, to test a change of the pipeline itself.",
        retrigger,
        TESTED,
        Decision("ignored", IgnoreReason.RETRIGGERED),
    )
    foreign = Kernel(services, ARK, 2167031611, origin="maestro")
    yield _scene(
        "Another test system, KernelCI's Maestro, has submitted a kernel.",
        foreign,
        TESTED,
        Decision("ignored", IgnoreReason.ORIGIN),
    )
    kernel = Kernel(services, C10S, 2167031702)
    build = kernel.builds[0]
    yield _scene(
        "A notification is about a single build, not about a checkout.",
        kernel,
        BUILT,
        Decision("ignored", IgnoreReason.OBJECT_TYPE),
        object_type="build",
        object=build,
        id=build["id"],
    )


def _too_late(services: Services) -> Iterator[Scene]:
    """Notifications that the daemon ignores after a request to GitLab."""
    change = _change(5102, "tools/power: support new CPUs", "Subsystem:power", state="merged")
    merged = Kernel(services, C9S, 2167034018, change)
    merged.tested()
    yield _scene(
        "CKI has tested merge request !5102, but a maintainer has already merged it.",
        merged,
        TESTED,
        Decision("ignored", IgnoreReason.MERGE_REQUEST_MERGED),
    )
    change = _change(5144, "mm: fix a leak in memcg", "Subsystem:mm", newer_pipeline=2167036990)
    superseded = Kernel(services, C9S, 2167034502, change)
    yield _scene(
        "CKI has built merge request !5144, but its author has pushed again. A newer pipeline "
        "builds the new version.",
        superseded,
        BUILT,
        Decision("ignored", IgnoreReason.SUPERSEDED),
    )


def _nothing_to_test(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, RHEL, 2167037125, submitter="jdoe", broken=True)
    kernel.tested()
    yield _scene(
        "A kernel does not compile for any architecture.",
        kernel,
        TESTED,
        Decision("ignored", IgnoreReason.NO_BUILDS),
    )


def _malformed() -> Scene:
    body = json.dumps(documents.notification(documents.checkout("redhat:2167038800"))).encode()
    return Scene(
        story="The second half of a notification is missing.",
        body=body[: len(body) // 2],
        tree="?",
        checkout=None,
        status=None,
        expected=Decision("dead-lettered", DeadLetterReason.MALFORMED),
    )
