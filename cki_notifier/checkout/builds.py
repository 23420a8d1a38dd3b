"""Which builds of a checkout outside testers can use."""

from cki_notifier.checkout.documents import Build


def testable_builds(builds: tuple[Build, ...]) -> tuple[Build, ...]:
    """Return the builds outside testers can use; one of which nothing is known counts."""
    return tuple(
        build
        for build in builds
        if build.valid is not False and (build.status is None or build.status == "PASS")
    )
