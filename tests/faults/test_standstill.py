"""The daemon while nothing works: its attempts, the length of its log, its end."""

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

#: Time for the end of the process beyond its waiting, in seconds.
_CLOSING_SECONDS = 8.0
#: Time until the metric shows the lost queue, in seconds.
_TOLD_SECONDS = 4.0
_PATIENCE = 60.0
_CONNECTED = 'cki_notifier_connected{dependency="rabbitmq"}'


@pytest.mark.parametrize(
    ("answer", "shutdown", "seconds"),
    [(Hang(3600), 3, 3), (Late(4), 25, 8)],  # two reads, of 4 s each
    ids=["DataWarehouse hangs", "DataWarehouse takes 8 s"],
)
def test_a_deleted_queue_does_not_delay_the_end(
    answer: Answer,
    shutdown: int,
    seconds: float,
    set_scene: Callable[..., SceneToBe],
    neighbour_note: Callable[[str], None],
) -> None:
    """With a deleted queue and a notification in flight, the metric is 0 and SIGTERM works."""
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
    what = (
        f"DataWarehouse hangs and `CKI_NOTIFIER_SHUTDOWN_SECONDS` is {shutdown}"
        if shutdown == seconds
        else f"the notification in flight takes {seconds:g} s more"
    )
    neighbour_note(
        f"- RabbitMQ's queue is deleted while {what}. "
        f"SIGTERM ended the process within {took:.1f} s."
    )
    assert took < seconds + _CLOSING_SECONDS


def test_attempts_to_consume_become_rare(
    set_scene: Callable[..., SceneToBe], neighbour_note: Callable[[str], None]
) -> None:
    """With an exclusive consumer, the daemon tries less and less often, and consumes later."""
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
        f"- Another consumer holds the queue. The daemon connected {attempts} times in 8 s, "
        f"and consumed {took:.1f} s after the queue was free."
    )
    assert attempts <= 8


def test_missing_rights_in_kafka_are_told_of_briefly(
    set_scene: Callable[..., SceneToBe], neighbour_note: Callable[[str], None]
) -> None:
    """Without the right to write, the log is short. With the right, the daemon sends all."""
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
        "- The daemon may not write to the topic, and gets 20 notifications. "
        f"The log has {lines} lines after 20 s. "
        f"All are sent {verdict.seconds:.1f} s after Kafka grants the right."
    )
    assert rested
    assert verdict.is_good, verdict
    assert lines < 150
