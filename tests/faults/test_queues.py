"""A loss that only RabbitMQ's configuration prevents, so docs/reliability.md warns of it."""

from collections.abc import Callable

import pytest

from tests.faults.queues import declare_limited, kill_beyond_the_limit
from tests.faults.scene import Fault, SceneToBe
from tests.faults.test_faults import run

UNKEPT = Fault(
    "queue",
    "a delivery limit and no dead-lettering",
    kill_beyond_the_limit,
    declare_limited,
    patience=5.0,
)


@pytest.mark.full
def test_a_limit_without_dead_lettering_loses_what_is_given_up(
    set_scene: Callable[..., SceneToBe],
) -> None:
    """A queue with a delivery limit and no dead-lettering loses notifications after crashes."""
    with set_scene() as scene:
        verdict = run(scene, UNKEPT)
    assert verdict.lost
    assert not verdict.duplicates
    assert not verdict.dead_letters
