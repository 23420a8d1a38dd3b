"""Whether the process lives and is ready, as probes hear it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.liveness import Liveness
from cki_notifier.web.health import Health


class Kafka:
    """Counts how often it is asked, and answers, or not, when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.trouble = ""
        self.may_answer = threading.Event()
        self.may_answer.set()

    def check(self) -> None:
        """Raise what a publisher would."""
        self.asked += 1
        self.may_answer.wait(30)
        if self.trouble:
            raise Unavailable("kafka", self.trouble)


def test_a_process_lives_before_it_is_ready() -> None:
    """While it is still connecting it lives; the queue is what is missing."""
    health = Health(Liveness(), Kafka().check)
    assert health.lives
    assert health.missing() == ["rabbitmq: not connected yet"]


def test_everything_that_is_missing_is_told() -> None:
    """Each dependency that is missing has its sentence, RabbitMQ first."""
    liveness, kafka = Liveness(), Kafka()
    liveness.missing, kafka.trouble = "rabbitmq: it is down", "it is down, too"
    assert Health(liveness, kafka.check).missing() == [
        "rabbitmq: it is down",
        "kafka: it is down, too",
    ]


def test_kafka_is_not_asked_where_nothing_is_sent() -> None:
    """An onlooker is ready when it consumes."""
    liveness = Liveness()
    liveness.missing = ""
    assert Health(liveness, None).missing() == []


def test_many_probes_ask_kafka_once() -> None:
    """Probes at the same time, or soon after, share the answer."""
    kafka = Kafka()
    kafka.trouble = "it is down"
    kafka.may_answer.clear()
    health = Health(Liveness(), kafka.check)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(lambda: health.kafka) for _ in range(8)]
        kafka.may_answer.set()
        assert {answer.result() for answer in answers} == {"kafka: it is down"}
    assert kafka.asked == 1


def test_an_answer_of_kafka_does_not_hold_for_long() -> None:
    """A probe sees soon that it is back."""
    kafka = Kafka()
    kafka.trouble = "it is down"
    health = Health(Liveness(), kafka.check)
    assert health.kafka
    kafka.trouble = ""
    end = time.monotonic() + 30
    while health.kafka:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert kafka.asked == 2


def test_a_loop_that_goes_round_is_seen() -> None:
    """Each tick is noted."""
    liveness = Liveness()
    before = liveness.silent_for()
    time.sleep(0.02)
    assert liveness.silent_for() > before
    liveness.tick()
    assert liveness.silent_for() < 30
