"""Many notifications don't increase the memory of a process."""

import contextlib
import time
from collections.abc import Callable

import pytest

from tests.brokers.stage import Stage
from tests.faults import meter
from tests.faults.publisher import Published
from tests.faults.scene import Fault, Scene, SceneToBe, nothing
from tests.faults.verdict import come_to_rest, judge

TOTAL, START = 50_000, 5_000
#: The most notifications in the queue, so that the stand-ins need not hold all.
BATCH = 1_000
#: Growth that is no leak, in MiB: caches, fragmentation.
ROOM = 16.0
#: Timeout for the last ones, in seconds.
PATIENCE = 120.0


@pytest.mark.full
def test_memory_stays_flat(
    set_scene: Callable[..., SceneToBe], note: Callable[[str], None]
) -> None:
    """After 50,000 notifications the peak is as after 5,000, and nothing is lost."""
    with set_scene() as scene, scene.daemon:
        scene.services.warehouse.latency = 0.0
        process = meter.find(scene.daemon.log.parent)
        started = time.monotonic()
        peaks = {}
        for done in range(0, TOTAL, BATCH):
            scene.stream.run_for(BATCH)
            wait_for_less_than(BATCH // 2, scene.stage)
            forget(scene, scene.stream.published[max(0, done - BATCH) : done])
            peaks[done + BATCH] = meter.peak(process)
        scene.is_over()
        rested = come_to_rest(scene, PATIENCE)
        seconds = time.monotonic() - started
        verdict = judge(scene, Fault("memory", "none", nothing))
    note(
        f"- {TOTAL:,} notifications through one process in {seconds:.0f} s: peak RSS "
        f"{peaks[START]:.1f} MiB after {START:,}, {peaks[TOTAL]:.1f} MiB after all; "
        f"lost {len(verdict.lost)}, duplicates {verdict.duplicates}."
    )
    assert rested
    assert verdict.is_good, verdict
    assert peaks[TOTAL] - peaks[START] < ROOM, peaks


def wait_for_less_than(count: int, stage: Stage) -> None:
    """Return when the queue is shorter than `count`."""
    deadline = time.monotonic() + PATIENCE
    while stage.waiting(stage.queue) > count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def forget(scene: Scene, handled: list[Published]) -> None:
    """Remove requests and handled checkouts from the stand-ins."""
    scene.services.warehouse.requests.clear()
    scene.services.gitlab.requests.clear()
    scene.services.jira.requests.clear()
    for each in handled:
        # Some ignored notifications have no document.
        with contextlib.suppress(KeyError):
            scene.services.warehouse.remove(each.checkout_id)
