"""The story that the demo tells, scene by scene, each route and the filters that matter.

Every part is a generator: what happens at CKI before a scene happens when the scene is asked for.
"""

import json
from collections.abc import Iterator

from cki_notifier.notification.models import Status
from cki_notifier.notification.reasons import DeadLetterReason, IgnoreReason
from tools.demo.kernels import ARK, C9S, C10S, RHEL, Change, Kernel, issue
from tools.demo.scenes import Decision, Scene, ignored, post_test, pre_test, scene
from tools.stand_ins import Services, documents
from tools.stand_ins import Status as Answer

BUILT = Status.BUILD_SETUPS_FINISHED
TESTED = Status.READY_TO_REPORT
UNKNOWN = Status.UNKNOWN
TRIAGED = Status.ISSUEOCCURRENCES_CHANGED


def scenario(services: Services) -> Iterator[Scene]:
    """Yield the scenes; the services' documents follow the story."""
    yield from _a_merge_request(services)
    yield from _an_official_build(services)
    yield from _leaving_draft(services)
    yield from _an_outage(services)
    yield from _not_for_testers(services)
    yield from _too_late(services)
    yield from _nothing_to_test(services)
    yield _malformed()


def _a_merge_request(services: Services) -> Iterator[Scene]:
    trailer = issue(
        services,
        "RHEL-61187",
        "ice: link flaps after resume",
        priority={"name": "Major"},
        components=[{"name": "kernel / Networking / NIC Drivers"}],
        fixVersions=[{"name": "rhel-10.1"}],
    )
    change = Change(
        iid=1187,
        title="ice: fix link flap after resume",
        files=["drivers/net/ethernet/intel/ice/ice_main.c", "redhat/kernel.changelog-10.1"],
        labels=["Subsystem:net", "Subsystem:drivers-net", "ExternalCI::lnst::NeedsTesting"],
        description=f"Backport of the upstream fix.\n\n{trailer}\n",
    )
    kernel = Kernel(services, C10S, 2167003491, change)
    builds = kernel.built()
    yield scene(
        'Merge request !1187, "ice: fix link flap after resume", is built for four '
        "architectures, and for debugging. The testers of network drivers can begin.",
        kernel,
        BUILT,
        pre_test(),
    )
    mtu = documents.test(builds[0], "networking.route.pmtu", "FAIL")
    ipv6 = documents.testresult(mtu, "pmtu_ipv6", "FAIL")
    tunnel = documents.test(builds[3], "networking.tunnel", "FAIL", waived=True)
    boots = [documents.test(build, "boot") for build in builds]
    kernel.tested([*boots, mtu, tunnel], [documents.testresult(mtu, "pmtu_ipv4"), ipv6])
    kernel.triaged(documents.issueoccurrence(test=mtu, testresult=ipv6, issue=3022))
    yield scene(
        "CKI has tested it. One test failed because of a known issue, another one is waived: "
        "nothing is left to worry about.",
        kernel,
        TESTED,
        post_test("success"),
    )


def _an_official_build(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, RHEL, 2167010208, submitter="jdoe")
    builds = kernel.built()
    stress = documents.test(builds[3], "storage.block.stress", "FAIL")
    panic = documents.test(builds[1], "kdump.crash", "FAIL")
    boots = [documents.test(build, "boot") for build in builds]
    kernel.tested([*boots, stress, panic])
    yield scene(
        "CKI has tested a RHEL 9.6 kernel that jdoe had built, without a merge request. "
        "Two tests failed, and nobody knows why yet.",
        kernel,
        TESTED,
        post_test("fail"),
    )
    kernel.triaged(documents.issueoccurrence(test=stress, issue=3107))
    yield scene(
        "Somebody finds a known issue behind one of the two failures. The other one is left, so "
        "the outcome is what it was.",
        kernel,
        TRIAGED,
        ignored(IgnoreReason.OUTCOME_UNCHANGED),
        misc={"checkout_outcome_changed": False},
    )
    kernel.triaged(documents.issueoccurrence(test=panic, issue=3111))
    yield scene(
        "The other failure is a known issue too. That changes the outcome, and testers who wait "
        "for good kernels learn of it.",
        kernel,
        TRIAGED,
        post_test("success"),
        misc={"checkout_outcome_changed": True},
    )


def _leaving_draft(services: Services) -> Iterator[Scene]:
    """A merge request that leaves draft: thin notifications, and a status that tells nothing."""
    building = Kernel(
        services,
        C9S,
        2167021744,
        _change(services, 5230, "xfs: take the inode lock for reflink", "Subsystem:fs"),
    )
    building.built(["s390x"], done=False)
    yield scene(
        "Merge request !5230 is no draft any more, but only the first of its kernels is built.",
        building,
        UNKNOWN,
        ignored(IgnoreReason.STAGE_NOT_REACHED),
        thin=True,
    )
    built = Kernel(
        services,
        C9S,
        2167020150,
        _change(services, 5198, "scsi: lpfc: update to 14.4.0.9", "Subsystem:scsi"),
    )
    built.built()
    yield scene(
        "Merge request !5198 is no draft any more. Its kernels are built, CKI tests them now.",
        built,
        UNKNOWN,
        pre_test(),
        thin=True,
    )
    tested = Kernel(
        services,
        C9S,
        2167018302,
        _change(services, 5021, "s390/dasd: fix path verification", "Subsystem:s390"),
    )
    builds = tested.built()
    boots = [documents.test(build, "boot") for build in builds]
    tested.tested([*boots, documents.test(builds[2], "storage.dasd", "ERROR")])
    yield scene(
        "Merge request !5021 is no draft any more. CKI has tested it: a test of its own broke, "
        "so not all is known.",
        tested,
        UNKNOWN,
        post_test("error"),
        thin=True,
    )


def _change(
    services: Services,
    iid: int,
    title: str,
    label: str,
    *,
    state: str = "opened",
    newer_pipeline: int | None = None,
) -> Change:
    """Return a merge request with an issue of its own in Jira."""
    trailer = issue(
        services, f"RHEL-{70000 + iid}", title, fixVersions=[{"name": "rhel-9.7"}], components=[]
    )
    return Change(
        iid=iid,
        title=title,
        files=[f"{title.partition(':')[0]}/Makefile"],
        labels=[label],
        description=f"{title}\n\n{trailer}\n",
        state=state,
        newer_pipeline=newer_pipeline,
    )


def _an_outage(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, ARK, 2167030077)
    kernel.built(("aarch64", "x86_64"))
    services.warehouse.answer("", Answer(503))
    yield scene(
        "A kernel of the Always Ready Kernel is built, but the warehouse restarts just now and "
        "answers 503 to everything.",
        kernel,
        BUILT,
        Decision("delayed", "unavailable"),
        later=pre_test(),
    )
    services.warehouse.clear()


def _not_for_testers(services: Services) -> Iterator[Scene]:
    """What is decided by the notification alone: the services aren't even asked."""
    retrigger = Kernel(services, C9S, 2167031500, retrigger=True)
    retrigger.built()
    yield scene(
        "CKI's developers let a pipeline run again, to test a change of the pipeline itself.",
        retrigger,
        TESTED,
        ignored(IgnoreReason.RETRIGGERED),
    )
    foreign = Kernel(services, ARK, 2167031611, origin="maestro")
    foreign.built()
    yield scene(
        "Another test system, KernelCI's Maestro, has handed in a kernel of its own.",
        foreign,
        TESTED,
        ignored(IgnoreReason.ORIGIN),
    )
    kernel = Kernel(services, C10S, 2167031702)
    build = kernel.built()[0]
    yield scene(
        "The warehouse tells of a single build, not of a whole checkout.",
        kernel,
        BUILT,
        ignored(IgnoreReason.OBJECT_TYPE),
        object_type="build",
        object=build,
        id=build["id"],
    )


def _too_late(services: Services) -> Iterator[Scene]:
    """What only GitLab knows."""
    merged = Kernel(
        services,
        C9S,
        2167034018,
        _change(services, 5102, "tools/power: support new CPUs", "Subsystem:power", state="merged"),
    )
    merged.built()
    merged.tested([])
    yield scene(
        "CKI has tested merge request !5102, but a maintainer was faster and has merged it.",
        merged,
        TESTED,
        ignored(IgnoreReason.MERGE_REQUEST_MERGED),
    )
    change = _change(
        services, 5144, "mm: fix a leak in memcg", "Subsystem:mm", newer_pipeline=2167036990
    )
    superseded = Kernel(services, C9S, 2167034502, change)
    superseded.built()
    yield scene(
        "Merge request !5144 is built, but its author has pushed again meanwhile: another "
        "pipeline builds what counts now.",
        superseded,
        BUILT,
        ignored(IgnoreReason.SUPERSEDED),
    )


def _nothing_to_test(services: Services) -> Iterator[Scene]:
    kernel = Kernel(services, RHEL, 2167037125, submitter="jdoe")
    kernel.built(broken=True)
    kernel.tested([])
    yield scene(
        "A kernel does not compile, for any architecture.",
        kernel,
        TESTED,
        ignored(IgnoreReason.NO_BUILDS),
    )


def _malformed() -> Scene:
    body = json.dumps(documents.notification(documents.checkout("redhat:2167038800"))).encode()
    return Scene(
        story="The second half of a notification got lost on its way.",
        body=body[: len(body) // 2],
        tree="?",
        checkout=None,
        status=None,
        expected=Decision("dead-lettered", DeadLetterReason.MALFORMED),
    )
