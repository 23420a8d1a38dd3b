"""One bad thing never holds up the rest: measure the times of good notifications."""

from collections.abc import Callable

import pytest

from tests.faults.neighbours import process, queues, services
from tests.faults.neighbours.company import Neighbour, gathered
from tests.faults.neighbours.judgement import Judgement, run
from tests.faults.scene import SceneToBe
from tools.processes import free_port
from tools.stand_ins.documents import number

NEIGHBOURS = (*services.NEIGHBOURS, *queues.NEIGHBOURS, *process.NEIGHBOURS)


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param(each, id=each.id, marks=[] if each.short else [pytest.mark.full])
        for each in NEIGHBOURS
    ],
)
def test_the_good_ones_go_on(
    neighbour: Neighbour,
    set_scene: Callable[..., SceneToBe],
    neighbour_judged: Callable[[Judgement], None],
    seed: int,
) -> None:
    """Good notifications stay fast, the probes are true, and nothing is lost in the end."""
    port = free_port()
    settings = {"CKI_METRICS_ENABLED": "true", "CKI_METRICS_PORT": str(port)}
    with (
        set_scene(
            seed=number(f"{seed} {neighbour.id}"),
            settings=settings | dict(neighbour.settings),
            waits=neighbour.waits,
        ) as scene,
        gathered(scene, port) as company,
    ):
        scene.services.warehouse.latency = 0.0
        judgement = run(company, neighbour)
    neighbour_judged(judgement)
    assert not judgement.faults, "\n".join(judgement.faults)
