"""One fault of a cluster in the middle of a stream: no loss, no duplicate, no changed order.

Three nodes of RabbitMQ, three brokers of Kafka, two or three daemons; all are real processes.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.clusters.faults import EVERYTHING_TWICE, FAULTS
from tests.faults.clusters.plot import draw
from tests.faults.clusters.run import ClusterRun, Clusters, opened
from tests.faults.publisher import Expected
from tests.faults.scene import Fault
from tests.faults.test_faults import run
from tests.faults.verdict import Verdict, read_all
from tools import PROJECT
from tools.brokers.rabbitmq import RELEASE
from tools.stand_ins import Services
from tools.stand_ins.documents import number

pytestmark = pytest.mark.clusters

#: Whether one process consumes the queue, or all.
ONE_ACTIVE, SHARED = "one active", "all"


@pytest.fixture
def strike(
    clusters: Clusters,
    services: Services,
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
) -> Callable[[Fault, str], Verdict]:
    """Return a function that runs a fault and returns the verdict."""

    def do(fault: Fault, consumers: str) -> Verdict:
        with opened(
            clusters,
            services,
            tmp_path,
            seed=number(f"{seed} {fault.id} {consumers}"),
            single_active=consumers == ONE_ACTIVE,
            processes=fault.processes,
            settings=fault.settings,
        ) as scene:
            verdict = run(scene, fault)
            if (fault, consumers) == (EVERYTHING_TWICE, ONE_ACTIVE) and request.config.option.write:
                plot(scene)
        return verdict

    return do


def plot(scene: ClusterRun) -> None:
    """Draw the plot for docs/reliability.md."""
    records = read_all(scene.stage.bootstrap, scene.stage.topic)
    draw(
        [each.at for each in scene.stream.published if each.expected is Expected.SENT],
        [record.timestamp_ms / 1000 for record in records],
        scene.restarts,
        PROJECT / "docs" / "images" / f"rolling-restart-rabbitmq-{RELEASE}.svg",
    )


@pytest.mark.parametrize("consumers", [ONE_ACTIVE, SHARED])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_nothing_is_lost(
    fault: Fault,
    consumers: str,
    strike: Callable[[Fault, str], Verdict],
    cluster_judged: Callable[[Verdict, str], None],
) -> None:
    """Each notification has its expected outcome; with one active consumer, in order."""
    verdict = strike(fault, consumers)
    cluster_judged(verdict, consumers)
    assert verdict.is_good, verdict
    if consumers == ONE_ACTIVE:
        assert not verdict.order.changed, verdict.order
