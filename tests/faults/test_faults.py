"""One fault, or a sequence, in the middle of a stream: each notification has its outcome.

The daemons are separate processes. RabbitMQ and Kafka are real.
"""

import random
import time
from collections.abc import Callable

import pytest

from tests.brokers.stage import eventually
from tests.faults import amqp, http, kafka, process, queues, storm, takeover
from tests.faults.scene import Fault, Run, Scene, SceneToBe
from tests.faults.verdict import Verdict, come_to_rest, judge
from tools.stand_ins.documents import number

FAULTS = (
    *amqp.FAULTS,
    *kafka.FAULTS,
    *http.FAULTS,
    *process.FAULTS,
    *takeover.FAULTS,
    *queues.FAULTS,
)
SWIFT = [fault for fault in FAULTS if fault.swift]

#: The number of sequences, and of faults in each.
SEQUENCES, LENGTH = 4, 5
#: In seconds. Failed notifications return after 5 s, 30 s and 2 min.
SEQUENCE_PATIENCE = 180.0
#: The number of messages before the fault.
BEFORE = 10
#: How long the stream continues after the fault, in seconds.
AFTER_SECONDS = 1.0


def parameters(faults: tuple[Fault, ...]) -> list[object]:
    """Return the faults as parameters of a test, with a mark for long ones."""
    return [
        pytest.param(fault, id=fault.id, marks=[] if fault.short else [pytest.mark.full])
        for fault in faults
    ]


@pytest.mark.parametrize("fault", parameters(FAULTS))
def test_nothing_is_lost(
    fault: Fault, set_scene: Callable[..., SceneToBe], judged: Callable[[Verdict], None], seed: int
) -> None:
    """Each notification has its expected outcome despite the fault."""
    own_seed = number(f"{seed} {fault.id}")
    with set_scene(
        seed=own_seed,
        settings=fault.settings,
        mocked=fault.mock,
        processes=fault.processes,
        apart=fault.apart,
    ) as scene:
        verdict = run(scene, fault)
    judged(verdict)
    assert verdict.is_good, verdict


@pytest.mark.full
@pytest.mark.parametrize("which", range(SEQUENCES))
def test_nothing_is_lost_in_a_sequence(
    which: int,
    set_scene: Callable[..., SceneToBe],
    judged: Callable[[Verdict], None],
    note: Callable[[str], None],
    seed: int,
) -> None:
    """Faults of all kinds right after each other, without a wait for the recovery."""
    own_seed = seed * SEQUENCES + which
    choice = random.Random(own_seed)  # noqa: S311  # not for secrets
    faults = choice.sample(SWIFT, LENGTH)
    name = f"{which + 1} of seed {seed}"
    with set_scene(seed=own_seed) as scene:
        verdict = run(scene, sequence(name, faults))
    judged(verdict)
    note("\n    1. ".join([f"- Sequence {name}:", *(fault.id for fault in faults)]))
    assert verdict.is_good, verdict


@pytest.mark.storm
def test_nothing_is_lost_in_a_storm(
    set_scene: Callable[..., SceneToBe],
    judged: Callable[[Verdict], None],
    note: Callable[[str], None],
    storm_size: int,
    seed: int,
) -> None:
    """Thousands of notifications through two processes, and one fault right after the other."""
    raging = storm.Storm(SWIFT, storm_size)
    with set_scene(seed=seed, processes=storm.PROCESSES, rate=storm.RATE) as scene:
        verdict = run(scene, raging.fault)
    judged(verdict)
    note(f"- storm of seed {seed}: {len(raging.struck)} faults in {raging.struck[-1][0]:.0f} s")
    assert verdict.is_good, f"{verdict}\n{raging.log()}"


def sequence(name: str, faults: list[Fault]) -> Fault:
    """Return a sequence of faults as one fault."""

    def strike(scene: Scene) -> None:
        for fault in faults:
            scene.over_at = None
            fault.strike(scene)

    return Fault("sequence", name, strike, patience=SEQUENCE_PATIENCE)


def run(scene: Run, fault: Fault) -> Verdict:
    """Strike in the middle of the stream; return the verdict."""
    fault.prepare(scene)
    with scene.running():
        scene.stream.start()
        eventually(lambda: _settled(scene) >= BEFORE, what="messages")
        before = fault.tries(scene) if fault.tries else 0
        started = time.time()
        fault.strike(scene)
        scene.is_over()
        seconds = time.time() - started
        tries = fault.tries(scene) - before if fault.tries else None
        time.sleep(AFTER_SECONDS)
        scene.stream.finish()
        rested = come_to_rest(scene, fault.patience)
        verdict = judge(scene, fault)
    recovered = (scene.over_at or started) + verdict.seconds
    verdict.seconds_not_ready = scene.readiness.seconds_without(started, recovered)
    verdict.tries_a_second = None if tries is None else tries / seconds
    if not rested:
        verdict.unexplained.append(f"not at rest after {fault.patience:g} s")
    return verdict


def _settled(scene: Run) -> int:
    return sum(len(daemon.settled()) for daemon in scene.daemons)
