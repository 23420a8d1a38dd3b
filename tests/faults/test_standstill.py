"""What the daemon does while nothing goes: how often it tries, how much it says, when it ends."""

import time
from collections.abc import Callable

import pytest

from tests.brokers.stage import eventually
from tests.faults import kafka, kinds
from tests.faults.neighbours.company import gathered
from tests.faults.scene import Fault, SceneToBe, nothing
from tests.faults.verdict import come_to_rest, judge
from tools.processes import free_port
from tools.stand_ins import Fault as Answer
from tools.stand_ins import Hang, Late

pytestmark = pytest.mark.full

#: For the end of the process beyond what it waits for, in seconds.
_CLOSING_SECONDS = 8.0
#: For telling that the queue is gone, while something is in hand, in seconds.
_TOLD_SECONDS = 4.0
_PATIENCE = 60.0
_CONNECTED = 'cki_notifier_connected{dependency="rabbitmq"}'


@pytest.mark.parametrize(
    ("answer", "shutdown", "seconds"),
    [(Hang(3600), 3, 3), (Late(4), 25, 8)],  # two reads, of 4 s each
    ids=["what is in hand hangs", "what is in hand takes 8 s"],
)
def test_a_deleted_queue_does_not_delay_the_end(
    answer: Answer,
    shutdown: int,
    seconds: float,
    set_scene: Callable[..., SceneToBe],
    neighbour_note: Callable[[str], None],
) -> None:
    """Its queue is gone and something is in hand: the metric says so, and SIGTERM is heeded."""
    port = free_port()
    settings = {
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": str(port),
        "CKI_NOTIFIER_SHUTDOWN_SECONDS": str(shutdown),
    }
    with set_scene(settings=settings) as scene, gathered(scene, port) as company, scene.daemon:
        warehouse = scene.services.warehouse
        warehouse.answer("", answer)
        company.bring(1, kinds.thin)
        eventually(lambda: warehouse.requests, what="a request")
        with scene.stage.channel() as channel:
            channel.queue_delete(scene.stage.queue)
        eventually(
            lambda: company.probes.look().metrics.get(_CONNECTED) == 0,
            seconds=_TOLD_SECONDS,
            what="not connected",
        )
        started = time.monotonic()
        assert scene.daemon.stop(seconds=70) == 0
        took = time.monotonic() - started
    neighbour_note(
        f"- The queue is deleted and what is in hand takes {seconds:g} s (or hangs, and the time "
        f"for ending is over by then): SIGTERM ended the process within {took:.1f} s."
    )
    assert took < seconds + _CLOSING_SECONDS


def test_attempts_to_consume_become_rare(
    set_scene: Callable[..., SceneToBe], neighbour_note: Callable[[str], None]
) -> None:
    """Somebody else holds the queue: it is tried less and less often, and consumed afterwards."""
    with set_scene(waits=False) as scene:
        with scene.stage.channel() as channel:
            channel.queue_declare(scene.stage.queue, durable=True)
            channel.basic_consume(scene.stage.queue, lambda *_: None, exclusive=True)
            before = scene.amqp_proxy.accepted
            scene.daemon.start()
            eventually(lambda: scene.amqp_proxy.accepted > before, what="an attempt")
            time.sleep(8)
            attempts = scene.amqp_proxy.accepted - before
        started = time.monotonic()
        eventually(lambda: "consuming " in scene.daemon.text(), what="a consumer")
        took = time.monotonic() - started
        assert scene.daemon.stop() == 0
    neighbour_note(
        f"- Somebody else holds the queue: {attempts} connections in 8 s; "
        f"consumed {took:.1f} s after it was free."
    )
    assert attempts <= 8


def test_missing_rights_in_kafka_are_told_of_briefly(
    set_scene: Callable[..., SceneToBe], neighbour_note: Callable[[str], None]
) -> None:
    """It may not write at first: few lines tell of it, and what waited is sent once it may."""
    with set_scene() as scene, scene.daemon:
        kafka.forbid(scene)
        scene.stream.run_for(20)
        time.sleep(20)
        lines = scene.daemon.text().count("\n")
        kafka.permit(scene)
        scene.is_over()
        rested = come_to_rest(scene, _PATIENCE)
        verdict = judge(scene, Fault("Kafka", "no right to write at first", nothing))
    neighbour_note(
        f"- No right to write to the topic at first, 20 notifications: {lines} lines in 20 s; "
        f"all is through {verdict.seconds:.1f} s after it was granted."
    )
    assert rested
    assert verdict.is_good, verdict
    assert lines < 150
